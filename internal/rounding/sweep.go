package rounding

import "optim/internal/tensor"

// sweep decides weights one column after the other, from the last place to the first; each
// takes up what was done to those behind it. With H = L·Lᵀ and e the errors so far, column i
// is decided from
//
//	v_i = w_i + Σ_{j>i} L_ji·e_j / L_ii.
type sweep struct {
	*Factor
	rows     int
	w, carry []float32 // [rows, K] in the order of places; carry is Σ L_ji·e_j
	// decide returns what becomes of the weight at a place of a row, of the value v.
	decide func(row, at int, v float32) float32
}

// sweep begins with w, [rows, K], in the order of columns.
func (f *Factor) sweep(w []float32, rows int) *sweep {
	s := &sweep{Factor: f, rows: rows, w: make([]float32, len(w)), carry: make([]float32, len(w))}
	tensor.Parallel(rows, 0, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			for at, c := range f.order {
				s.w[r*f.K+at] = w[r*f.K+c]
			}
		}
	})
	return s
}

// panel decides the places from to to of all rows, and tells the places before.
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
	for i := range width {
		copy(side[i*from:(i+1)*from], s.lower[(from+i)*s.K:])
	}
	s.mm(s.carry, s.K, errors, side, s.rows, width, from, false, 1)
}

// row decides the places from to to of one row.
func (s *sweep) row(r, from, to int, errors []float32) {
	w, carry := s.w[r*s.K:(r+1)*s.K], s.carry[r*s.K:(r+1)*s.K]
	for at := to - 1; at >= from; at-- {
		l := s.lower[at*s.K : at*s.K+at+1]
		e := w[at] - s.decide(r, at, w[at]+carry[at]/l[at])
		errors[at-from] = e
		tensor.AddScaled(carry[from:at], l[from:at], e)
	}
}
