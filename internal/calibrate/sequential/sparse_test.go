package sequential

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/rounding"
	"optim/internal/tensor"
)

// twoLayers is x → Gemm → Tanh → Gemm; the weights are [in, out] as GPT-2's, or turned.
func twoLayers(t *testing.T, turned int64) *onnx.Model {
	r := rand.New(rand.NewPCG(7, 7))
	layer := func(name, x string, k, n int64, g *onnx.Graph) {
		shape := []int64{k, n}
		if turned != 0 {
			shape = []int64{n, k}
		}
		g.Initializers = append(g.Initializers, onnxtest.Random(r, name, -1, 1, shape...), onnxtest.Random(r, name+" bias", -1, 1, n))
		g.Nodes = append(g.Nodes, onnx.NewNode("Gemm", name, []string{x, name, name + " bias"}, []string{name + " out"}, onnx.IntAttr("transB", turned)))
	}
	g := &onnx.Graph{Inputs: []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, -1, 16)}, Outputs: []*onnx.ValueInfo{onnxtest.Value("second out", tensor.Float32, -1, 15)}}
	layer("first", "x", 16, 20, g)
	g.Nodes = append(g.Nodes, onnx.NewNode("Tanh", "tanh", []string{"first out"}, []string{"h"}))
	layer("second", "h", 20, 15, g)
	return onnxtest.Reparse(t, onnxtest.Model(17, g))
}

// pruned is a product's weight by the Hessian of rows of its input, without the runtime.
func pruned(t *testing.T, p quant.Product, rows []float32, pattern rounding.Pattern) []float32 {
	t.Helper()
	h := make([]float32, p.K*p.K)
	for i, x := range bruteForce(rows, p.K) {
		h[i] = float32(x)
	}
	f, err := rounding.NewFactor(h, p.K, damping, false, rounding.Plain)
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.Rows()
	if err != nil {
		t.Fatal(err)
	}
	return p.Stored(f.Prune(w, p.N, pattern))
}

// TestSparsify: each layer is pruned for what it sees behind the layers that were pruned
// before it, in both layouts of weights; the model stays as it is.
func TestSparsify(t *testing.T) {
	for _, turned := range []int64{0, 1} {
		for _, pattern := range []rounding.Pattern{{Share: 0.5}, {N: 2, M: 4}} {
			m, set, products := prepared(t, twoLayers(t, turned), dataset.Random, dataset.Options{Samples: 20, Shapes: map[string]tensor.Shape{"x": {3, 16}}})
			dense := inputs(t, m, set, products)
			before := valuesOf(t, m.Graph.Initializer("first"))
			if err := set.Rewind(); err != nil {
				t.Fatal(err)
			}
			r, err := Solve(t.Context(), orttest.Runtime(t), m, set, products, Options{Prune: &pattern, Session: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if len(products) != 2 || len(r.Weights) != 2 || !slices.Equal(valuesOf(t, m.Graph.Initializer("first")), before) {
				t.Fatalf("%d of %d products pruned, or the model changed", len(r.Weights), len(products))
			}
			first, second := valuesOf(t, r.Weights[0]), valuesOf(t, r.Weights[1])
			if d := distance(first, pruned(t, products[0], dense["x"], pattern)); d > 5e-5 {
				t.Errorf("%+v, turned %d: the first weight is off by %g", pattern, turned, d)
			}
			m.Graph.Initializers[slices.Index(m.Graph.Initializers, m.Graph.Initializer("first"))] = onnx.NewTensor("first", tensor.Of(tensor.Float32, r.Weights[0].Shape, first))
			if err := set.Rewind(); err != nil {
				t.Fatal(err)
			}
			seen := inputs(t, m, set, products)
			if d := distance(second, pruned(t, products[1], seen["h"], pattern)); d > 5e-5 {
				t.Errorf("%+v, turned %d: the second weight is off by %g", pattern, turned, d)
			}
			if d := distance(second, pruned(t, products[1], dense["h"], pattern)); d < 1e-3 {
				t.Errorf("%+v, turned %d: the second weight is that of the dense model's activations, within %g", pattern, turned, d)
			}
		}
	}
}

func valuesOf(t *testing.T, w *onnx.Tensor) []float32 {
	t.Helper()
	v, err := w.Value()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(tensor.As[float32](v.Data))
}

func distance(a, b []float32) float64 {
	d := 0.0
	for i, x := range a {
		d = max(d, math.Abs(float64(x-b[i])))
	}
	return d
}
