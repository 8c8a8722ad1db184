package quant_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
)

// stack puts what a test adds between two convolutions over images that are
// large enough for integers to pay.
func stack(between func(n *net, x string) string) *onnx.Model {
	n := newNet(17)
	x := n.input("x", 1, 32, 16, 16)
	x = n.conv(x, 64, 32, 3, onnx.IntListAttr("pads", 1, 1, 1, 1))
	x = between(n, x)
	return n.output(n.conv(x, 64, 64, 3, onnx.IntListAttr("pads", 1, 1, 1, 1)))
}

// TestStaticBetween puts operators between two convolutions: those with an
// integer kernel keep the data in integers, those without get floats and give
// floats, with one conversion each way.
func TestStaticBetween(t *testing.T) {
	tests := []struct {
		name    string
		between func(n *net, x string) string
		kernels string // beside the two convolutions
		borders int    // conversions to and from integers, beside the ends
	}{
		{"nothing", func(n *net, x string) string { return x }, "", 0},
		{"Relu", func(n *net, x string) string { return n.op("Relu", []string{x}) }, "Relu:0", 0},
		{"Clip 0 6", func(n *net, x string) string {
			return n.op("Clip", []string{x, n.floats("zero", []float32{0}), n.floats("six", []float32{6})})
		}, "Clip:0", 0},
		{"Clip 0 half", func(n *net, x string) string {
			return n.op("Clip", []string{x, n.floats("zero", []float32{0}), n.floats("half", []float32{0.5})})
		}, "Clip:0", 0},
		{"Clip from zero", func(n *net, x string) string {
			return n.op("Clip", []string{x, n.floats("zero", []float32{0})})
		}, "Clip:0", 0},
		{"Clip -1 1", func(n *net, x string) string {
			return n.op("Clip", []string{x, n.floats("low", []float32{-1}), n.floats("high", []float32{1})})
		}, "Clip:1", 1},
		{"LeakyRelu", func(n *net, x string) string {
			return n.op("LeakyRelu", []string{x}, onnx.FloatAttr("alpha", 0.1))
		}, "QLinearLeakyRelu:1 LeakyRelu:0", 0},
		{"HardSwish", func(n *net, x string) string { return n.op("HardSwish", []string{x}) }, "", 1},
		{"SiLU", func(n *net, x string) string {
			return n.op("Mul", []string{x, n.op("Sigmoid", []string{x})})
		}, "QLinearSigmoid:1 QLinearMul:1 Sigmoid:0 Mul:0", 0},
		{"PRelu", func(n *net, x string) string {
			return n.op("PRelu", []string{x, n.weight("slope", 64, 1, 1)})
		}, "PRelu:1", 1},
		{"residual", func(n *net, x string) string {
			y := n.conv(n.op("Relu", []string{x}), 64, 64, 3, onnx.IntListAttr("pads", 1, 1, 1, 1))
			return n.op("Relu", []string{n.op("Add", []string{y, x})})
		}, "QLinearAdd:1 Add:0 QLinearConv:3", 1}, // the first Relu is not alone in reading x
		{"block of a ResNet", func(n *net, x string) string {
			x = n.op("Relu", []string{x})
			y := n.op("Relu", []string{n.conv(x, 32, 64, 1)})
			y = n.conv(y, 64, 32, 3, onnx.IntListAttr("pads", 1, 1, 1, 1))
			return n.op("Relu", []string{n.op("Add", []string{y, x})})
		}, "QLinearAdd:1 Add:0 Relu:0 QLinearConv:4", 0},
		{"sum with itself", func(n *net, x string) string { return n.op("Add", []string{x, x}) }, "QLinearAdd:1 Add:0", 0},
		{"Concat", func(n *net, x string) string {
			a := n.conv(x, 32, 64, 1)
			b := n.op("Relu", []string{n.conv(x, 32, 64, 3, onnx.IntListAttr("pads", 1, 1, 1, 1))})
			return n.op("Concat", []string{a, b}, onnx.IntAttr("axis", 1))
		}, "QLinearConcat:1 Concat:0", 0},
		{"MaxPool", func(n *net, x string) string {
			return n.op("MaxPool", []string{x}, onnx.IntListAttr("kernel_shape", 2, 2), onnx.IntListAttr("strides", 2, 2))
		}, "NhwcMaxPool:1", 0},
		{"AveragePool", func(n *net, x string) string {
			return n.op("AveragePool", []string{x}, onnx.IntListAttr("kernel_shape", 2, 2), onnx.IntListAttr("strides", 2, 2))
		}, "QLinearAveragePool:1 AveragePool:0", 0},
		{"Resize nearest", func(n *net, x string) string {
			return n.op("Resize", []string{x, "", n.floats("scales", []float32{1, 1, 2, 2}, 4)},
				onnx.StrAttr("mode", "nearest"), onnx.StrAttr("coordinate_transformation_mode", "asymmetric"), onnx.StrAttr("nearest_mode", "floor"))
		}, "Resize:1", 0},
		{"Resize linear", func(n *net, x string) string {
			return n.op("Resize", []string{x, "", n.floats("scales", []float32{1, 1, 2, 2}, 4)}, onnx.StrAttr("mode", "linear"))
		}, "Resize:1", 1},
		{"Split", func(n *net, x string) string {
			n.op("Split", []string{x, n.ints("sizes", 24, 40)}, onnx.IntAttr("axis", 1))
			n.last().Outputs = []string{"left", "right"}
			return n.op("Concat", []string{"right", "left"}, onnx.IntAttr("axis", 1))
		}, "QLinearConcat:1", 0},
		{"Slice", func(n *net, x string) string {
			return n.op("Slice", []string{x, n.ints("from", 0), n.ints("to", 9), n.ints("axes", 2)})
		}, "Slice:1", 0},
		{"Pad", func(n *net, x string) string {
			return n.op("Pad", []string{x, n.ints("pads", 0, 0, 1, 1, 0, 0, 1, 1)})
		}, "Pad:1", 1},
		{"squeeze and excite", func(n *net, x string) string {
			s := n.op("GlobalAveragePool", []string{x})
			s = n.op("Relu", []string{n.conv(s, 16, 64, 1)})
			s = n.op("HardSigmoid", []string{n.conv(s, 64, 16, 1)})
			return n.op("Mul", []string{x, s})
		}, "QLinearGlobalAveragePool:1 QLinearMul:1", -1},
		{"constant factor", func(n *net, x string) string { return n.op("Mul", []string{x, n.weight("factor", 64, 1, 1)}) }, "", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := stack(tt.between)
			r := apply(t, m, options(t, quant.Static)).close(0.06).runs(tt.kernels)
			if r.kernels["QLinearConv"] < 2 {
				t.Errorf("convolutions are not fused: %v", r.kernels)
			}
			if q, dq := r.kernels["QuantizeLinear"], r.kernels["DequantizeLinear"]; tt.borders >= 0 && (q != 1+tt.borders || dq != 1+tt.borders) {
				t.Errorf("%d QuantizeLinear and %d DequantizeLinear, want %d of each: %v", q, dq, 1+tt.borders, r.kernels)
			}
		})
	}
}
