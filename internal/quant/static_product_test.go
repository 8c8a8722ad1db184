package quant_test

import (
	"fmt"
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
)

// gemm adds a Gemm with a bias, its weight stored as [out, in] when turned.
func (n *net) gemm(x string, in, out int64, turned bool) string {
	name := fmt.Sprintf("%s_%d", x, n.made)
	if turned {
		return n.op("Gemm", []string{x, n.weight(name+"_w", out, in), n.weight(name+"_b", out)}, onnx.IntAttr("transB", 1))
	}
	return n.op("Gemm", []string{x, n.weight(name+"_w", in, out), n.weight(name+"_b", out)})
}

func TestStaticProducts(t *testing.T) {
	tests := []struct {
		name    string
		build   func(n *net) string
		kernels string // with com.microsoft operators; the QDQ form fuses some to QGemm instead
	}{
		{"MatMul", func(n *net) string {
			return n.op("MatMul", []string{n.input("x", 4, 64, 64), n.weight("w", 64, 128)})
		}, "MatMulIntegerToFloat:1"},
		{"MatMul of a vector", func(n *net) string {
			return n.op("MatMul", []string{n.input("x", 64), n.weight("w", 64, 64)})
		}, ""},
		{"MatMul and bias", func(n *net) string {
			y := n.op("MatMul", []string{n.input("x", 4, 64, 64), n.weight("w", 64, 128)})
			return n.op("Add", []string{n.weight("b", 128), y})
		}, "MatMulIntegerToFloat:1 Add:0"},
		{"MatMul, bias and Relu", func(n *net) string {
			y := n.op("MatMul", []string{n.input("x", 4, 64, 64), n.weight("w", 64, 128)})
			return n.op("Relu", []string{n.op("Add", []string{y, n.weight("b", 128)})})
		}, "MatMulIntegerToFloat:1 Add:0 Relu:1"},
		{"MatMul and a sum that is no bias", func(n *net) string {
			y := n.op("MatMul", []string{n.input("x", 4, 64, 64), n.weight("w", 64, 128)})
			return n.op("Add", []string{y, n.weight("b", 64, 128)})
		}, "MatMulIntegerToFloat:1 Add:1"},
		{"MatMuls with one input", func(n *net) string {
			x := n.input("x", 4, 64, 64)
			a, b := n.op("MatMul", []string{x, n.weight("w", 64, 128)}), n.op("MatMul", []string{x, n.weight("v", 64, 128)})
			return n.op("Tanh", []string{n.op("Sub", []string{a, b})})
		}, "MatMulIntegerToFloat:2 QuantizeLinear:1"},
		{"weight in two MatMuls", func(n *net) string {
			w := n.weight("w", 128, 128)
			a := n.op("MatMul", []string{n.input("x", 4, 64, 128), w})
			return n.op("MatMul", []string{n.op("Tanh", []string{a}), w})
		}, "MatMulIntegerToFloat:2"},
		{"Gemm", func(n *net) string { return n.gemm(n.input("x", 128, 64), 64, 128, false) }, "MatMulIntegerToFloat:1 Gemm:0"},
		{"Gemm turned", func(n *net) string { return n.gemm(n.input("x", 128, 64), 64, 128, true) }, "MatMulIntegerToFloat:1 Gemm:0"},
		{"Gemm without bias", func(n *net) string {
			return n.op("Gemm", []string{n.input("x", 128, 64), n.weight("w", 64, 128)})
		}, "Gemm:0"},
		{"Gemm, Relu, Gemm", func(n *net) string {
			y := n.op("Relu", []string{n.gemm(n.input("x", 128, 64), 64, 96, true)})
			return n.gemm(y, 96, 48, true)
		}, "Gemm:0 Relu:0 QGemm:1 MatMulIntegerToFloat:1"},
		{"Gemm with factors", func(n *net) string {
			return n.op("Gemm", []string{n.input("x", 128, 64), n.weight("w", 64, 128), n.weight("b", 128, 128)}, onnx.FloatAttr("alpha", 0.5))
		}, "Gemm:0 DynamicQuantizeMatMul:1"},
		{"classifier", func(n *net) string {
			x := n.op("Relu", []string{n.conv(n.input("x", 1, 32, 16, 16), 64, 32, 3)})
			x = n.op("Flatten", []string{n.op("GlobalAveragePool", []string{x})})
			x = n.op("Relu", []string{n.gemm(x, 64, 128, true)})
			return n.gemm(x, 128, 32, true)
		}, "QLinearConv:1 QLinearGlobalAveragePool:1"},
		{"tied head", func(n *net) string {
			ids := n.op("Cast", []string{n.op("Abs", []string{n.input("x", 8, 32)})}, onnx.IntAttr("to", 7))
			table := n.weight("table", 128, 64)
			h := n.op("Tanh", []string{n.op("Gather", []string{table, ids})})
			return n.op("MatMul", []string{h, n.op("Transpose", []string{table}, onnx.IntListAttr("perm", 1, 0))})
		}, "MatMulIntegerToFloat:1 MatMul:0"},
	}
	for i, tt := range tests {
		for _, form := range []quant.Form{quant.AutoForm, quant.QDQ} {
			for _, perTensor := range []bool{false, true} {
				if form == quant.QDQ && perTensor != (i%2 == 0) {
					continue
				}
				t.Run(fmt.Sprintf("%s %s per tensor %v", tt.name, form, perTensor), func(t *testing.T) {
					n := newNet(17)
					m := n.output(tt.build(n))
					o := options(t, quant.Static, func(o *quant.Options) { o.Form, o.PerTensor = form, perTensor })
					r := apply(t, m, o).close(0.04).runs("MatMul:0 Gemm:0").floatsBelow(1 << 15)
					if form == quant.AutoForm {
						r.runs(tt.kernels)
					} else if v := r.model.Opset("com.microsoft"); v != 0 {
						t.Errorf("operators of com.microsoft in the portable form")
					}
				})
			}
		}
	}
}

// TestStaticMask: a mask of −3.4e38 never decides a scale.
func TestStaticMask(t *testing.T) {
	for _, calibrator := range quant.Calibrators {
		t.Run(string(calibrator), func(t *testing.T) {
			n := newNet(17)
			x := n.conv(n.input("x", 1, 32, 16, 16), 64, 32, 3)
			mask := n.op("Mul", []string{n.op("Clip", []string{n.op("Ceil", []string{n.input("m", 1, 64, 14, 14)}),
				n.floats("low", []float32{0}), n.floats("one", []float32{1})}), n.floats("far", []float32{-3.4028235e38})})
			scores := n.op("Add", []string{x, mask})
			weights := n.op("Softmax", []string{scores}, onnx.IntAttr("axis", -1))
			y := n.conv(n.op("Mul", []string{weights, x}), 64, 64, 3)
			o := options(t, quant.Static, func(o *quant.Options) { o.Calibrator = calibrator })
			apply(t, n.output(y, weights), o).close(0.1).runs("QLinearAdd:0")
		})
	}
}

// TestStaticInfinities: activations that are infinite stay float.
func TestStaticInfinities(t *testing.T) {
	for _, calibrator := range quant.Calibrators {
		for _, smooth := range []float64{quant.SmoothOff, quant.SmoothAuto, 0.5} {
			t.Run(fmt.Sprint(calibrator, smooth), func(t *testing.T) {
				n := newNet(17)
				x := n.input("x", 1, 32, 16, 16)
				x = n.conv(x, 64, 32, 3)
				infinite := n.op("Div", []string{n.op("Abs", []string{x}), n.floats("nothing", []float32{0})})
				ones := slices.Repeat([]float32{1}, 64*64*9)
				y := n.op("Conv", []string{infinite, n.floats("v", ones, 64, 64, 3, 3)})
				z := n.op("MatMul", []string{infinite, n.floats("w", ones[:14*64], 14, 64)})
				o := options(t, quant.Static, func(o *quant.Options) { o.Calibrator, o.Smooth = calibrator, smooth })
				m := n.output(x, n.op("IsInf", []string{y}), n.op("IsInf", []string{z}))
				source := marshal(t, m)
				if _, plan, err := rewrite(t, source, o, 1); err != nil {
					t.Fatal(err)
				} else if !isLeft(plan, "Conv", "infinite") {
					t.Errorf("no reason for Conv: %+v", plan.Unchanged)
				}
			})
		}
	}
}

// TestSharedWeightIsStoredOnce: smoothing would need a copy for each input.
func TestSharedWeightIsStoredOnce(t *testing.T) {
	n := newNet(17)
	w := n.weight("w", 128, 128)
	x := n.op("Mul", []string{n.input("x", 64, 128), n.floats("outliers", slices.Repeat([]float32{1, 1, 1, 30}, 32), 128)})
	a := n.op("MatMul", []string{x, w})
	m := n.output(n.op("MatMul", []string{n.op("Tanh", []string{a}), w}))
	r := apply(t, m, options(t, quant.Static, func(o *quant.Options) { o.Smooth = 0.5 })).close(0.1)
	if len(r.bytes) > 128*128+8000 {
		t.Errorf("%d bytes", len(r.bytes))
	}
}
