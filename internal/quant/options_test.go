package quant_test

import (
	"bytes"
	"fmt"
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// mixed has convolutions, a residual, pooling, products and a tied head.
func mixed() *onnx.Model {
	n := newNet(17)
	x := n.op("Relu", []string{n.conv(n.input("x", 1, 32, 12, 12), 64, 32, 3, onnx.IntListAttr("pads", 1, 1, 1, 1))})
	y := n.op("Relu", []string{n.conv(x, 64, 64, 3, onnx.IntListAttr("pads", 1, 1, 1, 1))})
	x = n.op("Relu", []string{n.op("Add", []string{n.conv(y, 64, 64, 1), x})})
	x = n.op("Transpose", []string{n.op("Reshape", []string{x, n.ints("rows", 64, 144)})}, onnx.IntListAttr("perm", 1, 0))
	x = n.op("LayerNormalization", []string{x, n.weight("ln_w", 64), n.weight("ln_b", 64)})
	x = n.op("Add", []string{n.op("MatMul", []string{x, n.weight("up", 64, 256)}), n.weight("up_b", 256)})
	x = n.op("Tanh", []string{x})
	x = n.op("MatMul", []string{x, n.weight("down", 256, 64)})
	return n.output(n.gemm(x, 64, 96, true))
}

// tolerance of the relative error for weights of that many bits.
func tolerance(bits int, perTensor bool) float64 {
	t := []float64{0, 0, 1.2, 0.6, 0.25, 0.12, 0.08, 0.05, 0.04}[bits]
	if perTensor {
		t *= 1.5
	}
	return t
}

func TestBits(t *testing.T) {
	source := mixed()
	for bits := 2; bits <= 8; bits++ {
		for _, method := range []quant.Method{quant.Dynamic, quant.Static} {
			t.Run(fmt.Sprint(method, bits), func(t *testing.T) {
				r := apply(t, source, options(t, method, func(o *quant.Options) { o.Bits = bits }))
				r.close(tolerance(bits, false))
				checkRange(t, r.model, 1<<(bits-1)-1)
			})
		}
	}
}

// checkRange checks that 8-bit weights stay within a magnitude and reach it.
func checkRange(t *testing.T, m *onnx.Model, limit int) {
	t.Helper()
	seen := 0
	for _, i := range m.Graph.Initializers {
		if i.DType != tensor.Int8 || i.Elements() < 256 {
			continue
		}
		b, err := i.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		top := 0
		for _, v := range tensor.As[int8](b) {
			top = max(top, int(v), -int(v))
		}
		if top != limit {
			t.Errorf("weight %q reaches %d, want %d", i.Name, top, limit)
		}
		seen++
	}
	if seen == 0 {
		t.Error("no integer weights")
	}
}

func TestTargets(t *testing.T) {
	source := mixed()
	for name, limit := range map[string]int{"vnni": 127, "avx2": 64, "arm64": 127} {
		for _, method := range []quant.Method{quant.Dynamic, quant.Static} {
			t.Run(name+" "+string(method), func(t *testing.T) {
				target, err := quant.ParseTarget(name)
				if err != nil {
					t.Fatal(err)
				}
				r := apply(t, source, options(t, method, func(o *quant.Options) { o.Target = target })).close(0.06)
				checkRange(t, r.model, limit)
			})
		}
	}
	if host, err := quant.ParseTarget("host"); err != nil || host.Name == "" || host.WeightMax == 0 {
		t.Errorf("host: %+v, %v", host, err)
	}
	if _, err := quant.ParseTarget("sparc"); err == nil {
		t.Error("target sparc was accepted")
	}
}

// TestStaticOptions runs what a static run can be told: for every calibrator
// all scopes of scales with all kinds of smoothing, in changing forms.
func TestStaticOptions(t *testing.T) {
	source := mixed()
	smoothings := []float64{quant.SmoothAuto, quant.SmoothOff, 0.5}
	for i := range 6 * len(quant.Calibrators) {
		o := options(t, quant.Static, func(o *quant.Options) {
			o.Calibrator, o.Smooth = quant.Calibrators[i/6], smoothings[i%3]
			o.PerTensor, o.Symmetric = i%2 == 1, i/2%2 == 1
			if i/5%2 == 1 {
				o.Form = quant.QDQ
			}
		})
		name := fmt.Sprintf("%s %s per tensor %v symmetric %v smooth %v", o.Calibrator, o.Form, o.PerTensor, o.Symmetric, o.Smooth)
		t.Run(name, func(t *testing.T) {
			limit := 0.06
			if o.Calibrator == quant.Entropy { // clips harder than the error justifies
				limit = 0.15
			}
			r := apply(t, source, o).close(limit)
			r.runs("QLinearConv:3 QLinearAdd:1 Conv:0 MatMul:0 Gemm:0").floatsBelow(256)
			if o.Symmetric {
				checkSymmetric(t, r.model)
			}
			smoothed := r.kernels["Mul"] - r.kernels["Cast"] // a standard product has one of each
			if got := smoothed > 0; o.Smooth == quant.SmoothOff && got || o.Smooth > 0 && !got {
				t.Errorf("smoothing %v: kernels %v", o.Smooth, r.kernels)
			}
		})
	}
}

// checkSymmetric checks that zero points of activations lie at the bottom or in
// the middle.
func checkSymmetric(t *testing.T, m *onnx.Model) {
	t.Helper()
	for _, i := range m.Graph.Initializers {
		if i.DType != tensor.Uint8 || i.Elements() != 1 {
			continue
		}
		b, err := i.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if b[0] != 0 && b[0] != 128 {
			t.Errorf("zero point %q is %d", i.Name, b[0])
		}
	}
}

// TestSameBytes: the result depends on the model, the data and the options
// alone.
func TestSameBytes(t *testing.T) {
	source := marshal(t, mixed())
	for _, method := range []quant.Method{quant.Dynamic, quant.WeightOnly, quant.Static} {
		for _, smooth := range []float64{quant.SmoothAuto, 0.5} {
			var first []byte
			for i, workers := range []int{1, 3, 1, 2} {
				b, _, err := rewrite(t, source, options(t, method, func(o *quant.Options) { o.Smooth = smooth }), workers)
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					first = b
				} else if !bytes.Equal(b, first) {
					t.Errorf("%s: run %d with %d workers gives other bytes", method, i, workers)
				}
			}
		}
	}
}

func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		format     quant.Format
		method     quant.Method
		calibrated bool
		want       quant.Method
	}{
		{quant.Int8, quant.Auto, false, quant.Dynamic}, {quant.Int8, quant.Auto, true, quant.Static},
		{quant.Int8, quant.Dynamic, true, quant.Dynamic}, {quant.Int8, quant.WeightOnly, true, quant.WeightOnly},
		{quant.Int4, quant.Auto, false, quant.HQQ}, {quant.Int4, quant.Auto, true, quant.GPTQ},
	} {
		o := quant.Options{Format: tt.format, Method: tt.method}
		if o.Resolve(tt.calibrated); o.Method != tt.want {
			t.Errorf("%s, calibrated %v: %s, want %s", tt.method, tt.calibrated, o.Method, tt.want)
		}
	}
}
