package autodiff

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

var _ = register(map[string]rule{
	"MaxPool":     maxPoolGrad,
	"AveragePool": averagePoolGrad,
	"Resize":      resizeGrad,
})

// maxPoolGrad gives each gradient to the element that won, by the operator's second
// output: indices into the whole input.
func maxPoolGrad(c *call) {
	t := c.Type(c.in(0))
	if c.node.AttrInt("storage_order", 0) != 0 {
		c.failf("no gradient with storage_order")
		return
	}
	if c.out(1) == "" {
		c.node.Outputs = append(c.node.Outputs[:1], c.fresh("indices"))
		c.types[c.out(1)] = Type{tensor.Int64, c.Shape(c.out(0))}
	}
	n := c.Type(c.out(0)).Elements()
	flat := Type{t.DType, tensor.Shape{t.Elements()}}
	c.give(0, c.Reshape(c.scatter(c.Reshape(c.dy[0], n), 0, c.Reshape(c.out(1), n), flat), t.Shape...))
}

// averagePoolGrad spreads each gradient over its window: a transposed convolution of
// every channel by itself with a kernel of ones.
func averagePoolGrad(c *call) {
	t, dy := c.Type(c.in(0)), c.dy[0]
	out := c.Shape(dy)
	kernel := c.node.AttrInts("kernel_shape")
	w := c.window(t.Shape, out, kernel)
	w.group = 1
	mean := c.Div(dy, c.windowCounts(t, out, w))
	one := func(s tensor.Shape) tensor.Shape { return append(tensor.Shape{s[0] * s[1], 1}, s[2:]...) }
	ones := c.Full(Type{t.DType, append(tensor.Shape{1, 1}, kernel...)}, 1)
	d := c.back(c.Reshape(mean, one(out)...), ones, w, Type{t.DType, one(t.Shape)})
	c.give(0, c.Reshape(d, t.Shape...))
}

// windowCounts adds how many elements each window averages, [1, 1, out…].
func (c *call) windowCounts(t Type, out tensor.Shape, w window) string {
	padding := c.node.AttrInt("count_include_pad", 0) != 0
	pads := c.node.AttrInts("pads")
	counts := []float64{1}
	for i, k := range w.kernel {
		size, end := t.Shape[i+2], t.Shape[i+2]
		lo := int64(0)
		if padding {
			lo, end = -w.before[i], size+w.after[i]
			if len(pads) == 2*len(w.kernel) { // beyond the padding nothing counts
				end = size + pads[len(w.kernel)+i]
			}
		}
		var next []float64
		for _, f := range counts {
			for o := range out[i+2] {
				n := 0.0
				for j := range k {
					if at := o*w.strides[i] - w.before[i] + j*w.dilations[i]; at >= lo && at < end {
						n++
					}
				}
				next = append(next, f*max(n, 1))
			}
		}
		counts = next
	}
	shape := append(tensor.Shape{1, 1}, out[2:]...)
	if t.DType == tensor.Float64 {
		return c.Tensor(tensor.Of(tensor.Float64, shape, counts))
	}
	single := make([]float32, len(counts))
	for i, f := range counts {
		single[i] = float32(f)
	}
	return c.Tensor(tensor.Of(tensor.Float32, shape, single))
}

// resizeGrad uses that resizing is a product with a matrix along each axis, which the
// operator itself gives when it resizes the unit matrix.
func resizeGrad(c *call) {
	if c.node.AttrString("coordinate_transformation_mode", "") == "tf_crop_and_resize" || c.node.AttrInts("axes") != nil {
		c.failf("no gradient of cropping, or with axes")
		return
	}
	in, d := c.Shape(c.in(0)), c.dy[0]
	for axis := range in {
		m := c.Shape(d)[axis]
		if in[axis] == m && !c.scaled(axis) {
			continue
		}
		matrix := c.resizeMatrix(axis, in[axis], m) // [n, m]
		last := len(in) - 1
		moved := c.exchange(d, axis, last)
		d = c.exchange(c.matmul(moved, false, matrix, true), axis, last)
	}
	c.give(0, d)
}

// scaled reports whether the node scales an axis that keeps its size.
func (c *call) scaled(axis int) bool {
	s, ok := c.Constant(c.in(2))
	if !ok || s.Len() <= axis || s.DType != tensor.Float32 {
		return false
	}
	return tensor.As[float32](s.Data)[axis] != 1
}

// resizeMatrix adds the matrix [n, m] whose row i is element i alone, resized.
func (c *call) resizeMatrix(axis int, n, m int64) string {
	d := c.Type(c.in(0)).DType
	eye := c.Op("EyeLike", Type{d, tensor.Shape{n, n}}, []string{c.Full(Type{d, tensor.Shape{n, n}}, 0)})
	row := c.Reshape(eye, n, 1, 1, n)
	in := []string{row, ""}
	scales, ok := c.Constant(c.in(2))
	if ok && scales.Len() > axis {
		f := tensor.As[float32](scales.Data)[axis]
		in = append(in, c.Tensor(tensor.Of(tensor.Float32, tensor.Shape{4}, []float32{1, 1, 1, f})))
	} else {
		in = append(in, "", c.Ints(n, 1, 1, m))
	}
	var attrs []*onnx.Attribute
	for _, a := range c.node.Attrs {
		if a.Name != "keep_aspect_ratio_policy" {
			attrs = append(attrs, a)
		}
	}
	return c.Reshape(c.Op("Resize", Type{d, tensor.Shape{n, 1, 1, m}}, in, attrs...), n, m)
}
