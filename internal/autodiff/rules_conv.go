package autodiff

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

var _ = register(map[string]rule{
	"Conv":          convGrad,
	"ConvTranspose": convTransposeGrad,
})

// window is how a kernel moves over the spatial axes of its input.
type window struct {
	kernel, strides, dilations, before, after []int64
	group                                     int64
}

// window reads the attributes of a convolution or pooling from values of the large
// side (the input of Conv) to the small one, with padding as it really is.
func (c *call) window(large, small tensor.Shape, kernel []int64) window {
	n := len(kernel)
	attr := func(name string, def int64) []int64 {
		if v := c.node.AttrInts(name); len(v) > 0 {
			return v
		}
		return slices.Repeat([]int64{def}, n)
	}
	w := window{kernel: kernel, strides: attr("strides", 1), dilations: attr("dilations", 1), group: c.node.AttrInt("group", 1)}
	pads := c.node.AttrInts("pads")
	if len(pads) != 2*n {
		pads = make([]int64, 2*n)
	}
	w.before, w.after = slices.Clone(pads[:n]), slices.Clone(pads[n:])
	auto := c.node.AttrString("auto_pad", "NOTSET")
	for i := range kernel {
		spare := w.spare(i, large[i+2], small[i+2])
		switch auto {
		case "SAME_UPPER":
			w.before[i] = max(spare, 0) / 2
			w.after[i] = max(spare, 0) - w.before[i]
		case "SAME_LOWER":
			w.after[i] = max(spare, 0) / 2
			w.before[i] = max(spare, 0) - w.after[i]
		default: // where sizes are rounded up, windows reach beyond the padding
			w.after[i] = max(w.after[i], spare-w.before[i])
		}
	}
	return w
}

// spare is how much the windows together reach beyond the large side.
func (w window) spare(i int, large, small int64) int64 {
	return (small-1)*w.strides[i] + (w.kernel[i]-1)*w.dilations[i] + 1 - large
}

// attrs are those of Conv.
func (w window) attrs() []*onnx.Attribute {
	return []*onnx.Attribute{
		onnx.IntListAttr("kernel_shape", w.kernel...), onnx.IntListAttr("strides", w.strides...),
		onnx.IntListAttr("dilations", w.dilations...), onnx.IntListAttr("pads", slices.Concat(w.before, w.after)...),
		onnx.IntAttr("group", w.group),
	}
}

// back adds the gradient of a convolution's input: a transposed convolution that gives
// the large side t.
func (g *Graph) back(dy, weight string, w window, t Type) string {
	var extra []int64
	for i := range w.kernel {
		// What no window reached at the end has gradient 0.
		extra = append(extra, w.before[i]+w.after[i]-w.spare(i, t.Shape[i+2], g.Shape(dy)[i+2]))
	}
	return g.Op("ConvTranspose", t, []string{dy, weight}, append(w.attrs(), onnx.IntListAttr("output_padding", extra...))...)
}

// forth adds the gradient of a convolution's input where it moves in steps of one: a
// convolution with the kernel turned round and its channels exchanged, which the runtime
// computes faster than a transposed one.
func (g *Graph) forth(dy, weight string, w window, t Type) string {
	turned := g.exchange(weight, 0, 1)
	var from, to, axes, steps []int64
	v := w
	v.before, v.after = slices.Clone(w.before), slices.Clone(w.after)
	for i, k := range w.kernel {
		from, to, axes, steps = append(from, -1), append(to, -k-1), append(axes, int64(i+2)), append(steps, -1)
		reach := (k - 1) * w.dilations[i]
		v.before[i], v.after[i] = reach-w.before[i], reach-w.after[i]
	}
	turned = g.Op("Slice", g.Type(turned), []string{turned, g.Ints(from...), g.Ints(to...), g.Ints(axes...), g.Ints(steps...)})
	return g.Op("Conv", t, []string{dy, turned}, v.attrs()...)
}

// single reports whether the kernel moves by one everywhere, without more padding than
// it reaches.
func (w window) single() bool {
	for i, k := range w.kernel {
		if reach := (k - 1) * w.dilations[i]; w.strides[i] != 1 || w.before[i] > reach || w.after[i] > reach {
			return false
		}
	}
	return w.group == 1
}

// unfolded adds the gradient of the weights [M, C, k…] of a convolution without groups
// as one product for each sample: what lies under place j of the kernel, for all places
// of the output, is a slice of the input. Where the kernel moves in steps, the places of
// the input are first sorted by their remainder, so that no slice has steps: these are slow.
func (g *Graph) unfolded(x, dy string, w window, t Type) string {
	n, m, c := g.Shape(dy)[0], g.Shape(dy)[1], g.Shape(x)[1]
	out := g.Shape(dy)[2:]
	x = g.sorted(x, w, out)
	places := int64(1)
	for _, k := range w.kernel {
		places *= k
	}
	var parts []string
	for j := range places {
		parts = append(parts, g.under(x, w, out, c, j))
	}
	p := g.Type(dy).Elements() / (n * m)
	columns := g.Reshape(g.Concat(1, parts...), n, places*c, p)
	d := g.Sum(g.matmul(g.Reshape(dy, n, m, p), false, columns, true), 0)
	d = g.Transpose(g.Reshape(d, m, places, c), 0, 2, 1)
	return g.Reshape(d, t.Shape...)
}

// sorted pads x as the windows see it and, with steps s, gives it the shape [N, s·s·C, …]:
// the channels of remainder (a, b) begin at (a·s + b)·C.
func (g *Graph) sorted(x string, w window, out tensor.Shape) string {
	rank, s := len(w.kernel), w.strides[0]
	pads := make([]int64, 2*(rank+2))
	padded := g.Type(x)
	padded.Shape = padded.Shape.Clone()
	for i := range rank {
		size := (out[i] + (w.kernel[i]-1)*w.dilations[i]/s) * s
		pads[i+2], pads[rank+4+i] = w.before[i], size-w.before[i]-padded.Shape[i+2] // below 0: what no window sees
		padded.Shape[i+2] = size
	}
	if slices.ContainsFunc(pads, func(n int64) bool { return n != 0 }) {
		x = g.Op("Pad", padded, []string{x, g.Ints(pads...)})
	}
	if s == 1 {
		return x
	}
	padded.Shape = tensor.Shape{padded.Shape[0], padded.Shape[1] * s * s, padded.Shape[2] / s, padded.Shape[3] / s}
	return g.Op("SpaceToDepth", padded, []string{x}, onnx.IntAttr("blocksize", s))
}

// under adds what of c channels lies under place j of the kernel, [N, C, out…].
func (g *Graph) under(x string, w window, out tensor.Shape, c, j int64) string {
	rank, s := len(w.kernel), w.strides[0]
	from, to := make([]int64, rank+1), make([]int64, rank+1)
	phase, scale := int64(0), int64(1)
	for i := rank - 1; i >= 0; i-- {
		at := j % w.kernel[i] * w.dilations[i]
		j /= w.kernel[i]
		phase, scale = phase+at%s*scale, scale*s
		from[i+1], to[i+1] = at/s, at/s+out[i]
	}
	from[0], to[0] = phase*c, (phase+1)*c
	t := Type{g.Type(x).DType, append(tensor.Shape{g.Shape(x)[0], c}, out...)}
	if t.Shape.Equal(g.Shape(x)) {
		return x
	}
	return g.Op("Slice", t, []string{x, g.Ints(from...), g.Ints(to...), g.Ints(axesFrom(1, rank+2)...)})
}

// weights adds the gradient of a convolution's weights [M, C/group, k…] as a
// convolution again: samples take the place of channels, and the gradient of the
// output that of the kernel.
func (g *Graph) weights(x, dy string, w window, t Type) string {
	if w.single() || w.group == 1 && len(w.kernel) == 2 && w.strides[0] == w.strides[1] {
		return g.unfolded(x, dy, w, t)
	}
	n, m, per := g.Shape(x)[0], t.Shape[0], t.Shape[1]
	// x [N, group·per, …] → [per, group·N, …], dy [N, M, …] → [M, N, …]
	spatial := g.Shape(x)[2:]
	rank := len(spatial)
	split := g.Reshape(x, append(tensor.Shape{n, w.group, per}, spatial...)...)
	split = g.Transpose(split, append([]int64{2, 1, 0}, axesFrom(3, 3+rank)...)...)
	in := g.Reshape(split, append(tensor.Shape{per, w.group * n}, spatial...)...)
	kernel := g.exchange(dy, 0, 1)

	turned := w
	turned.kernel, turned.strides, turned.dilations = g.Shape(kernel)[2:], w.dilations, w.strides
	out := tensor.Shape{per, m}
	for i := range rank {
		out = append(out, (spatial[i]+w.before[i]+w.after[i]-(turned.kernel[i]-1)*turned.dilations[i]-1)/turned.strides[i]+1)
	}
	d := g.Op("Conv", Type{t.DType, out}, []string{in, kernel}, turned.attrs()...)
	for i := range rank {
		d = g.Slice(d, i+2, 0, w.kernel[i])
	}
	return g.exchange(d, 0, 1)
}

// exchange adds x with two axes exchanged.
func (g *Graph) exchange(x string, i, j int) string {
	perm := axesFrom(0, len(g.Shape(x)))
	perm[i], perm[j] = perm[j], perm[i]
	return g.Transpose(x, perm...)
}

func convGrad(c *call) {
	x, weight, dy := c.in(0), c.in(1), c.dy[0]
	w := c.window(c.Shape(x), c.Shape(dy), c.Shape(weight)[2:])
	if c.want(0) && w.single() {
		c.give(0, c.forth(dy, weight, w, c.Type(x)))
	} else if c.want(0) {
		c.give(0, c.back(dy, weight, w, c.Type(x)))
	}
	if c.want(1) {
		c.give(1, c.weights(x, dy, w, c.Type(weight)))
	}
	c.giveBias(2)
}

// giveBias gives the bias of a convolution the sum over samples and places.
func (c *call) giveBias(i int) {
	if c.want(i) {
		dy := c.dy[0]
		c.give(i, c.Reshape(c.Sum(dy, without(1, len(c.Shape(dy)))...), c.Shape(dy)[1]))
	}
}

// convTransposeGrad: a transposed convolution is the gradient of a convolution, so
// that convolution is its gradient.
func convTransposeGrad(c *call) {
	x, weight, dy := c.in(0), c.in(1), c.dy[0]
	if c.node.AttrString("auto_pad", "NOTSET") != "NOTSET" || c.node.AttrInts("output_shape") != nil {
		c.failf("no gradient with auto_pad or output_shape")
		return
	}
	w := c.window(c.Shape(dy), c.Shape(x), c.Shape(weight)[2:])
	if c.want(0) {
		c.give(0, c.Op("Conv", c.Type(x), []string{dy, weight}, w.attrs()...))
	}
	if c.want(1) {
		c.give(1, c.weights(dy, x, w, c.Type(weight)))
	}
	c.giveBias(2)
}
