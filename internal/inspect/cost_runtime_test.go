package inspect_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// sizes of the symbols of the models here.
var sizes = []map[string]int64{
	{"batch": 1, "sequence": 32, "past_sequence": 0, "total_sequence": 32},
	{"batch": 3, "sequence": 17, "past_sequence": 5, "total_sequence": 22},
	{"batch": 2, "sequence": 1, "past_sequence": 64, "total_sequence": 65},
}

// realModels are the models that have no external data, by path.
func realModels(t *testing.T) []string {
	t.Helper()
	root := orttest.Root(t)
	files, err := filepath.Glob(filepath.Join(root, "testdata/models/*/*[a-z].onnx"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d models, %v", len(files), err)
	}
	for _, more := range []string{"tinygpt/tinygpt-kv.onnx", "minilm/minilm.onnx"} {
		path := filepath.Join(root, "../shared/models", more)
		if _, err := os.Stat(path); err == nil {
			files = append(files, path)
		}
	}
	return files
}

// model reads a model that is closed when the test ends.
func model(t *testing.T, path string) *onnx.Model {
	t.Helper()
	m, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func shapesOf(in map[string]tensor.Tensor) map[string]tensor.Shape {
	out := map[string]tensor.Shape{}
	for name, x := range in {
		out[name] = x.Shape
	}
	return out
}

// counted sums up the multiply-accumulates of a run from the shapes that ONNX
// Runtime reports, with the graph as it is written and weights not packed, so
// that it reports all of them.
func counted(t *testing.T, b []byte, in map[string]tensor.Tensor) uint64 {
	t.Helper()
	open := func(o ort.Options) (*ort.Session, error) { return orttest.Runtime(t).OpenBytes(b, o) }
	nodes, err := ort.Profile(open, ort.Options{Threads: 1, GraphOpt: ort.GraphOptOff, NoPrepack: true}, in)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range nodes {
		switch n.Op {
		case "MatMul", "MatMulInteger", "MatMulIntegerToFloat", "Gemm", "MatMulNBits":
			a := n.Inputs[0].Shape
			sum += n.Calls * elements(n.Outputs[0].Shape) * int(a[len(a)-1])
		case "Conv":
			sum += n.Calls * elements(n.Outputs[0].Shape) * elements(n.Inputs[1].Shape[1:])
		}
	}
	return uint64(sum)
}

func elements(s tensor.Shape) int { return tensor.Tensor{Shape: s}.Len() }

func marshal(t *testing.T, m *onnx.Model) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// optimized returns the model as ONNX Runtime rewrites it.
func optimized(t *testing.T, b []byte, level ort.GraphOpt) *onnx.Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "optimized.onnx")
	orttest.SessionOf(t, b, ort.Options{GraphOpt: level, SaveOptimized: path})
	return model(t, path)
}

// TestCostIsWhatRuns compares with the shapes of a real run, and with the graph
// as ONNX Runtime has fused it.
func TestCostIsWhatRuns(t *testing.T) {
	for _, path := range realModels(t) {
		m := model(t, path)
		b := marshal(t, m)
		fused := optimized(t, b, ort.GraphOptExtended)
		for _, size := range sizes {
			in := onnxtest.Inputs(t, m, 1, size)
			want := inspect.Cost{Float: counted(t, b, in)}
			if got, ok := inspect.CostAt(m, shapesOf(in)); !ok || got != want {
				t.Errorf("%s at %v: %+v, %v; want %+v", path, size, got, ok, want)
			}
			if got, ok := inspect.CostAt(fused, shapesOf(in)); !ok || got != want {
				t.Errorf("%s, fused, at %v: %+v, %v; want %+v", path, size, got, ok, want)
			}
		}
	}
}

// quantized returns a copy of the model in integers.
func quantized(t *testing.T, source []byte, method quant.Method, form quant.Form) []byte {
	t.Helper()
	m, err := onnx.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := quant.Prepare(m, &quant.Options{}); err != nil {
		t.Fatal(err)
	}
	target, err := quant.ParseTarget("vnni")
	if err != nil {
		t.Fatal(err)
	}
	o := &quant.Options{Format: quant.Int8, Method: method, Form: form, Bits: 8, BlockSize: 128, Calibrator: quant.MinMax, Target: target}
	var seen quant.Observations
	if method == quant.Static {
		seen = observed(t, m, o)
	}
	if _, err := quant.Quantize(context.Background(), m, o, seen, 2); err != nil {
		t.Fatal(err)
	}
	return marshal(t, m)
}

// observed runs a model over random samples.
func observed(t *testing.T, m *onnx.Model, o *quant.Options) quant.Observations {
	t.Helper()
	s := orttest.SessionOf(t, marshal(t, m), ort.Options{Threads: 1})
	info := dataset.ModelInfo{Inputs: s.Inputs(), Outputs: s.Outputs()}
	set, err := dataset.Open(dataset.Random, info, dataset.Options{Samples: 4, Shapes: shapesOf(onnxtest.Inputs(t, m, 1, sizes[0]))})
	if err != nil {
		t.Fatal(err)
	}
	values, channels := quant.Activations(m, o)
	r, err := calibrate.Run(context.Background(), orttest.Runtime(t), m, set, calibrate.Options{
		Values: values, Channels: channels, Session: ort.Options{Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Observations
}

// TestCostOfQuantized: all that has a weight becomes integer, as far as there
// are kernels, and what has none stays float; the sum remains.
func TestCostOfQuantized(t *testing.T) {
	// Multiply-accumulates that stay float, at the second of sizes: queries with
	// keys and their weights with values in all layers, 2·batch·S·T·width·layers.
	attention := func(total, width, layers uint64) uint64 { return 2 * 3 * 17 * total * width * layers }
	float := map[string]map[quant.Method]uint64{
		"digits-mlp.onnx":     {},
		"mnist-cnn.onnx":      {quant.Dynamic: 3 * (3138048 - 48*10)}, // convolutions have no dynamic kernel
		"resnet-tiny.onnx":    {quant.Dynamic: 3 * (22094208 - 128*10)},
		"tinygpt.onnx":        {"*": attention(17, 192, 4)},
		"tinygpt-dynamo.onnx": {"*": attention(17, 192, 4)},
		"tinygpt-s.onnx":      {"*": attention(17, 128, 2)},
		"tinygpt-kv.onnx":     {"*": attention(22, 192, 4)},
		"minilm.onnx":         {"*": attention(17, 384, 6)},
	}
	checked := 0
	for _, path := range realModels(t) {
		stays, ok := float[filepath.Base(path)]
		if !ok {
			continue
		}
		m := model(t, path)
		source := marshal(t, m)
		in := onnxtest.Inputs(t, m, 1, sizes[1])
		whole, _ := inspect.CostAt(m, shapesOf(in))
		for _, c := range []struct {
			method quant.Method
			form   quant.Form
		}{{quant.Dynamic, quant.AutoForm}, {quant.Static, quant.AutoForm}, {quant.Static, quant.QDQ}} {
			want := inspect.Cost{Float: stays["*"] + stays[c.method]}
			want.Integer = whole.Total() - want.Float
			b := quantized(t, source, c.method, c.form)
			q, err := onnx.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := inspect.CostAt(q, shapesOf(in)); !ok || got != want {
				t.Errorf("%s, %s %s: %+v, %v; want %+v", path, c.method, c.form, got, ok, want)
			}
			if got, ok := inspect.CostAt(optimized(t, b, ort.GraphOptExtended), shapesOf(in)); !ok || got != want {
				t.Errorf("%s, %s %s, fused: %+v, %v; want %+v", path, c.method, c.form, got, ok, want)
			}
			checked++
		}
	}
	if checked < 15 {
		t.Errorf("only %d models", checked)
	}
}
