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
// least, and the columns to come take up what that did (sweep). What the loss of v_i costs
// is (v_i·L_ii)². The factor must be without act-order. What a column that is dead loses
// costs nothing, so that its weights go first; those that the pattern leaves stay as they
// are.
func (f *Factor) Prune(w []float32, rows int, pattern Pattern) []float32 {
	out := make([]float32, len(w))
	f.prune(w, rows, pattern, func(row, at int, v float32) float32 {
		out[row*f.K+f.order[at]] = v
		return v
	})
	return out
}

// prune calls keep for every weight, with 0 for those that go; what it returns is taken to
// be the weight from then on.
func (f *Factor) prune(w []float32, rows int, pattern Pattern, keep func(row, at int, v float32) float32) {
	p := &pruning{sweep: f.sweep(w, rows), pattern: pattern}
	p.all = p.count(0, f.K)
	p.decide = func(row, at int, v float32) float32 {
		if m := pattern.M; m > 0 && (f.K-1-at)%m == 0 {
			p.block(row, max(at-m+1, 0), at+1)
		}
		if p.gone[p.mark(row, at)] {
			v = 0
		}
		return keep(row, at, v)
	}
	width := panel
	if m := pattern.M; m > 0 {
		width = max(panel/m, 1) * m
	}
	for to := f.K; to > 0; to -= min(width, to) {
		p.from, p.to = max(to-width, 0), to
		p.cheapest()
		p.panel(p.from, p.to)
	}
}

// pruning is the state of prune.
type pruning struct {
	*sweep
	pattern  Pattern
	all      tally
	seen     tally  // of the panels so far
	zeros    int    // of them
	from, to int    // of the panel
	gone     []bool // weights of the panel, [rows, to−from]
}

// mark is the index of a place of the panel in gone.
func (p *pruning) mark(row, at int) int { return row*(p.to-p.from) + at - p.from }

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

// costs fills dst with what the loss of each of the places from to to of a row would cost.
// While columns to come are undecided, all take up the errors so far together: with B the
// places, v_B = w_B + y where L_BBᵀ·y is the carry.
func (p *pruning) costs(dst []float32, r, from, to int) {
	rest := slices.Clone(p.carry[r*p.K+from : r*p.K+to])
	for i := to - 1; i >= from; i-- {
		l := p.lower[i*p.K+from : i*p.K+i+1]
		y := rest[i-from] / l[i-from]
		tensor.AddScaled(rest[:i-from], l[:i-from], -y)
		v := (p.w[r*p.K+i] + y) * l[i-from]
		if p.dead[p.order[i]] {
			v = 0
		}
		dst[i-from] = v * v
	}
}

// cheapest marks the weights of the panel that go by their share, ties by row and place; none
// where a pattern decides.
func (p *pruning) cheapest() {
	width := p.to - p.from
	p.gone = make([]bool, p.rows*width)
	if p.pattern.M > 0 {
		return
	}
	here := p.count(p.from, p.to)
	p.seen = tally{p.seen.dead + here.dead, p.seen.live + here.live}
	count := p.due() - p.zeros
	p.zeros += count
	if count <= 0 {
		return
	}
	costs := make([]float32, len(p.gone))
	tensor.Parallel(p.rows, 0, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			p.costs(costs[r*width:(r+1)*width], r, p.from, p.to)
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
			p.gone[i] = true
			if c == limit {
				ties--
			}
		}
	}
}

// block marks those of a block of places that do not stay.
func (p *pruning) block(r, from, to int) {
	size := to - from
	gone := p.gone[p.mark(r, from):][:size]
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
