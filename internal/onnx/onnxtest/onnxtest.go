// Package onnxtest builds small models for tests and runs them, and real ones,
// in ONNX Runtime.
package onnxtest

import (
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// Value is a graph input or output: the name, the type, the dimensions (-1:
// unknown).
func Value(name string, d tensor.DType, dims ...int64) *onnx.ValueInfo {
	return &onnx.ValueInfo{Name: name, Type: onnx.TensorType(d, dims...)}
}

// Output is a graph output whose type the runtime is to infer.
func Output(name string) *onnx.ValueInfo { return &onnx.ValueInfo{Name: name} }

// Floats is an initializer of float32.
func Floats(name string, s tensor.Shape, v ...float32) *onnx.Tensor {
	return onnx.NewTensor(name, tensor.Of(tensor.Float32, s, v))
}

// Ints is an initializer of int64 with one dimension.
func Ints(name string, v ...int64) *onnx.Tensor {
	return onnx.NewTensor(name, tensor.Of(tensor.Int64, tensor.Shape{int64(len(v))}, v))
}

// Random is an initializer of float32 between lo and hi.
func Random(r *rand.Rand, name string, lo, hi float32, s ...int64) *onnx.Tensor {
	v := make([]float32, tensor.Tensor{Shape: s}.Len())
	for i := range v {
		v[i] = lo + (hi-lo)*r.Float32()
	}
	return Floats(name, s, v...)
}

// Model returns a model of that version of the standard operators.
func Model(opset int64, g *onnx.Graph) *onnx.Model {
	if g.Name == "" {
		g.Name = "test"
	}
	return &onnx.Model{IRVersion: 7, Opsets: []onnx.Opset{{Version: opset}}, Graph: g}
}

// Reparse returns the model as it reads after writing it, and so checks it.
func Reparse(t testing.TB, m *onnx.Model) *onnx.Model {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	out, err := onnx.Parse(b)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return out
}

// Run runs the model without any optimization of the runtime's, so that its
// nodes are computed as they stand.
func Run(t testing.TB, m *onnx.Model, in map[string]tensor.Tensor) map[string]tensor.Tensor {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	s, err := orttest.Runtime(t).OpenBytes(b, ort.Options{Threads: 1, GraphOpt: ort.GraphOptOff})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer s.Close()
	out, err := s.Run(in)
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return out
}

// Inputs makes seeded inputs for the model: floats between -1 and 1, integers
// below 2. Dimensions that have a symbol get the size that sizes has for it,
// and others that are not known that for "", or 2.
func Inputs(t testing.TB, m *onnx.Model, seed uint64, sizes map[string]int64) map[string]tensor.Tensor {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	in := map[string]tensor.Tensor{}
	for _, v := range m.Graph.Inputs {
		if m.Graph.IsBound(v.Name) {
			continue
		}
		s := make(tensor.Shape, len(v.Type.Dims))
		for i, d := range v.Type.Dims {
			s[i] = d.Value
			if d.Symbol != "" || d.Value < 0 {
				s[i] = size(sizes, d.Symbol)
			}
		}
		in[v.Name] = random(t, r, v.Type.DType, s)
	}
	return in
}

func size(sizes map[string]int64, symbol string) int64 {
	for _, key := range []string{symbol, ""} {
		if n, ok := sizes[key]; ok {
			return n
		}
	}
	return 2
}

func random(t testing.TB, r *rand.Rand, d tensor.DType, s tensor.Shape) tensor.Tensor {
	t.Helper()
	v := make([]float32, tensor.Tensor{Shape: s}.Len())
	for i := range v {
		if v[i] = r.Float32()*2 - 1; !d.IsFloat() {
			v[i] = float32(r.IntN(2))
		}
	}
	x, err := tensor.Convert(tensor.Of(tensor.Float32, s, v), d)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Equal fails the test unless the outputs are equal: floats within tol,
// relative to the greatest value where that is above 1, all else exactly.
func Equal(t testing.TB, got, want map[string]tensor.Tensor, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d outputs, want %d", len(got), len(want))
	}
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			t.Errorf("output %q is missing", name)
			continue
		}
		if g.DType != w.DType || !g.Shape.Equal(w.Shape) {
			t.Errorf("output %q: %s %v, want %s %v", name, g.DType, g.Shape, w.DType, w.Shape)
			continue
		}
		if d := Distance(t, g, w); !(d <= tol) {
			t.Errorf("output %q differs by %g, at most %g allowed", name, d, tol)
		}
	}
}

// Distance returns the greatest difference between two tensors of numbers,
// relative to the greatest value where that is above 1.
func Distance(t testing.TB, a, b tensor.Tensor) float64 {
	t.Helper()
	x, y := floats(t, a), floats(t, b)
	diff, scale := 0.0, 1.0
	for i := range x {
		if x[i] == y[i] || math.IsNaN(x[i]) && math.IsNaN(y[i]) {
			continue
		}
		d := math.Abs(x[i] - y[i])
		if math.IsNaN(d) {
			return d
		}
		diff, scale = max(diff, d), max(scale, math.Abs(y[i]))
	}
	return diff / scale
}

func floats(t testing.TB, x tensor.Tensor) []float64 {
	t.Helper()
	v, err := tensor.Convert(x, tensor.Float64)
	if err != nil {
		t.Fatal(err)
	}
	return tensor.As[float64](v.Data)
}
