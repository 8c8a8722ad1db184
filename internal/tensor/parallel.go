package tensor

import (
	"runtime"
	"sync"
)

// Parallel splits [0, n) into at most workers contiguous ranges and calls f on
// each, at once; it returns when all are done. workers ≤ 0 means GOMAXPROCS.
// With one range f runs on the caller's goroutine. f must write only what its
// range owns; then the result does not depend on workers.
func Parallel(n, workers int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = min(workers, n)
	if workers == 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for i := range workers {
		lo, hi := cut(n, workers, i), cut(n, workers, i+1)
		wg.Go(func() { f(lo, hi) })
	}
	wg.Wait()
}

// cut returns the start of part i of n things in parts parts, whose lengths
// differ by at most one.
func cut(n, parts, i int) int { return n/parts*i + min(i, n%parts) }

const (
	// blockLen is the number of elements that kernels work on at a time: small
	// enough that scratch stays in the first-level cache, and a multiple of 8,
	// so that packed 2- and 4-bit elements start at a byte.
	blockLen = 2048
	// parallelLen is the number of elements below which a goroutine costs more
	// than it saves.
	parallelLen = 1 << 16
)

// parallelBlocks calls f on ranges of [0, n) that start at multiples of
// blockLen: in parallel if n is large.
func parallelBlocks(n int, f func(lo, hi int)) {
	workers := 0
	if n < parallelLen {
		workers = 1
	}
	Parallel((n+blockLen-1)/blockLen, workers, func(lo, hi int) {
		f(lo*blockLen, min(hi*blockLen, n))
	})
}

// maxParts returns the number of parts to cut n elements into when each needs
// a table of params entries of its own: as many as there are workers (0:
// GOMAXPROCS), unless the tables would be a good part of the data.
func maxParts(workers, n, params int) int {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return max(1, min(workers, n/(8*params+1)))
}
