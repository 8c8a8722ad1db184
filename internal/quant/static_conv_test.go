package quant_test

import (
	"fmt"
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
)

// conv adds a convolution with a bias.
func (n *net) conv(x string, out, in, k int64, attrs ...*onnx.Attribute) string {
	name := fmt.Sprintf("%s_%d", x, n.made)
	w := n.weight(name+"_w", out, in, k, k)
	return n.op("Conv", []string{x, w, n.weight(name+"_b", out)}, attrs...)
}

func TestStaticConv(t *testing.T) {
	tests := []struct {
		name    string
		build   func(n *net, x string) string
		kernels string
	}{
		{"plain", func(n *net, x string) string { return n.conv(x, 64, 32, 3) }, "QLinearConv:1 Conv:0"},
		{"no bias", func(n *net, x string) string {
			return n.op("Conv", []string{x, n.weight("w", 64, 32, 3, 3)})
		}, "QLinearConv:1 Conv:0"},
		{"groups", func(n *net, x string) string {
			return n.conv(n.conv(x, 64, 32, 3), 64, 16, 3, onnx.IntAttr("group", 4))
		}, "QLinearConv:2 Conv:0"},
		{"depthwise", func(n *net, x string) string {
			x = n.conv(x, 64, 32, 3)
			x = n.conv(x, 64, 1, 3, onnx.IntAttr("group", 64))
			return n.conv(x, 64, 64, 1)
		}, "QLinearConv:3 Conv:0"},
		{"1x1", func(n *net, x string) string { return n.conv(n.conv(x, 128, 32, 3), 64, 128, 1) }, "QLinearConv:2 Conv:0"},
		{"stride", func(n *net, x string) string {
			return n.conv(x, 128, 32, 3, onnx.IntListAttr("strides", 2, 2), onnx.IntListAttr("pads", 1, 1, 1, 1))
		}, "QLinearConv:1 Conv:0"},
		{"dilation", func(n *net, x string) string {
			return n.conv(x, 128, 32, 3, onnx.IntListAttr("dilations", 2, 2))
		}, "QLinearConv:1 Conv:0"},
		{"same padding", func(n *net, x string) string {
			return n.conv(x, 64, 32, 3, onnx.StrAttr("auto_pad", "SAME_UPPER"))
		}, "QLinearConv:1 Conv:0"},
		{"shared weight", func(n *net, x string) string {
			w := n.weight("w", 32, 32, 3, 3)
			a := n.op("Conv", []string{x, w}, onnx.IntListAttr("pads", 1, 1, 1, 1))
			return n.op("Conv", []string{a, w}, onnx.IntListAttr("pads", 1, 1, 1, 1))
		}, "QLinearConv:2 Conv:0"},
		{"shared weight and bias", func(n *net, x string) string {
			w, b := n.weight("w", 32, 32, 3, 3), n.weight("b", 32)
			a := n.op("Conv", []string{x, w, b}, onnx.IntListAttr("pads", 1, 1, 1, 1))
			return n.op("Conv", []string{a, w, b}, onnx.IntListAttr("pads", 1, 1, 1, 1))
		}, "QLinearConv:2 Conv:0"},
		{"batch normalization", func(n *net, x string) string {
			x = n.op("Conv", []string{x, n.weight("w", 64, 32, 3, 3)})
			v := n.normal(64, 1)
			for i := range v {
				v[i] = v[i]*v[i] + 0.1
			}
			return n.op("BatchNormalization", []string{x, n.weight("s", 64), n.weight("b", 64), n.weight("m", 64), n.floats("v", v, 64)})
		}, "QLinearConv:1 Conv:0 BatchNormalization:0"},
		{"unused output beside it", func(n *net, x string) string {
			n.conv(x, 64, 32, 5)
			return n.op("Conv", []string{x, n.weight("w", 64, 32, 3, 3)})
		}, "QLinearConv:1 Conv:0"},
	}
	for i, tt := range tests {
		for _, method := range []string{"per channel", "per tensor"} {
			if method == "per tensor" && i > 3 {
				continue // plain, without bias, groups, depthwise are enough
			}
			t.Run(tt.name+" "+method, func(t *testing.T) {
				n := newNet(17)
				m := n.output(tt.build(n, n.input("x", 1, 32, 24, 24)))
				o := options(t, quant.Static, func(o *quant.Options) { o.PerTensor = method == "per tensor" })
				apply(t, m, o).close(0.03).runs(tt.kernels).runs("QuantizeLinear:1 DequantizeLinear:1").floatsBelow(256)
			})
		}
	}
}

func TestStaticConvIsLeft(t *testing.T) {
	rank := func(dims ...int64) func(n *net, x string) string {
		return func(n *net, x string) string {
			image := append([]int64{1}, dims[1:]...)
			for i := range image[2:] {
				image[2+i] = 6
			}
			return n.op("Conv", []string{n.input("y", image...), n.weight("odd", dims...)})
		}
	}
	tests := []struct {
		name, op, words string
		build           func(n *net, x string) string
	}{
		{"one dimension", "Conv", "two spatial dimensions", rank(8, 4, 3)},
		{"three dimensions", "Conv", "two spatial dimensions", rank(8, 4, 3, 3, 3)},
		{"computed bias", "Conv", "bias", func(n *net, x string) string {
			return n.op("Conv", []string{x, n.weight("w", 8, 32, 3, 3), n.op("Abs", []string{n.input("b", 8)})})
		}},
		{"tiny image", "Conv", "conversions around it", func(n *net, x string) string {
			x = n.op("GlobalAveragePool", []string{n.op("Tanh", []string{x})})
			return n.op("Tanh", []string{n.conv(x, 4, 32, 1)})
		}},
		{"transposed", "ConvTranspose", "no integer kernel", func(n *net, x string) string {
			return n.op("ConvTranspose", []string{x, n.weight("w", 32, 8, 3, 3)})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNet(17)
			x := n.input("x", 1, 32, 16, 16)
			m := n.output(n.conv(x, 64, 32, 3), tt.build(n, x))
			apply(t, m, options(t, quant.Static)).close(0.03).left(tt.op, tt.words).runs("QLinearConv:1 " + tt.op + ":1")
		})
	}
}

// TestStaticOldOperators: a model of opset 11 is raised first.
func TestStaticOldOperators(t *testing.T) {
	n := newNet(11)
	x := n.conv(n.input("x", 1, 32, 16, 16), 64, 32, 3)
	x = n.op("Clip", []string{x, n.floats("zero", []float32{0}), n.floats("six", []float32{6})})
	x = n.op("Unsqueeze", []string{n.op("ReduceSum", []string{n.conv(x, 64, 64, 3)}, onnx.IntListAttr("axes", 2, 3), onnx.IntAttr("keepdims", 0))},
		onnx.IntListAttr("axes", 2))
	r := apply(t, n.output(x), options(t, quant.Static)).close(0.05).runs("QLinearConv:2 Conv:0 Clip:0")
	if v := r.model.Opset(""); v < 13 {
		t.Errorf("opset %d", v)
	}
}

// TestStaticOutputs: values that are outputs of the graph keep name and type,
// whoever else reads them.
func TestStaticOutputs(t *testing.T) {
	n := newNet(17)
	x := n.input("x", 1, 32, 16, 16)
	a := n.conv(x, 64, 32, 3)
	b := n.op("Relu", []string{a})
	c := n.conv(b, 64, 64, 3)
	d := n.op("MaxPool", []string{c}, onnx.IntListAttr("kernel_shape", 2, 2))
	e := n.op("Softmax", []string{b}, onnx.IntAttr("axis", 1))
	apply(t, n.output(a, b, c, d, e, x), options(t, quant.Static)).close(0.05).runs("QLinearConv:2 Conv:0")
}

// TestStaticConstantActivations: values that never change, zero among them,
// have codes like others.
func TestStaticConstantActivations(t *testing.T) {
	for _, factor := range []float32{0, 1e-30, 3} {
		n := newNet(17)
		x := n.input("x", 1, 32, 16, 16)
		flat := n.op("Clip", []string{x, n.floats("low", []float32{factor}), n.floats("high", []float32{factor})})
		y := n.conv(n.op("Add", []string{flat, flat}), 64, 32, 3)
		z := n.conv(x, 64, 32, 3)
		m := n.output(y, z)
		apply(t, m, options(t, quant.Static)).close(0.03)
		apply(t, m, options(t, quant.Static, func(o *quant.Options) { o.Calibrator = quant.MinMax })).close(0.03)
	}
}

// TestStaticSmallBesideLarge: scores beside coordinates in one tensor, as
// detectors have them, keep their resolution.
func TestStaticSmallBesideLarge(t *testing.T) {
	n := newNet(17)
	x := n.op("Relu", []string{n.conv(n.input("x", 1, 32, 16, 16), 64, 32, 3)})
	v := n.normal(4*64*9, 100)
	boxes := n.op("Conv", []string{x, n.floats("boxes_w", v, 4, 64, 3, 3)})
	scores := n.op("Sigmoid", []string{n.op("Conv", []string{x, n.floats("scores_w", n.normal(64*64*9, 0.02), 64, 64, 3, 3)})})
	all := n.op("Concat", []string{boxes, scores}, onnx.IntAttr("axis", 1))
	out := n.op("Slice", []string{all, n.ints("from", 4), n.ints("to", 68), n.ints("axes", 1)})
	apply(t, n.output(out, boxes), options(t, quant.Static)).close(0.03).runs("QLinearConv:3 QLinearConcat:0")
}
