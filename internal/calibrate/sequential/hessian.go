package sequential

import (
	"fmt"

	"optim/internal/tensor"
)

// Hessian is Σ x·xᵀ over the rows x of an activation, and what else is summed
// over them.
type Hessian struct {
	K    int
	H    []float32 // [K, K], the upper triangle in blocks
	Abs  []float64 // Σ |x| of each column
	Rows int

	engine *engine
	blocks [][]float32 // rows that wait, each block of columns by itself
	wait   int
}

// gatherRows rows are multiplied at a time, so that adding what comes out costs
// little beside it; blockColumns is the width of a block: those below the
// diagonal are left out.
const (
	gatherRows   = 4096
	blockColumns = 512
)

func newHessian(e *engine, k int) *Hessian {
	h := &Hessian{K: k, H: make([]float32, k*k), Abs: make([]float64, k), engine: e}
	for from := 0; from < k; from += blockColumns {
		h.blocks = append(h.blocks, make([]float32, gatherRows*min(blockColumns, k-from)))
	}
	return h
}

// add takes the rows of x, [..., K], those that mask leaves out excepted.
func (h *Hessian) add(x tensor.Tensor, mask []bool) error {
	v, err := x.Float32s()
	if err != nil {
		return err
	}
	if n := len(x.Shape); n == 0 || int(x.Shape[n-1]) != h.K {
		return fmt.Errorf("has the shape %s, whose last axis should have %d values", x.Shape, h.K)
	}
	if i := tensor.FirstNonFinite(v); i >= 0 {
		return fmt.Errorf("is %v at element %d", v[i], i)
	}
	rows := len(v) / h.K
	if len(mask) != rows {
		mask = nil
	}
	for r := range rows {
		if mask != nil && !mask[r] {
			continue
		}
		row := v[r*h.K : (r+1)*h.K]
		for b, block := range h.blocks {
			width := len(block) / gatherRows
			copy(block[h.wait*width:(h.wait+1)*width], row[b*blockColumns:])
		}
		for j, x := range row {
			h.Abs[j] += float64(max(x, -x))
		}
		h.Rows++
		if h.wait++; h.wait == gatherRows {
			if err := h.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush multiplies the rows that wait.
func (h *Hessian) flush() error {
	if h.wait == 0 {
		return nil
	}
	for i, a := range h.blocks {
		for j := i; j < len(h.blocks); j++ {
			m, n := len(a)/gatherRows, len(h.blocks[j])/gatherRows
			err := h.engine.product([2]bool{true, false}, a[:h.wait*m], h.blocks[j][:h.wait*n], m, h.wait, n, func(c []float32) {
				for r := range m {
					at := (i*blockColumns+r)*h.K + j*blockColumns
					row := h.H[at : at+n]
					for t, x := range c[r*n : (r+1)*n] {
						row[t] += x
					}
				}
			})
			if err != nil {
				return err
			}
		}
	}
	h.wait = 0
	return nil
}

// mean returns the mean magnitude of each column.
func (h *Hessian) mean() []float32 {
	out := make([]float32, h.K)
	for j, s := range h.Abs {
		out[j] = float32(s / float64(max(h.Rows, 1)))
	}
	return out
}

// diagonal returns the sums of squares of the columns.
func (h *Hessian) diagonal() []float32 {
	out := make([]float32, h.K)
	for j := range out {
		out[j] = h.H[j*h.K+j]
	}
	return out
}

// mirror fills the lower triangle.
func (h *Hessian) mirror() {
	for i := range h.K {
		for j := range i {
			h.H[i*h.K+j] = h.H[j*h.K+i]
		}
	}
}
