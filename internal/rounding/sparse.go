package rounding

import (
	"math"
	"slices"

	"optim/internal/tensor"
)

// Pattern says which weights of a matrix become zero.
type Pattern struct {
	Share float64 // exactly round(Share·n) of all; where M is 0
	N, M  int     // of every M along the inputs N stay, of fewer at the end as many as N in M
}

// Prune puts weights of w, [rows, K], to zero by SparseGPT (Frantar and Alistarh,
// "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", 2023) and
// returns them: panel after panel of columns, those go whose loss costs the layer's output
// least, and the columns to come take up what that did. As in Round, with H = L·Lᵀ and e
// the errors so far, column i is then
//
//	v_i = w_i + Σ_{j>i} L_ji·e_j / L_ii,
//
// and what its loss costs is (v_i·L_ii)². The factor must be without act-order. What a
// column that is dead loses costs nothing, so that its weights go first; those that the
// pattern leaves stay as they are.
func (f *Factor) Prune(w []float32, rows int, pattern Pattern) []float32 {
	p := &pruning{Factor: f, pattern: pattern, rows: rows, w: make([]float32, len(w)), carry: make([]float32, len(w)), out: make([]float32, len(w))}
	p.all = p.count(0, f.K)
	tensor.Parallel(rows, 0, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			for at, c := range f.order {
				p.w[r*f.K+at] = w[r*f.K+c]
			}
		}
	})
	width := panel
	if m := pattern.M; m > 0 {
		width = max(panel/m, 1) * m
	}
	for to := f.K; to > 0; to -= min(width, to) {
		p.panel(max(to-width, 0), to)
	}
	return p.out
}

// pruning is the state of Prune: w and carry have the columns in their order of places,
// carry being Σ L_ji·e_j.
type pruning struct {
	*Factor
	pattern  Pattern
	rows     int
	w, carry []float32
	out      []float32 // in the order of w as it was given
	all      tally
	seen     tally // of the panels before
	zeros    int   // of them
}

// tally counts weights of columns that are dead and of others.
type tally struct{ dead, live int }

// count counts the weights of the places from to to.
func (p *pruning) count(from, to int) (t tally) {
	for _, c := range p.order[from:to] {
		if p.dead[c] {
			t.dead += p.rows
		} else {
			t.live += p.rows
		}
	}
	return t
}

// due is how many of the weights seen are to be zero: dead ones first, as many as the share
// allows, and of the others what is then left of it.
func (p *pruning) due() int {
	share := p.pattern.Share * float64(p.all.dead+p.all.live)
	switch left := share - float64(p.all.dead); {
	case p.all.dead == 0:
		return int(math.Round(p.pattern.Share * float64(p.seen.live)))
	case left <= 0:
		return int(math.Round(share * float64(p.seen.dead) / float64(p.all.dead)))
	default:
		return p.seen.dead + int(math.Round(left*float64(p.seen.live)/float64(p.all.live)))
	}
}

// panel prunes the places from to to of all rows, and tells the places before.
func (p *pruning) panel(from, to int) {
	width := to - from
	gone := p.cheapest(from, to)
	errors := make([]float32, p.rows*width)
	tensor.Parallel(p.rows, 0, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			p.row(r, from, to, gone[r*width:(r+1)*width], errors[r*width:(r+1)*width])
		}
	})
	if from == 0 {
		return
	}
	side := make([]float32, width*from)
	for i := range width {
		copy(side[i*from:(i+1)*from], p.lower[(from+i)*p.K:])
	}
	p.mm(p.carry, p.K, errors, side, p.rows, width, from, false, 1)
}

// costs fills dst with what the loss of each of the places from to to of a row would cost.
// While columns to come are undecided, all take up the errors so far together: with B the
// places, v_B = w_B + y where L_BBᵀ·y is the carry.
func (p *pruning) costs(dst []float32, r, from, to int) {
	rest := slices.Clone(p.carry[r*p.K+from : r*p.K+to])
	for i := to - 1; i >= from; i-- {
		l := p.lower[i*p.K+from : i*p.K+i+1]
		y := rest[i-from] / l[i-from]
		for j, x := range l[:i-from] {
			rest[j] -= x * y
		}
		v := (p.w[r*p.K+i] + y) * l[i-from]
		if p.dead[p.order[i]] {
			v = 0
		}
		dst[i-from] = v * v
	}
}

// cheapest marks the weights of a panel that go by their share, ties by row and place; none
// where a pattern decides.
func (p *pruning) cheapest(from, to int) []bool {
	width := to - from
	gone := make([]bool, p.rows*width)
	if p.pattern.M > 0 {
		return gone
	}
	here := p.count(from, to)
	p.seen = tally{p.seen.dead + here.dead, p.seen.live + here.live}
	count := p.due() - p.zeros
	p.zeros += count
	if count <= 0 {
		return gone
	}
	costs := make([]float32, len(gone))
	tensor.Parallel(p.rows, 0, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			p.costs(costs[r*width:(r+1)*width], r, from, to)
		}
	})
	sorted := slices.Clone(costs)
	slices.Sort(sorted)
	limit := sorted[count-1]
	ties := count
	for _, c := range sorted[:count] {
		if c < limit {
			ties--
		}
	}
	for i, c := range costs {
		if c < limit || c == limit && ties > 0 {
			gone[i] = true
			if c == limit {
				ties--
			}
		}
	}
	return gone
}

// row prunes the places from to to of one row.
func (p *pruning) row(r, from, to int, gone []bool, errors []float32) {
	carry := p.carry[r*p.K : (r+1)*p.K]
	for at := to - 1; at >= from; at-- {
		if m := p.pattern.M; m > 0 && (p.K-1-at)%m == 0 {
			p.block(r, max(at-m+1, 0), at+1, gone[max(at-m+1, 0)-from:at+1-from])
		}
		v := p.w[r*p.K+at] + carry[at]/p.lower[at*p.K+at]
		if gone[at-from] {
			v = 0
		}
		p.out[r*p.K+p.order[at]] = v
		e := p.w[r*p.K+at] - v
		errors[at-from] = e
		before := carry[from:at]
		for i, l := range p.lower[at*p.K+from : at*p.K+at] {
			before[i] += l * e
		}
	}
}

// block marks those of a block of places that do not stay.
func (p *pruning) block(r, from, to int, gone []bool) {
	size := to - from
	costs := make([]float32, size)
	p.costs(costs, r, from, to)
	for range size - min((size*p.pattern.N+p.pattern.M-1)/p.pattern.M, size) {
		least := -1
		for i := range size {
			if !gone[i] && (least < 0 || costs[i] < costs[least]) {
				least = i
			}
		}
		gone[least] = true
	}
}
