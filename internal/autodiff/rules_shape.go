package autodiff

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

var _ = register(map[string]rule{
	"Reshape":   reshapeGrad,
	"Flatten":   reshapeGrad,
	"Squeeze":   reshapeGrad,
	"Unsqueeze": reshapeGrad,
	"Expand":    func(c *call) { c.give(0, c.dy[0]) },
	"Transpose": transposeGrad,
	"Concat":    concatGrad,
	"Split":     splitGrad,
	"Slice":     sliceGrad,
	"Pad":       padGrad,
	"Tile":      tileGrad,
	"Trilu": func(c *call) {
		in := []string{c.dy[0]}
		if c.in(1) != "" {
			in = append(in, c.in(1))
		}
		c.give(0, c.Op("Trilu", c.Type(c.in(0)), in, onnx.IntAttr("upper", c.node.AttrInt("upper", 1))))
	},
	"DepthToSpace": depthToSpaceGrad,
	"SpaceToDepth": spaceToDepthGrad,
})

func reshapeGrad(c *call) {
	if c.want(0) {
		c.give(0, c.Reshape(c.dy[0], c.Shape(c.in(0))...))
	}
}

func transposeGrad(c *call) {
	perm := c.node.AttrInts("perm")
	rank := len(c.Shape(c.in(0)))
	back := make([]int64, rank)
	for i := range back {
		if perm == nil {
			back[i] = int64(rank - 1 - i)
			continue
		}
		back[perm[i]] = int64(i)
	}
	c.give(0, c.Transpose(c.dy[0], back...))
}

func concatGrad(c *call) {
	axis := c.axis("axis", 0, len(c.Shape(c.out(0))))
	at := int64(0)
	for i, v := range c.node.Inputs {
		n := c.Shape(v)[axis]
		if c.want(i) {
			c.give(i, c.Slice(c.dy[0], axis, at, at+n))
		}
		at += n
	}
}

func splitGrad(c *call) {
	axis := c.axis("axis", 0, len(c.Shape(c.in(0))))
	parts := slices.Clone(c.dy)
	for i, d := range parts {
		if d == "" {
			parts[i] = c.Full(c.Type(c.out(i)), 0)
		}
	}
	c.give(0, c.Concat(axis, parts...))
}

// sliceGrad puts the gradient back to where the slice was taken from: with zeros on
// both sides for steps of 1, and by indices for others.
func sliceGrad(c *call) {
	x := c.Shape(c.in(0))
	starts, ends := c.ints(1), c.ints(2)
	axes, steps := axesFrom(0, len(starts)), slices.Repeat([]int64{1}, len(starts))
	if c.in(3) != "" {
		axes = c.ints(3)
	}
	if c.in(4) != "" {
		steps = c.ints(4)
	}
	if c.err != nil || !c.want(0) || len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return
	}
	d := c.dy[0]
	for i, a := range axes {
		axis := int(a)
		if axis < 0 {
			axis += len(x)
		}
		size, count := x[axis], c.Shape(c.out(0))[axis]
		lo := starts[i]
		if lo < 0 {
			lo += size
		}
		lo = min(max(lo, 0), size)
		if steps[i] < 0 {
			lo = min(lo, size-1)
		}
		if steps[i] == 1 {
			d = c.padAxis(d, axis, lo, size-lo-count)
			continue
		}
		at := make([]int64, count)
		for j := range at {
			at[j] = lo + int64(j)*steps[i]
		}
		d = c.scatterAxis(d, axis, c.Ints(at...), size)
	}
	c.give(0, d)
}

// padAxis adds x with zeros before and after it along an axis.
func (g *Graph) padAxis(x string, axis int, before, after int64) string {
	if before == 0 && after == 0 {
		return x
	}
	t := g.Type(x)
	shape := t.Shape.Clone()
	shape[axis] += before + after
	pads := make([]int64, 2*len(shape))
	pads[axis], pads[len(shape)+axis] = before, after
	return g.Op("Pad", Type{t.DType, shape}, []string{x, g.Ints(pads...)})
}

// scatterAxis adds zeros of size n along axis into which the slices of x are added at
// the indices given, a list of one dimension; slices of equal index are summed.
func (g *Graph) scatterAxis(x string, axis int, indices string, n int64) string {
	t := g.Type(x)
	shape := t.Shape.Clone()
	shape[axis] = n
	column := make([]int64, len(t.Shape))
	for i := range column {
		column[i] = 1
	}
	column[axis] = t.Shape[axis]
	at := g.Expand(g.Reshape(g.Cast(indices, tensor.Int64), column...), t.Shape)
	return g.scatter(x, axis, at, Type{t.DType, shape})
}

// scatter adds zeros of type t into which the elements of x are added at the indices
// along axis.
func (g *Graph) scatter(x string, axis int, indices string, t Type) string {
	return g.Op("ScatterElements", t, []string{g.Full(t, 0), indices, x}, onnx.IntAttr("axis", int64(axis)), onnx.StrAttr("reduction", "add"))
}

// padGrad cuts the padding off. What was repeated from the inside is left out of
// no gradient: those modes are refused.
func padGrad(c *call) {
	if mode := c.node.AttrString("mode", "constant"); mode != "constant" {
		c.failf("no gradient of mode %q", mode)
		return
	}
	pads := c.ints(1)
	x := c.Shape(c.in(0))
	axes := axesFrom(0, len(x))
	if c.in(3) != "" {
		axes = c.ints(3)
	}
	if c.err != nil || len(pads) != 2*len(axes) {
		return
	}
	d := c.dy[0]
	for i, a := range axes {
		axis := int(a)
		if axis < 0 {
			axis += len(x)
		}
		before, after := pads[i], pads[len(axes)+i]
		// Negative padding cuts; its gradient pads.
		d = c.Slice(d, axis, max(before, 0), c.Shape(d)[axis]-max(after, 0))
		d = c.padAxis(d, axis, max(-before, 0), max(-after, 0))
	}
	c.give(0, d)
}

// tileGrad sums over the repetitions: [r0, s0, r1, s1, …].
func tileGrad(c *call) {
	repeats := c.ints(1)
	if c.err != nil || !c.want(0) {
		return
	}
	x := c.Shape(c.in(0))
	var split, axes []int64
	for i, r := range repeats {
		split = append(split, r, x[i])
		axes = append(axes, int64(2*i))
	}
	c.give(0, c.Reshape(c.Sum(c.Reshape(c.dy[0], split...), axes...), x...))
}

// depthToSpaceGrad is SpaceToDepth in the order of channels that DCR or CRD gives.
func depthToSpaceGrad(c *call) {
	s, b := c.Shape(c.in(0)), c.node.AttrInt("blocksize", 1)
	n, depth, h, w := s[0], s[1]/(b*b), s[2], s[3]
	d := c.Reshape(c.dy[0], n, depth, h, b, w, b)
	if c.node.AttrString("mode", "DCR") == "CRD" {
		d = c.Transpose(d, 0, 1, 3, 5, 2, 4)
	} else {
		d = c.Transpose(d, 0, 3, 5, 1, 2, 4)
	}
	c.give(0, c.Reshape(d, s...))
}

func spaceToDepthGrad(c *call) {
	s, b := c.Shape(c.in(0)), c.node.AttrInt("blocksize", 1)
	n, depth, h, w := s[0], s[1], s[2]/b, s[3]/b
	d := c.Transpose(c.Reshape(c.dy[0], n, b, b, depth, h, w), 0, 3, 4, 1, 5, 2)
	c.give(0, c.Reshape(d, s...))
}
