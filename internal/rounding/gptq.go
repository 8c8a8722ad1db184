package rounding

import "optim/internal/tensor"

// Round chooses the codes of w, [rows, K], on a grid by GPTQ (Frantar et al.,
// "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
// Transformers", 2022): the columns are rounded one after the other, and each
// takes up what the rounding of those before did to the layer's output (sweep).
// That is Babai's nearest plane, and gives what the published sweep over the
// inverse gives (Chen et al., "The Geometry of LLM Quantization: GPTQ as Babai's
// Nearest Plane Algorithm", 2025) without an inverse. Columns that are dead
// become 0, and weights that are 0, as pruning left them, stay so. Rows do not
// depend on each other.
func (f *Factor) Round(w []float32, g *Grid) []byte {
	s := f.sweep(w, g.Rows)
	r := newRounder(f, g)
	s.decide = func(row, at int, v float32) float32 {
		if s.w[row*f.K+at] == 0 || f.dead[f.order[at]] {
			v = 0
		}
		return r.round(row, at, v)
	}
	for to := f.K; to > 0; to -= min(panel, to) {
		s.panel(max(to-panel, 0), to)
	}
	return r.codes
}

// rounder writes the codes of single weights.
type rounder struct {
	*Factor
	grid      *Grid
	codes     []byte // [rows, K], in the order of columns
	low, high int
	blocks    []int // of the column at each place
	perRow    int
}

func newRounder(f *Factor, g *Grid) *rounder {
	r := &rounder{Factor: f, grid: g, codes: make([]byte, g.Rows*f.K), blocks: make([]int, f.K), perRow: g.Blocks(f.K)}
	r.low, r.high, _ = g.bounds()
	for at, c := range f.order {
		r.blocks[at] = c / g.Block
	}
	return r
}

// round writes the code nearest to v at a place of a row, and returns what it means.
func (r *rounder) round(row, at int, v float32) float32 {
	block := row*r.perRow + r.blocks[at]
	scale, zero := r.grid.Scales[block], int(r.grid.Zeros[block])
	q := min(max(v/scale, float32(r.low-zero)), float32(r.high-zero))
	q = (q + magic) - magic
	r.codes[row*r.K+r.order[at]] = byte(int32(q) + int32(zero))
	return q * scale
}

// Plain is a MatMul in Go, for small matrices.
func Plain(c []float32, ldc int, a, b []float32, m, k, n int, turned bool, sign float32) {
	tensor.Parallel(m, 0, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := c[i*ldc : i*ldc+n]
			for t, x := range a[i*k : (i+1)*k] {
				x *= sign
				if turned {
					continue
				}
				for j, y := range b[t*n : (t+1)*n] {
					row[j] += x * y
				}
			}
			if !turned {
				continue
			}
			for j := range row {
				sum := float32(0)
				for t, y := range b[j*k : (j+1)*k] {
					sum += a[i*k+t] * y
				}
				row[j] += sign * sum
			}
		}
	})
}
