package gate

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// sized is a model that reshapes its picture to [1, 3, n, n], and so runs with
// one size only.
func sized(n int64) *onnx.Model {
	m := unary("Abs", 1, -1, -1, -1, -1)
	m.Graph.Initializers = append(m.Graph.Initializers, onnxtest.Ints("shape", 1, 3, n, n))
	m.Graph.Nodes[1].Outputs[0] = "a"
	m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("Reshape", "reshape", []string{"a", "shape"}, []string{"y"}))
	m.Graph.Outputs[0] = onnxtest.Value("y", tensor.Float32, 1, 3, n, n)
	return m
}

// TestCandidates: the one size that the source runs with is found.
func TestCandidates(t *testing.T) {
	for _, n := range extents {
		m := sized(n)
		o := options(t, save(t, filepath.Join(t.TempDir(), "a.onnx"), m), sized(n), filepath.Join(t.TempDir(), "out.onnx"))
		if v := mustRun(t, o); v.Cosine == nil || len(v.Warnings) > 0 {
			t.Errorf("size %d was not found: %+v", n, v)
		}
	}
}

// TestFixedSizesAreTriedOnce: a model without open dimensions that fails is not
// run again and again with the same input.
func TestFixedSizesAreTriedOnce(t *testing.T) {
	m := func() *onnx.Model {
		m := unary("Abs", 1, 1, 8)
		// An index beyond the end: the file is right, each run fails.
		m.Graph.Initializers = append(m.Graph.Initializers, onnxtest.Ints("at", 99))
		m.Graph.Inputs = append(m.Graph.Inputs, onnxtest.Value("i", tensor.Int64, 1))
		m.Graph.Nodes[1].Outputs[0] = "a"
		m.Graph.Nodes = append(m.Graph.Nodes,
			onnx.NewNode("Add", "add", []string{"i", "at"}, []string{"j"}),
			onnx.NewNode("Gather", "gather", []string{"a", "j"}, []string{"y"}, onnx.IntAttr("axis", 1)))
		m.Graph.Outputs[0] = onnxtest.Value("y", tensor.Float32, 1, 1)
		return m
	}
	o := options(t, save(t, filepath.Join(t.TempDir(), "a.onnx"), m()), m(), filepath.Join(t.TempDir(), "out.onnx"))
	r := &run{Options: o, verdict: &Verdict{}}
	v := mustRun(t, o)
	if len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "Gather") {
		t.Fatalf("warnings %q", v.Warnings)
	}
	tried := map[string]bool{}
	info := infoOf(t, o)
	for range 3 {
		r.nextGuess(info, tried)
	}
	if len(tried) != 1 {
		t.Errorf("%d inputs were tried", len(tried))
	}
}

// TestGuesses looks at the inputs that are made up for models of many kinds.
func TestGuesses(t *testing.T) {
	path := testdata(t, "models/tinygpt/tinygpt.onnx")
	o := options(t, open(t, path), open(t, path), filepath.Join(t.TempDir(), "out.onnx"))
	r := &run{Options: o, verdict: &Verdict{}}
	info := infoOf(t, o)
	read := r.guess(info, 8)
	if read.SeqLen != 8 || len(read.Shapes) != 0 || read.Vocab == 0 {
		t.Errorf("text: %+v", read)
	}
	r.Probe.Read.SeqLen = 5
	if read := r.guess(info, 8); read.SeqLen != 5 {
		t.Errorf("--seq-len 5: %d", read.SeqLen)
	}
	r.Probe.Read.SeqLen, r.Probe.Read.Dims = 0, map[string]int64{}
	for _, in := range info.Inputs {
		for _, s := range in.Symbols {
			r.Probe.Read.Dims[s] = 6
		}
	}
	if read := r.guess(info, 8); read.SeqLen != 0 {
		t.Errorf("--dim fixes the sequence, and a length of %d was made up", read.SeqLen)
	}
}

// TestGuessedShapes gives open dimensions their sizes.
func TestGuessedShapes(t *testing.T) {
	for _, c := range []struct {
		dims []int64
		want tensor.Shape
	}{
		{[]int64{-1, -1, -1, -1}, tensor.Shape{1, 3, 32, 32}},
		{[]int64{-1, -1, -1, 3}, tensor.Shape{1, 32, 32, 3}},
		{[]int64{4, 1, -1, -1}, tensor.Shape{4, 1, 32, 32}},
		{[]int64{-1, -1, 80}, tensor.Shape{1, 32, 80}},
		{[]int64{-1}, tensor.Shape{1}},
	} {
		m := unary("Abs", 1, c.dims...)
		o := options(t, save(t, filepath.Join(t.TempDir(), "a.onnx"), m), m, "unused")
		r := &run{Options: o, verdict: &Verdict{}}
		if got := r.guess(infoOf(t, o), 32).Shapes["x"]; !got.Equal(c.want) {
			t.Errorf("%v: %v, want %v", c.dims, got, c.want)
		}
	}
}

// TestSecondInputOfIntegers: sizes of integers that are no ids are made up, too.
func TestSecondInputOfIntegers(t *testing.T) {
	m := func() *onnx.Model {
		m := unary("Abs", 1, -1, 8)
		m.Graph.Inputs = append(m.Graph.Inputs, onnxtest.Value("rows", tensor.Int64, -1))
		m.Graph.Nodes[1].Outputs[0] = "a"
		m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("Gather", "gather", []string{"a", "rows"}, []string{"y"}))
		return m
	}
	o := options(t, save(t, filepath.Join(t.TempDir(), "a.onnx"), m()), m(), filepath.Join(t.TempDir(), "out.onnx"))
	if v := mustRun(t, o); v.Cosine == nil {
		t.Errorf("%+v", v)
	}
}

// TestTextModels takes models for text, with their masks and caches, through
// the gate without any data.
func TestTextModels(t *testing.T) {
	for _, name := range []string{"models/tinygpt/tinygpt-dynamo.onnx", "models/tinygpt-s/tinygpt-s.onnx", "../../shared/models/tinygpt/tinygpt-kv.onnx"} {
		path := testdata(t, name)
		if matches, _ := filepath.Glob(path); len(matches) == 0 && strings.HasPrefix(name, "..") {
			t.Logf("%s is not there", name)
			continue
		}
		v := mustRun(t, options(t, open(t, path), open(t, path), filepath.Join(t.TempDir(), "out.onnx")))
		if v.Cosine == nil || *v.Cosine < 0.99999 || len(v.Warnings) > 0 {
			t.Errorf("%s: %s", name, fmt.Sprint(v.Warnings))
		}
	}
}
