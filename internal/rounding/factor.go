package rounding

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"optim/internal/tensor"
)

// MatMul adds sign·A·B to C, or with turned sign·A·Bᵀ: C is [m, n] with rows ldc
// apart, A [m, k], B [k, n] or turned [n, k], both without gaps. It is what the
// large products go through, so that they run at the speed of a matrix library.
type MatMul func(c []float32, ldc int, a, b []float32, m, k, n int, turned bool, sign float32)

// ErrSingular says that no damping up to the mean of the diagonal makes a
// Hessian positive definite.
var ErrSingular = errors.New("the Hessian is singular")

// Factor is the Cholesky factor of a layer's Hessian, by which GPTQ weighs the
// errors of columns against each other.
type Factor struct {
	K     int
	Damp  float64 // that was needed, as a share of the diagonal's mean
	order []int   // column of the weight at each place; the last place is rounded first
	dead  []bool  // columns that no input reaches
	lower []float32
	mm    MatMul
}

// panel is the number of columns that are worked on before the others hear of
// it, as in the published implementation.
const panel = 128

// NewFactor factors H = Σ x·xᵀ of a layer's inputs, [k, k] row by row, of which
// the upper triangle is read. damp, a share of the diagonal's mean (0.01 as
// published), is added to the diagonal, ten times as much while the matrix is
// not positive definite. With order, columns of great diagonal are rounded first
// (act-order); groups keep the columns that they have. Inputs that are always 0
// are dead: their weights become 0.
func NewFactor(h []float32, k int, damp float64, order bool, mm MatMul) (*Factor, error) {
	if len(h) != k*k {
		return nil, fmt.Errorf("a Hessian of %d values for %d columns", len(h), k)
	}
	f := &Factor{K: k, order: make([]int, k), dead: make([]bool, k), mm: mm}
	mean := 0.0
	for i := range k {
		d := float64(h[i*k+i])
		if !(d >= 0) || math.IsInf(d, 0) {
			return nil, fmt.Errorf("column %d of the Hessian has %v on the diagonal", i, d)
		}
		f.order[i], f.dead[i] = i, d == 0
		mean += d / float64(k)
	}
	if mean == 0 {
		return nil, fmt.Errorf("all inputs are 0: %w", ErrSingular)
	}
	if order {
		slices.SortStableFunc(f.order, func(a, b int) int {
			switch x, y := h[a*k+a], h[b*k+b]; {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
	} else {
		slices.Reverse(f.order)
	}
	for f.Damp = max(damp, 1e-6); f.Damp <= 1; f.Damp *= 10 {
		f.permute(h, mean)
		if cholesky(f.lower, k, mm) {
			return f, nil
		}
	}
	return nil, ErrSingular
}

// permute fills the lower triangle with the damped Hessian in rounding order.
func (f *Factor) permute(h []float32, mean float64) {
	k := f.K
	if f.lower == nil {
		f.lower = make([]float32, k*k)
	}
	for i, a := range f.order {
		for j, b := range f.order[:i+1] {
			f.lower[i*k+j] = h[min(a, b)*k+max(a, b)]
		}
		if f.dead[a] {
			f.lower[i*k+i] = float32(mean)
		}
		f.lower[i*k+i] += float32(f.Damp * mean)
	}
}

// cholesky replaces the lower triangle of a, [n, n], by L of a = L·Lᵀ, block by
// block; it reports false where a is not positive definite. What a block takes
// from the rest is one product of matrices.
func cholesky(a []float32, n int, mm MatMul) bool {
	for from := 0; from < n; from += panel {
		to := min(from+panel, n)
		if !choleskyBlock(a, n, from, to) {
			return false
		}
		solveRows(a, n, from, to)
		rest := n - to
		if rest == 0 {
			break
		}
		side := make([]float32, rest*(to-from))
		for i := range rest {
			copy(side[i*(to-from):], a[(to+i)*n+from:(to+i)*n+to])
		}
		for top := 0; top < rest; top += 4 * panel { // lower part of the rest, in strips
			end := min(top+4*panel, rest)
			mm(a[(to+top)*n+to:], n, side[top*(to-from):end*(to-from)], side[:end*(to-from)], end-top, to-from, end, true, -1)
		}
	}
	return true
}

// choleskyBlock factors the diagonal block of columns from to to.
func choleskyBlock(a []float32, n, from, to int) bool {
	for j := from; j < to; j++ {
		row := a[j*n+from : j*n+to]
		d := float64(row[j-from])
		for _, x := range row[:j-from] {
			d -= float64(x) * float64(x)
		}
		if !(d > 0) {
			return false
		}
		pivot := math.Sqrt(d)
		row[j-from] = float32(pivot)
		for i := j + 1; i < to; i++ {
			other := a[i*n+from : i*n+to]
			s := float64(other[j-from])
			for t, x := range row[:j-from] {
				s -= float64(x) * float64(other[t])
			}
			other[j-from] = float32(s / pivot)
		}
	}
	return true
}

// solveRows divides the rows below a diagonal block by it from the right.
func solveRows(a []float32, n, from, to int) {
	width := to - from
	columns := make([]float32, width*width) // of the block, one behind the other
	for i := range width {
		for j := range i + 1 {
			columns[j*width+i] = a[(from+i)*n+from+j]
		}
	}
	tensor.Parallel(n-to, 0, func(lo, hi int) {
		for i := to + lo; i < to+hi; i++ {
			row := a[i*n+from : i*n+to]
			for j := range row {
				row[j] /= columns[j*width+j]
				tensor.AddScaled(row[j+1:], columns[j*width+j+1:(j+1)*width], -row[j])
			}
		}
	})
}
