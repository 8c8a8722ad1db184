package quant_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// typed adds a weight of another float type.
func (n *net) typed(t testing.TB, name string, d tensor.DType, dims ...int64) string {
	t.Helper()
	count, err := tensor.Shape(dims).Elements()
	if err != nil {
		t.Fatal(err)
	}
	v, err := tensor.Convert(tensor.Of(tensor.Float32, tensor.Shape(dims), n.normal(count, 0.2)), d)
	if err != nil {
		t.Fatal(err)
	}
	return n.tensor(name, v)
}

// halves multiplies in another float type.
func (n *net) halves(t testing.TB, x string, d tensor.DType) string {
	t.Helper()
	x = n.op("Cast", []string{x}, onnx.IntAttr("to", int64(d)))
	y := n.op("MatMul", []string{x, n.typed(t, "other", d, 64, 64)})
	return n.op("Cast", []string{y}, onnx.IntAttr("to", 1))
}

// TestReasons: what stays in float says why, beside one product that does not.
func TestReasons(t *testing.T) {
	tests := []struct {
		name, op, words string
		add             func(n *net, x string) string
		change          func(*quant.Options)
	}{
		{"left operand", "MatMul", "left operand", func(n *net, x string) string {
			return n.op("MatMul", []string{n.weight("l", 32, 4), x})
		}, nil},
		{"rank 3", "MatMul", "rank 3", func(n *net, x string) string {
			return n.op("MatMul", []string{x, n.weight("three", 2, 64, 32)})
		}, nil},
		{"tiny", "MatMul", "too small", func(n *net, x string) string {
			return n.op("MatMul", []string{x, n.weight("tiny", 64, 2)})
		}, nil},
		{"kept by name", "MatMul", "--keep", func(n *net, x string) string {
			return n.op("MatMul", []string{x, n.weight("special", 64, 64)})
		}, func(o *quant.Options) { o.Keep = pattern("special") }},
		{"not selected", "MatMul", "--only", func(n *net, x string) string {
			return n.op("MatMul", []string{x, n.weight("special", 64, 64)})
		}, func(o *quant.Options) { o.Only = pattern("^plain$") }},
		{"convolution", "Conv", "--calib", func(n *net, x string) string {
			x = n.op("Reshape", []string{x, n.ints("image", 1, 4, 8, 8)})
			return n.op("Conv", []string{x, n.weight("kernel", 8, 4, 3, 3)})
		}, nil},
		{"transposed convolution", "ConvTranspose", "no integer kernel", func(n *net, x string) string {
			x = n.op("Reshape", []string{x, n.ints("image", 1, 4, 8, 8)})
			return n.op("ConvTranspose", []string{x, n.weight("kernel", 4, 8, 3, 3)})
		}, nil},
		{"GRU", "GRU", "no integer kernel", func(n *net, x string) string {
			x = n.op("Unsqueeze", []string{x, n.ints("axis", 1)})
			return n.op("GRU", []string{x, n.weight("gw", 1, 48, 64), n.weight("gr", 1, 48, 16)}, onnx.IntAttr("hidden_size", 16))
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNet(17)
			x := n.input("x", 4, 64)
			y := n.op("MatMul", []string{x, n.weight("plain", 64, 64)})
			m := n.output(y, tt.add(n, x))
			o := options(t, quant.Dynamic)
			if tt.change != nil {
				tt.change(o)
			}
			apply(t, m, o).close(0.02).left(tt.op, tt.words).nodes("MatMulInteger:1 " + tt.op + ":1")
		})
	}
}

func TestOtherFloatTypesStay(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float16, tensor.Float64} {
		for _, method := range []quant.Method{quant.Dynamic, quant.WeightOnly, quant.Static} {
			t.Run(d.String()+" "+string(method), func(t *testing.T) {
				n := newNet(17)
				x := n.input("x", 4, 64)
				m := n.output(n.op("MatMul", []string{x, n.weight("plain", 64, 64)}), n.halves(t, x, d))
				apply(t, m, options(t, method)).close(0.03).left("MatMul", d.String()).nodes("MatMul:1")
			})
		}
	}
}

// refused quantizes a model that must be refused, and returns the plan.
func refused(t *testing.T, m *onnx.Model, o *quant.Options, want error) *quant.Plan {
	t.Helper()
	_, plan, err := rewrite(t, marshal(t, m), o, 1)
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	return plan
}

func TestNothing(t *testing.T) {
	n := newNet(17)
	refused(t, n.output(n.op("Relu", []string{n.input("x", 4, 4)})), options(t, quant.Dynamic), quant.ErrNothing)

	n = newNet(17)
	m := n.output(n.op("Conv", []string{n.input("x", 1, 4, 8, 8), n.weight("w", 8, 4, 3, 3)}))
	for _, method := range []quant.Method{quant.Dynamic, quant.WeightOnly} {
		if plan := refused(t, m, options(t, method), quant.ErrNothing); !isLeft(plan, "Conv", "no ") {
			t.Errorf("%s: no reason for Conv: %+v", method, plan)
		}
	}

	n = newNet(17)
	m = n.output(n.op("MatMul", []string{n.input("x", 4, 64), n.weight("w", 64, 64)}))
	for _, method := range []quant.Method{quant.Dynamic, quant.WeightOnly, quant.Static} {
		o := options(t, method, func(o *quant.Options) { o.Keep = pattern(".") })
		if plan := refused(t, m, o, quant.ErrNothing); !isLeft(plan, "MatMul", "--keep") {
			t.Errorf("%s: no reason for MatMul: %+v", method, plan)
		}
	}
}

func TestQuantizedAlready(t *testing.T) {
	n := newNet(17)
	m := n.output(n.op("MatMul", []string{n.input("x", 4, 64), n.weight("w", 64, 64)}))
	for _, method := range []quant.Method{quant.Dynamic, quant.WeightOnly, quant.Static} {
		o := options(t, method)
		r := apply(t, m, o)
		if inspect.QuantizedNodes(parse(t, r.bytes)) == 0 {
			t.Errorf("%s: the result counts as float", method)
		}
		refused(t, parse(t, r.bytes), o, quant.ErrQuantized)
	}
}

func TestWrongWeights(t *testing.T) {
	n := newNet(17)
	v := n.normal(64*64, 1)
	v[70] = float32(math.Inf(1))
	m := n.output(n.op("MatMul", []string{n.input("x", 4, 64), n.floats("infinite", v, 64, 64)}))
	for _, method := range []quant.Method{quant.Dynamic, quant.WeightOnly} {
		if _, _, err := rewrite(t, marshal(t, m), options(t, method), 2); err == nil {
			t.Errorf("%s: a weight that is infinite was quantized", method)
		}
	}
}

// TestMissingOperands: a file may leave out what an operator needs; the
// runtime refuses it, and planning must not fall over it.
func TestMissingOperands(t *testing.T) {
	for _, op := range []string{"MatMul", "Gemm", "Conv", "Gather", "LSTM", "Add", "Concat", "Resize", "Split", "MaxPool", "Relu", "Clip"} {
		for inputs := range 3 {
			n := newNet(17)
			y := n.op(op, []string{n.input("x", 4, 64), n.weight("w", 64, 64)}[:inputs])
			m := n.output(n.op("MatMul", []string{y, n.weight("v", 64, 64)}))
			for _, method := range []quant.Method{quant.Dynamic, quant.WeightOnly, quant.Static} {
				m := parse(t, marshal(t, m))
				if _, err := quant.Prepare(m, &quant.Options{}); err != nil {
					continue
				}
				o := options(t, method)
				quant.Activations(m, o)
				if _, err := quant.Quantize(context.Background(), m, o, quant.Observations{}, 1); err != nil {
					t.Logf("%s of %d inputs, %s: %v", op, inputs, method, err)
				}
			}
		}
	}
}

func TestCancel(t *testing.T) {
	n := newNet(17)
	m := n.output(n.op("MatMul", []string{n.input("x", 4, 64), n.weight("w", 64, 64)}))
	if _, err := quant.Prepare(m, &quant.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := quant.Quantize(ctx, m, options(t, quant.Dynamic), nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
