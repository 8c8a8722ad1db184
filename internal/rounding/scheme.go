// Package rounding chooses the integers of weights. A weight is a matrix of N
// rows of outputs and K columns of inputs; the columns of a row lie in blocks
// that share a scale and a zero point. All functions work on some rows at a
// time, are deterministic, and do not depend on how rows are split: callers
// spread them over workers. It knows no file, no ONNX and no runtime.
package rounding

import (
	"fmt"
	"math"

	"optim/internal/tensor"
)

// Scheme says how the values of a block are stored.
type Scheme struct {
	Bits  int // range of the codes, 2 to 8
	Block int // columns that share a scale, a power of two from 16
	// Symmetric fixes the zero point in the middle of the storage. The scale's
	// sign is then free, so that the greatest magnitude takes the extra code on
	// the negative side.
	Symmetric bool
	// Search takes the scale and zero point of least squared error among many;
	// without it they follow from the extremes.
	Search bool
}

// Storage returns the bits that a code takes in the layouts of ONNX Runtime's
// MatMulNBits: 2, 4 or 8.
func (s Scheme) Storage() int {
	switch {
	case s.Bits <= 2:
		return 2
	case s.Bits <= 4:
		return 4
	}
	return 8
}

// Blocks returns the number of blocks in a row of k columns.
func (s Scheme) Blocks(k int) int { return (k + s.Block - 1) / s.Block }

// bounds returns the least and greatest code, and the middle of the storage.
func (s Scheme) bounds() (lo, hi, middle int) {
	middle = 1 << (s.Storage() - 1)
	if s.Symmetric {
		half := 1 << (s.Bits - 1)
		return middle - half, middle + half - 1, middle
	}
	return 0, 1<<s.Bits - 1, middle
}

func (s Scheme) check(n, k int) error {
	switch {
	case s.Bits < 2 || s.Bits > 8:
		return fmt.Errorf("no codes of %d bits: need 2 to 8", s.Bits)
	case s.Block < 16 || s.Block&(s.Block-1) != 0:
		return fmt.Errorf("block size %d: need a power of two from 16", s.Block)
	case k < 1 || n%k != 0:
		return fmt.Errorf("%d values do not make rows of %d", n, k)
	}
	return nil
}

// Grid holds the scales and zero points of some rows, both [Rows, blocks] row by
// row: a code q in block j of row r means Scales·(q − Zeros).
type Grid struct {
	Scheme
	Rows, K int
	Scales  []float32
	Zeros   []uint8
}

// row returns the scales and zero points of row r.
func (g *Grid) row(r int) ([]float32, []uint8) {
	n := g.Blocks(g.K)
	return g.Scales[r*n : (r+1)*n], g.Zeros[r*n : (r+1)*n]
}

// newGrid returns an empty grid for rows of k columns.
func (s Scheme) newGrid(rows, k int) Grid {
	n := rows * s.Blocks(k)
	return Grid{Scheme: s, Rows: rows, K: k, Scales: make([]float32, n), Zeros: make([]uint8, n)}
}

// Round writes the nearest codes of w, [Rows, K], one a byte.
func (g *Grid) Round(codes []byte, w []float32) {
	lo, hi, _ := g.bounds()
	for r := range g.Rows {
		scales, zeros := g.row(r)
		for j, s := range scales {
			from, to := r*g.K+j*g.Block, r*g.K+min((j+1)*g.Block, g.K)
			roundRun(codes[from:to], w[from:to], s, int(zeros[j]), lo, hi)
		}
	}
}

// magic added to a float32 of less than 2^22 rounds it half to even.
const magic = 1.5 * (1 << 23)

// roundRun rounds one block.
func roundRun(codes []byte, w []float32, scale float32, zero, lo, hi int) {
	codes = codes[:len(w)]
	low, high := float32(lo-zero), float32(hi-zero)
	for i, x := range w {
		q := x / scale
		q = min(max(q, low), high)
		q = (q + magic) - magic
		codes[i] = byte(int32(q) + int32(zero))
	}
}

// Restore writes the values that codes mean.
func (g *Grid) Restore(dst []float32, codes []byte) {
	for r := range g.Rows {
		scales, zeros := g.row(r)
		for j, s := range scales {
			z := int(zeros[j])
			for i := r*g.K + j*g.Block; i < r*g.K+min((j+1)*g.Block, g.K); i++ {
				dst[i] = s * float32(int(codes[i])-z)
			}
		}
	}
}

// leastScale keeps codes away from subnormal scales, which processors are slow
// with and providers flush to zero.
const leastScale = 1.1754943508222875e-38

// Fit chooses the grid of w, rows of k columns: from each block's extremes, or
// with Search by the least error, in which column j counts importance[j] times
// (nil: all alike). NaN and infinity are errors that satisfy
// tensor.ErrNotFinite.
func (s Scheme) Fit(w []float32, k int, importance []float32) (Grid, error) {
	if err := s.check(len(w), k); err != nil {
		return Grid{}, err
	}
	g := s.newGrid(len(w)/k, k)
	f := newFitter(s)
	for r := range g.Rows {
		scales, zeros := g.row(r)
		for j := range scales {
			from, to := j*s.Block, min((j+1)*s.Block, k)
			v := w[r*k+from : r*k+to]
			lo, hi, finite := tensor.MinMax(v)
			if !finite {
				at := r*k + from + tensor.FirstNonFinite(v)
				return Grid{}, fmt.Errorf("element %d is %v: %w", at, w[at], tensor.ErrNotFinite)
			}
			scale, zero := s.plain(lo, hi)
			if s.Search && lo != hi {
				scale, zero = f.search(v, lo, hi, scale, zero, columnsOf(importance, from, to))
			}
			scales[j], zeros[j] = scale, uint8(zero)
		}
	}
	return g, nil
}

func columnsOf(importance []float32, from, to int) []float32 {
	if importance == nil {
		return nil
	}
	return importance[from:to]
}

// plain returns scale and zero point from the extremes: see tensor.ChooseAffine
// and Symmetric.
func (s Scheme) plain(lo, hi float32) (scale float32, zero int) {
	least, most, middle := s.bounds()
	if !s.Symmetric {
		scale, z := tensor.ChooseAffine(lo, hi, tensor.Uint8, int64(least), int64(most), false)
		return scale, int(z)
	}
	extreme := hi
	if -lo >= hi {
		extreme = lo
	}
	if extreme == 0 {
		return 1, middle
	}
	scale = extreme / float32(least-middle)
	if math.Abs(float64(scale)) < leastScale {
		scale = float32(math.Copysign(leastScale, float64(scale)))
	}
	return scale, middle
}
