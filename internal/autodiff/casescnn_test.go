package autodiff_test

import (
	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

func list64(name string, v ...int64) *onnx.Attribute { return onnx.IntListAttr(name, v...) }

func convCases() []ruleCase {
	conv := func(name string, out shape, x, w at, attrs ...*onnx.Attribute) ruleCase {
		return one("Conv", out, list(x, w, r(w.shape[0])), attrs...).single().called(name)
	}
	back := func(name string, out shape, x, w at, attrs ...*onnx.Attribute) ruleCase {
		c := one("ConvTranspose", out, list(x, w, r(out[1])), attrs...).single().called(name)
		return c
	}
	group := func(n int64) *onnx.Attribute { return onnx.IntAttr("group", n) }
	return []ruleCase{
		conv("1x1", shape{2, 3, 2, 2}, r(2, 2, 2, 2), r(3, 2, 1, 1)),
		conv("3x3 padded", shape{2, 3, 4, 5}, r(2, 2, 4, 5), r(3, 2, 3, 3), list64("pads", 1, 1, 1, 1)),
		conv("stride leaves a rest", shape{1, 2, 2, 3}, r(1, 2, 6, 7), r(2, 2, 3, 3), list64("strides", 2, 2)),
		conv("stride and padding", shape{2, 2, 3, 3}, r(2, 1, 6, 6), r(2, 1, 3, 3), list64("strides", 2, 2), list64("pads", 1, 1, 1, 1)),
		conv("dilated", shape{1, 2, 3, 2}, r(1, 2, 7, 4), r(2, 2, 3, 2), list64("dilations", 2, 2)),
		conv("dilated, strided, uneven padding", shape{1, 2, 3, 2}, r(1, 1, 7, 4), r(2, 1, 3, 2), list64("dilations", 2, 2), list64("strides", 2, 3), list64("pads", 1, 0, 1, 2)),
		conv("groups", shape{2, 4, 2, 2}, r(2, 4, 4, 4), r(4, 2, 3, 3), group(2)),
		conv("depthwise", shape{2, 3, 2, 2}, r(2, 3, 4, 4), r(3, 1, 3, 3), group(3)),
		conv("depthwise multiplied", shape{2, 4, 4, 4}, r(2, 2, 4, 4), r(4, 1, 3, 3), group(2), list64("pads", 1, 1, 1, 1)),
		conv("same upper", shape{1, 1, 3, 3}, r(1, 1, 5, 6), r(1, 1, 2, 3), list64("strides", 2, 2), onnx.StrAttr("auto_pad", "SAME_UPPER")),
		conv("same lower", shape{1, 1, 3, 3}, r(1, 1, 5, 6), r(1, 1, 2, 3), list64("strides", 2, 2), onnx.StrAttr("auto_pad", "SAME_LOWER")),
		conv("one dimension", shape{2, 3, 4}, r(2, 2, 5), r(3, 2, 2)),
		conv("three dimensions", shape{1, 2, 2, 2, 2}, r(1, 1, 3, 3, 3), r(2, 1, 2, 2, 2)),
		one("Conv", shape{1, 1, 2, 2}, list(r(1, 1, 3, 3), r(1, 1, 2, 2))).single().called("no bias"),
		back("plain", shape{2, 3, 4, 4}, r(2, 2, 3, 3), r(2, 3, 2, 2)),
		back("strided", shape{1, 2, 6, 6}, r(1, 2, 3, 3), r(2, 2, 3, 3), list64("strides", 2, 2), list64("pads", 1, 1, 1, 1), list64("output_padding", 1, 1)),
		back("groups, dilated", shape{1, 4, 5, 5}, r(1, 2, 3, 3), r(2, 2, 2, 2), group(2), list64("dilations", 2, 2)),
	}
}

func poolCases() []ruleCase {
	pool := func(op, name string, out shape, x at, attrs ...*onnx.Attribute) ruleCase {
		return one(op, out, list(x), append(attrs, list64("kernel_shape", 3, 2))...).single().called(name)
	}
	pads, strides := list64("pads", 1, 0, 1, 1), list64("strides", 2, 1)
	include, ceil := onnx.IntAttr("count_include_pad", 1), onnx.IntAttr("ceil_mode", 1)
	x, y := apart(2, 2, 5, 4), r(2, 2, 5, 4)
	return []ruleCase{
		pool("MaxPool", "plain", shape{2, 2, 3, 3}, x),
		pool("MaxPool", "padded, overlapping", shape{2, 2, 3, 4}, x, pads, strides),
		pool("AveragePool", "plain", shape{2, 2, 3, 3}, y),
		pool("AveragePool", "padded", shape{2, 2, 3, 4}, y, pads, strides),
		pool("AveragePool", "padding counts", shape{2, 2, 3, 4}, y, pads, strides, include),
		pool("AveragePool", "rounded up", shape{1, 1, 3, 2}, r(1, 1, 6, 4), list64("strides", 2, 2), ceil),
		pool("AveragePool", "rounded up, padding counts", shape{1, 1, 4, 3}, r(1, 1, 6, 4), list64("strides", 2, 2), list64("pads", 1, 1, 1, 0), ceil, include),
		pool("AveragePool", "same", shape{1, 1, 3, 2}, r(1, 1, 5, 4), list64("strides", 2, 2), onnx.StrAttr("auto_pad", "SAME_UPPER")),
	}
}

func resizeCases() []ruleCase {
	var out []ruleCase
	add := func(mode, coordinates string, size shape, attrs ...*onnx.Attribute) {
		attrs = append(attrs, onnx.StrAttr("mode", mode), onnx.StrAttr("coordinate_transformation_mode", coordinates))
		out = append(out, ruleCase{op: "Resize", name: mode + " " + coordinates, f32: true, in: list(r(1, 2, 3, 4)), build: func(g *autodiff.Graph, v []string) string {
			return g.Op("Resize", autodiff.Type{DType: tensor.Float32, Shape: size}, []string{v[0], "", "", g.Ints(size...)}, attrs...)
		}})
	}
	add("nearest", "asymmetric", shape{1, 2, 6, 8}, onnx.StrAttr("nearest_mode", "floor"))
	add("nearest", "half_pixel", shape{1, 2, 5, 3})
	add("linear", "half_pixel", shape{1, 2, 6, 7})
	add("linear", "align_corners", shape{1, 2, 5, 8})
	add("linear", "pytorch_half_pixel", shape{1, 2, 2, 2})
	add("cubic", "half_pixel", shape{1, 2, 6, 8}, onnx.FloatAttr("cubic_coeff_a", -0.75))
	return append(out, ruleCase{op: "Resize", name: "scales", f32: true, in: list(r(1, 2, 3, 4)), build: func(g *autodiff.Graph, v []string) string {
		scales := g.Tensor(tensor.Of(tensor.Float32, shape{4}, []float32{1, 1, 1.7, 2}))
		return g.Op("Resize", autodiff.Type{DType: tensor.Float32, Shape: shape{1, 2, 5, 8}}, []string{v[0], "", scales}, onnx.StrAttr("mode", "linear"))
	}})
}

func otherCases() []ruleCase {
	eps := onnx.FloatAttr("epsilon", 1e-2)
	mean := tensor.Of(tensor.Float32, shape{3}, []float32{0.1, -0.2, 0.3})
	variance := tensor.Of(tensor.Float32, shape{3}, []float32{0.5, 1, 2})
	einsum := func(equation string, out shape, in ...at) ruleCase {
		return one("Einsum", out, in, onnx.StrAttr("equation", equation)).called(equation)
	}
	return []ruleCase{
		one("BatchNormalization", nil, list(r(2, 3, 2, 2), r(3), r(3)), eps).single().with(mean, variance),
		one("GroupNormalization", nil, list(r(2, 4, 3), r(4), r(4)), eps, onnx.IntAttr("num_groups", 2)).single(),
		einsum("ij,jk->ik", shape{2, 4}, r(2, 3), r(3, 4)),
		einsum("bhid, bhjd -> bhij", shape{2, 2, 2, 3}, r(2, 2, 2, 2), r(2, 2, 3, 2)),
		einsum("i,j->ij", shape{2, 3}, r(2), r(3)),
		einsum("ij->ji", shape{3, 2}, r(2, 3)),
	}
}
