package rounding

import "optim/internal/tensor"

// Round chooses the codes of w, [rows, K], on a grid by GPTQ (Frantar et al.,
// "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
// Transformers", 2022): the columns are rounded one after the other, and each
// takes up what the rounding of those before did to the layer's output. With
// H = L·Lᵀ and e the errors so far, column i is rounded from
//
//	w_i + Σ_{j>i} L_ji·e_j / L_ii,
//
// last to first. That is Babai's nearest plane, and gives what the published
// sweep over the inverse gives (Chen et al., "The Geometry of LLM Quantization:
// GPTQ as Babai's Nearest Plane Algorithm", 2025) without an inverse. Columns
// that are dead become 0. Rows do not depend on each other.
func (f *Factor) Round(w []float32, g *Grid) []byte {
	s := &sweep{
		Factor: f, grid: g, rows: g.Rows, codes: make([]byte, len(w)),
		w: make([]float32, len(w)), carry: make([]float32, len(w)),
	}
	tensor.Parallel(s.rows, 0, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			for p, c := range f.order {
				if !f.dead[c] {
					s.w[r*f.K+p] = w[r*f.K+c]
				}
			}
		}
	})
	for to := f.K; to > 0; to -= min(panel, to) {
		s.panel(max(to-panel, 0), to)
	}
	return s.codes
}

// sweep is the state of Round: w and carry have the columns in rounding order,
// carry being Σ L_ji·e_j.
type sweep struct {
	*Factor
	grid     *Grid
	rows     int
	w, carry []float32
	codes    []byte
}

// panel rounds the places from to to of all rows, and tells the places before.
func (s *sweep) panel(from, to int) {
	width := to - from
	errors := make([]float32, s.rows*width)
	tensor.Parallel(s.rows, 0, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			s.row(r, from, to, errors[r*width:(r+1)*width])
		}
	})
	if from == 0 {
		return
	}
	side := make([]float32, width*from)
	for p := range width {
		copy(side[p*from:(p+1)*from], s.lower[(from+p)*s.K:])
	}
	s.mm(s.carry, s.K, errors, side, s.rows, width, from, false, 1)
}

// row rounds the places from to to of one row.
func (s *sweep) row(r, from, to int, errors []float32) {
	low, high, _ := s.grid.bounds()
	scales, zeros := s.grid.row(r)
	carry := s.carry[r*s.K : (r+1)*s.K]
	for p := to - 1; p >= from; p-- {
		c := s.order[p]
		scale, zero := scales[c/s.grid.Block], int(zeros[c/s.grid.Block])
		l := s.lower[p*s.K : p*s.K+p+1]
		x := s.w[r*s.K+p]
		q := min(max((x+carry[p]/l[p])/scale, float32(low-zero)), float32(high-zero))
		q = (q + magic) - magic
		s.codes[r*s.K+c] = byte(int32(q) + int32(zero))
		e := x - q*scale
		errors[p-from] = e
		before := carry[from:p]
		for i, v := range l[from:p] {
			before[i] += v * e
		}
	}
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
