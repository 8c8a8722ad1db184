//go:build goexperiment.simd && amd64

package rounding

import "simd/archsimd"

// useVectors is a variable for the sake of tests.
var useVectors = archsimd.X86.AVX2()

// vectorSums adds the first multiple of eight elements to the lanes of sums.
func vectorSums(wq, qq *[8]float32, w, c []float32, inverse, low, high float32) (n int) {
	if !useVectors {
		return 0
	}
	c = c[:len(w)]
	scale, round := archsimd.BroadcastFloat32x8(inverse), archsimd.BroadcastFloat32x8(magic)
	least, most := archsimd.BroadcastFloat32x8(low), archsimd.BroadcastFloat32x8(high)
	a, b := archsimd.LoadFloat32x8(wq), archsimd.LoadFloat32x8(qq)
	for ; n+8 <= len(w); n += 8 {
		x := archsimd.LoadFloat32x8Slice(w[n:])
		q := x.Mul(scale).Max(least).Min(most).Add(round).Sub(round)
		cq := archsimd.LoadFloat32x8Slice(c[n:]).Mul(q)
		a, b = a.Add(cq.Mul(x)), b.Add(cq.Mul(q))
	}
	a.Store(wq)
	b.Store(qq)
	archsimd.ClearAVXUpperBits()
	return n
}
