package calibrate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/calib"
	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

var quiet = ort.Options{Threads: 1, NoSpin: true}

// small builds x → Conv → Relu → Flatten → MatMul, with a side that counts.
func small(opset int64) *onnx.Model {
	r := rand.New(rand.NewPCG(1, 1))
	weight := func(name string, dims ...int64) *onnx.Tensor {
		n, err := tensor.Shape(dims).Elements()
		if err != nil {
			panic(err)
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64() * 0.3)
		}
		return onnx.NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape(dims), v))
	}
	g := &onnx.Graph{
		Name:   "g",
		Inputs: []*onnx.ValueInfo{{Name: "x", Type: onnx.TensorType(tensor.Float32, 1, 3, -1, 8)}},
		Nodes: []*onnx.Node{
			onnx.NewNode("Conv", "conv", []string{"x", "cw"}, []string{"c"}, onnx.IntListAttr("pads", 1, 1, 1, 1)),
			onnx.NewNode("Relu", "relu", []string{"c"}, []string{"r"}),
			onnx.NewNode("MatMul", "matmul", []string{"r", "mw"}, []string{"y"}),
			onnx.NewNode("Shape", "shape", []string{"r"}, []string{"count"}),
		},
		Initializers: []*onnx.Tensor{weight("cw", 5, 3, 3, 3), weight("mw", 8, 40)},
		Outputs:      []*onnx.ValueInfo{{Name: "y"}, {Name: "count"}},
	}
	return &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: opset}}, Graph: g}
}

// open describes a model and opens a set for it.
func open(t testing.TB, m *onnx.Model, source string, o dataset.Options) *dataset.Set {
	t.Helper()
	info, err := calibrate.Describe(orttest.Runtime(t), m, quiet)
	if err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(source, info, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// randomSet draws n samples with images of that height.
func randomSet(t testing.TB, m *onnx.Model, n int, height int64) *dataset.Set {
	return open(t, m, dataset.Random, dataset.Options{Samples: n, Shapes: map[string]tensor.Shape{"x": {1, 3, height, 8}}})
}

// options observe every value there is, and more.
func options(histograms bool) calibrate.Options {
	return calibrate.Options{
		Values:     []string{"x", "c", "r", "y", "count"},
		Channels:   map[string]int{"x": 1, "r": -1, "y": -1, "count": -1},
		Histograms: histograms, Session: quiet,
	}
}

func run(t testing.TB, m *onnx.Model, set *dataset.Set, o calibrate.Options) *calibrate.Result {
	t.Helper()
	r, err := calibrate.Run(context.Background(), orttest.Runtime(t), m, set, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestObservations(t *testing.T) {
	for _, opset := range []int64{13, 17, 18, 21} {
		for _, histograms := range []bool{false, true} {
			t.Run(fmt.Sprint(opset, histograms), func(t *testing.T) {
				m := small(opset)
				set := randomSet(t, m, 9, 10)
				seen := activations(t, m, set)
				before, err := m.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				o := options(histograms)
				r := run(t, m, set, o)
				if r.Samples != 9 || r.Resumed != 0 {
					t.Errorf("%d samples, %d resumed", r.Samples, r.Resumed)
				}
				for name, list := range seen {
					axis, channels := o.Channels[name]
					check(t, name, r.Observations[name], observe(list, axis), histograms, axis, channels)
					if !r.Observations[name].Shape.Equal(list[0].Shape) {
						t.Errorf("%s: shape %v, want %v", name, r.Observations[name].Shape, list[0].Shape)
					}
				}
				if len(r.Observations) != len(seen) {
					t.Errorf("%d values observed, want %d: integers are passed over", len(r.Observations), len(seen))
				}
				if after, err := m.Marshal(); err != nil || string(after) != string(before) {
					t.Errorf("calibration changed the model (%v)", err)
				}
			})
		}
	}
}

// records writes samples of different heights.
func records(t testing.TB, heights []int, value func() float64) string {
	t.Helper()
	var b strings.Builder
	for _, h := range heights {
		image := make([][][]float64, 3)
		for c := range image {
			image[c] = make([][]float64, h)
			for y := range image[c] {
				image[c][y] = make([]float64, 8)
				for x := range image[c][y] {
					image[c][y][x] = value()
				}
			}
		}
		line, err := json.Marshal(map[string]any{"x": image})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	path := filepath.Join(t.TempDir(), "data.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestShapesThatChange: bound tensors follow, runs of like shapes included.
func TestShapesThatChange(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	path := records(t, []int{4, 4, 4, 7, 4, 7, 7, 7, 7, 3, 3, 3}, r.NormFloat64)
	for _, histograms := range []bool{false, true} {
		m := small(17)
		set := open(t, m, path, dataset.Options{})
		seen := activations(t, m, set)
		o := options(histograms)
		got := run(t, m, set, o)
		if got.Samples != 12 {
			t.Fatalf("%d samples", got.Samples)
		}
		for name, list := range seen {
			axis, channels := o.Channels[name]
			check(t, name, got.Observations[name], observe(list, axis), histograms, axis, channels)
		}
	}
}

// TestShapesThatDependOnData: the positive values are picked, as many as there
// are.
func TestShapesThatDependOnData(t *testing.T) {
	build := func() *onnx.Model {
		m := small(17)
		g := m.Graph
		g.Initializers = append(g.Initializers,
			onnx.NewTensor("zero", tensor.Of(tensor.Float32, nil, []float32{0})),
			onnx.NewTensor("flat", tensor.Of(tensor.Int64, tensor.Shape{1}, []int64{-1})))
		g.Nodes = append(g.Nodes,
			onnx.NewNode("Reshape", "flatten", []string{"x", "flat"}, []string{"values"}),
			onnx.NewNode("Greater", "greater", []string{"values", "zero"}, []string{"positive"}),
			onnx.NewNode("Compress", "pick", []string{"values", "positive"}, []string{"picked"}))
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: "picked"})
		return m
	}
	for _, histograms := range []bool{false, true} {
		m := build()
		set := randomSet(t, m, 8, 6)
		want := calib.New(0)
		for range 8 {
			s, err := set.Next()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range tensor.As[float32](s.Inputs["x"].Data) {
				if x > 0 {
					want.Add([]float32{x})
				}
			}
		}
		if err := set.Rewind(); err != nil {
			t.Fatal(err)
		}
		o := options(histograms)
		o.Values = append(o.Values, "picked")
		got := run(t, m, set, o).Observations["picked"]
		if got == nil || got.Min != want.Min || got.Max != want.Max {
			t.Fatalf("observed %+v, want %g to %g", got, want.Min, want.Max)
		}
		if histograms && got.Hist.Count != want.Count {
			t.Errorf("%d values, want %d", got.Hist.Count, want.Count)
		}
	}
}

// TestNaN: a model that makes NaN is refused, by the name of the value.
func TestNaN(t *testing.T) {
	m := small(17)
	m.Graph.Nodes[1] = onnx.NewNode("Sqrt", "root", []string{"c"}, []string{"r"})
	for _, histograms := range []bool{false, true} {
		set := randomSet(t, m, 3, 5)
		_, err := calibrate.Run(context.Background(), orttest.Runtime(t), m, set, options(histograms))
		if err == nil || !strings.Contains(err.Error(), `"r"`) && !strings.Contains(err.Error(), `"y"`) || !strings.Contains(err.Error(), "NaN") {
			t.Errorf("histograms %v: error %v", histograms, err)
		}
	}
}

func TestNothingToObserve(t *testing.T) {
	m := small(17)
	for _, values := range [][]string{nil, {"count"}} {
		o := options(true)
		o.Values = values
		if r := run(t, m, randomSet(t, m, 3, 5), o); len(r.Observations) != 0 {
			t.Errorf("%v: %v", values, r.Observations)
		}
	}
}

func TestProgress(t *testing.T) {
	m := small(17)
	var seen []int
	o := options(false)
	o.Progress = func(done int) { seen = append(seen, done) }
	run(t, m, randomSet(t, m, 4, 5), o)
	if !slices.Equal(seen, []int{1, 2, 3, 4}) {
		t.Errorf("progress %v", seen)
	}
}
