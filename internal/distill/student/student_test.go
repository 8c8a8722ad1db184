package student

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort/orttest"
)

func reduced(t *testing.T, path string, o Options) (*onnx.Model, Report) {
	t.Helper()
	m, err := onnx.Open(filepath.Join(orttest.Root(t), path))
	if os.IsNotExist(err) {
		t.Skip("the model is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	r, err := Reduce(t.Context(), orttest.Runtime(t), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return onnxtest.Reparse(t, m), r
}

func TestReduce(t *testing.T) {
	for _, c := range []struct {
		model  string
		factor float64
		want   Report
	}{
		{"testdata/models/tinygpt/tinygpt.onnx", 2, Report{Layers: [2]int{4, 2}, Kept: []int{0, 3},
			Groups: []Change{{1, 192, 96}, {2, 4, 2}, {2, 768, 384}}}},
		{"testdata/models/tinygpt-s/tinygpt-s.onnx", 2, Report{Layers: [2]int{2, 1}, Kept: []int{0},
			Groups: []Change{{1, 128, 64}, {1, 4, 2}, {1, 512, 256}}}},
		{"testdata/models/tinygpt-s/tinygpt-s.onnx", 3, Report{Layers: [2]int{2, 1}, Kept: []int{0},
			Groups: []Change{{1, 128, 43}, {1, 4, 1}, {1, 512, 171}},
			Notes:  []string{"2 layers do not divide by 3: 1 stay", "128 units do not divide by 3: 43 stay", "4 units do not divide by 3: 1 stay", "512 units do not divide by 3: 171 stay"}}},
		{"testdata/models/mnist-cnn/mnist-cnn.onnx", 2, Report{Groups: []Change{{2, 48, 24}, {1, 32, 16}, {1, 16, 8}}}},
		{"testdata/models/digits-mlp/digits-mlp.onnx", 2, Report{Groups: []Change{{1, 256, 128}, {1, 128, 64}}}},
		{"../shared/models/tinygpt/tinygpt-dynamo.onnx", 2, Report{Layers: [2]int{4, 2}, Kept: []int{0, 3},
			Groups: []Change{{1, 192, 96}, {2, 4, 2}, {2, 768, 384}}}},
		{"../shared/models/minilm/minilm.onnx", 2, Report{Layers: [2]int{6, 3}, Kept: []int{0, 3, 5},
			Groups: []Change{{3, 12, 6}, {3, 1536, 768}}}},
	} {
		t.Run(c.model, func(t *testing.T) {
			m, got := reduced(t, c.model, Options{Factor: c.factor})
			if got.After >= got.Before || got.Ratio() < 1.5 {
				t.Errorf("%d → %d parameters", got.Before, got.After)
			}
			c.want.Before, c.want.After = got.Before, got.After
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			for _, n := range []int64{1, 3} {
				onnxtest.Run(t, m, onnxtest.Inputs(t, m, 1, map[string]int64{"batch": n, "sequence": 7}))
			}
		})
	}
}

// TestRandom: drawn weights depend on the seed alone, and normalizations begin neutral.
func TestRandom(t *testing.T) {
	const path = "testdata/models/tinygpt-s/tinygpt-s.onnx"
	weight := func(seed uint64, name string) []byte {
		m, _ := reduced(t, path, Options{Factor: 2, Random: true, Seed: seed})
		b, err := m.Graph.Initializer(name).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const matrix = "m.transformer.h.0.mlp.c_fc.weight"
	if a := weight(1, matrix); !slices.Equal(a, weight(1, matrix)) || slices.Equal(a, weight(2, matrix)) {
		t.Error("weights do not follow the seed")
	}
	m, _ := reduced(t, path, Options{Factor: 2, Random: true})
	for name, want := range map[string]float32{"m.transformer.ln_f.weight": 1, "m.transformer.ln_f.bias": 0, "m.transformer.h.0.mlp.c_fc.bias": 0} {
		value, err := m.Graph.Initializer(name).Value()
		if err != nil {
			t.Fatal(err)
		}
		first := onnxtest.Floats("want", value.Shape, slices.Repeat([]float32{want}, value.Len())...)
		if w, _ := first.Value(); onnxtest.Distance(t, value, w) != 0 {
			t.Errorf("%s does not begin at %v", name, want)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		n, k int
		want []int
	}{{4, 2, []int{0, 3}}, {6, 3, []int{0, 3, 5}}, {12, 6, []int{0, 2, 4, 7, 9, 11}}, {5, 1, []int{0}}, {2, 2, []int{0, 1}}} {
		if got := spread(c.n, c.k); !slices.Equal(got, c.want) {
			t.Errorf("%d of %d: %v, not %v", c.k, c.n, got, c.want)
		}
	}
}
