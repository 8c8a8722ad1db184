package tensor

import (
	"fmt"
	"math"
)

// grid says which parameter (scale and zero point) each element of a row-major
// tensor has. The tensor is seen as [outer, dim, inner] with dim the quantized
// axis; along it, block elements share parameters, or each has its own
// (block 1), or all do (per tensor, where dim is 1).
//
// Elements are visited as segments: stretches in memory that either share one
// parameter, or have parameters p, p+1, p+2, … one after the other. Both are
// tight loops over contiguous memory, whatever the axis.
type grid struct {
	n, dim, inner, block int
	blocks               int // parameters along the axis: ⌈dim/block⌉
	params               int
	perAxis              bool // the outer index does not select a parameter
}

// newGrid returns the grid of shape s: per tensor for axis -1, per axis for
// block 0, else in blocks of that many elements along the axis.
func newGrid(s Shape, axis, block int) (grid, error) {
	n, err := s.Elements()
	switch {
	case err != nil:
		return grid{}, err
	case n > math.MaxInt/8:
		return grid{}, fmt.Errorf("shape %v: %w", s, ErrOverflow)
	case axis < -1 || axis >= len(s):
		return grid{}, fmt.Errorf("axis %d is outside shape %v", axis, s)
	case block < 0:
		return grid{}, fmt.Errorf("negative block size %d", block)
	case axis < 0 && block > 0:
		return grid{}, fmt.Errorf("blocks of %d without an axis", block)
	case axis < 0:
		return grid{n: int(n), dim: 1, inner: int(n), block: 1, blocks: 1, params: 1, perAxis: true}, nil
	}
	g := grid{n: int(n), dim: int(s[axis]), inner: 1, block: max(block, 1), perAxis: block == 0}
	if n == 0 { // products of single dimensions may overflow here
		p := s.Clone()
		for i := range p {
			if i != axis && block == 0 {
				p[i] = 1
			}
		}
		return g.empty(p, axis)
	}
	for _, d := range s[axis+1:] {
		g.inner *= int(d)
	}
	g.blocks = (g.dim-1)/g.block + 1
	g.params = g.blocks
	if !g.perAxis {
		g.params = g.n / g.dim * g.blocks
	}
	if g.perAxis && g.dim == 1 {
		g.inner = g.n // one parameter: one segment
	}
	return g, nil
}

// empty completes the grid of a tensor without elements, whose parameters may
// be many all the same: a channel of no elements has a scale.
func (g grid) empty(p Shape, axis int) (grid, error) {
	if p[axis] > 0 {
		p[axis] = (p[axis]-1)/int64(g.block) + 1
	}
	params, err := p.Elements()
	if err != nil {
		return grid{}, err
	}
	if params > 1<<24 {
		return grid{}, fmt.Errorf("%d scales for a tensor without elements", params)
	}
	g.params = int(params)
	return g, nil
}

// segment returns the length of the segment at element at, cut off at end, its
// first parameter, and whether that advances with each element.
func (g *grid) segment(at, end int) (n, param int, perElement bool) {
	row := at / g.inner // outer·dim + index along the axis
	col := at - row*g.inner
	d := row % g.dim
	switch {
	case g.perAxis && g.inner == 1 && g.dim > 1:
		return min(g.dim-d, end-at), d, true
	case g.perAxis:
		return min(g.inner-col, end-at), d, false
	}
	p := row/g.dim*g.blocks + d/g.block
	if g.inner == 1 {
		return min(g.block-d%g.block, g.dim-d, end-at), p, false
	}
	return min(g.inner-col, end-at), p*g.inner + col, true
}

// ranges returns the least and greatest key (see key) of each parameter's
// elements, (MaxInt32, MinInt32) where there is none.
func (g *grid) ranges(v []float32) (lo, hi []int32) {
	lo, hi = emptyRanges(g.params)
	if g.n == 0 {
		return lo, hi
	}
	workers := 0
	if g.n < parallelLen {
		workers = 1
	}
	if !g.perAxis {
		// A unit is all elements along the axis in one block: it owns its
		// parameters.
		Parallel(g.n/g.dim/g.inner*g.blocks, workers, func(a, b int) {
			for u := a; u < b; u++ {
				from, to := g.unit(u)
				g.rangesOf(v, from, to, lo, hi)
			}
		})
		return lo, hi
	}
	type part struct{ lo, hi []int32 }
	workers = maxParts(workers, g.n, g.params)
	parts := make([]part, workers)
	Parallel(workers, workers, func(a, b int) {
		for i := a; i < b; i++ {
			l, h := emptyRanges(g.params)
			g.rangesOf(v, cut(g.n, workers, i), cut(g.n, workers, i+1), l, h)
			parts[i] = part{l, h}
		}
	})
	for _, p := range parts {
		for i := range lo {
			lo[i], hi[i] = min(lo[i], p.lo[i]), max(hi[i], p.hi[i])
		}
	}
	return lo, hi
}

// unit returns the elements of unit u of a blocked grid.
func (g *grid) unit(u int) (from, to int) {
	outer, b := u/g.blocks, u%g.blocks
	base := outer * g.dim
	return (base + b*g.block) * g.inner, (base + min((b+1)*g.block, g.dim)) * g.inner
}

// rangesOf widens lo and hi by the elements from to to.
func (g *grid) rangesOf(v []float32, from, to int, lo, hi []int32) {
	for at := from; at < to; {
		n, p, perElement := g.segment(at, to)
		if perElement {
			columnRanges(lo[p:p+n], hi[p:p+n], v[at:at+n])
		} else {
			l, h := keyRange(v[at : at+n])
			lo[p], hi[p] = min(lo[p], l), max(hi[p], h)
		}
		at += n
	}
}

// columnRanges widens lo[i] and hi[i] by the key of v[i].
func columnRanges(lo, hi []int32, v []float32) {
	n := vectorColumns(lo, hi, v)
	v = v[n:]
	lo, hi = lo[n:][:len(v)], hi[n:][:len(v)]
	for i, x := range v {
		k := key(x)
		lo[i], hi[i] = min(lo[i], k), max(hi[i], k)
	}
}

func emptyRanges(n int) (lo, hi []int32) {
	lo, hi = make([]int32, n), make([]int32, n)
	for i := range lo {
		lo[i], hi[i] = math.MaxInt32, math.MinInt32
	}
	return lo, hi
}
