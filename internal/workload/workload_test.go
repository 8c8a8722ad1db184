package workload

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// testdata returns the path of a file in the repository's testdata.
func testdata(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(orttest.Root(t), "testdata", filepath.FromSlash(name))
}

// load opens a model file in a session.
func load(t testing.TB, path string) Model {
	t.Helper()
	m, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return Model{m, orttest.Session(t, path, ort.Options{Threads: 1})}
}

// made writes a model of a test's own and opens it.
func made(t testing.TB, m *onnx.Model) Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.onnx")
	if _, err := m.WriteFile(path, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return load(t, path)
}

// picture is a model y = |x| of the given dimensions.
func picture(dims ...int64) *onnx.Model {
	return onnxtest.Model(13, &onnx.Graph{
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, dims...)},
		Outputs: []*onnx.ValueInfo{onnxtest.Value("y", tensor.Float32, dims...)},
		Nodes:   []*onnx.Node{onnx.NewNode("Abs", "abs", []string{"x"}, []string{"y"})},
	})
}

// sized is a model that reshapes its picture to [1, 3, n, n], and so runs with
// one size only.
func sized(n int64) *onnx.Model {
	m := picture(-1, -1, -1, -1)
	m.Graph.Initializers = append(m.Graph.Initializers, onnxtest.Ints("shape", 1, 3, n, n))
	m.Graph.Nodes[0].Outputs[0] = "a"
	m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("Reshape", "reshape", []string{"a", "shape"}, []string{"y"}))
	m.Graph.Outputs[0] = onnxtest.Value("y", tensor.Float32, 1, 3, n, n)
	return m
}

// TestFindSize: the one size that the model runs with is found.
func TestFindSize(t *testing.T) {
	for _, n := range Small {
		found, err := Find(context.Background(), made(t, sized(n)), "", dataset.Options{}, Typical)
		if err != nil || !found.Inputs["x"].Shape.Equal(tensor.Shape{1, 3, n, n}) || found.Real {
			t.Errorf("size %d was not found: %+v, %v", n, found, err)
		}
	}
}

// TestFindNone: a model without open dimensions that fails is run once.
func TestFindNone(t *testing.T) {
	m := picture(1, 8)
	// An index beyond the end: the file is right, each run fails.
	m.Graph.Initializers = append(m.Graph.Initializers, onnxtest.Ints("at", 99))
	m.Graph.Inputs = append(m.Graph.Inputs, onnxtest.Value("i", tensor.Int64, 1))
	m.Graph.Nodes[0].Outputs[0] = "a"
	m.Graph.Nodes = append(m.Graph.Nodes,
		onnx.NewNode("Add", "add", []string{"i", "at"}, []string{"j"}),
		onnx.NewNode("Gather", "gather", []string{"a", "j"}, []string{"y"}, onnx.IntAttr("axis", 1)))
	m.Graph.Outputs[0] = onnxtest.Value("y", tensor.Float32, 1, 1)
	model := made(t, m)
	_, err := Find(context.Background(), model, dataset.Random, dataset.Options{}, Small)
	var unfit *UnfitError
	if !errors.As(err, &unfit) || !strings.Contains(err.Error(), "Gather") {
		t.Fatalf("%v", err)
	}
	g := guesser{info: model.info(), sizes: Small, tried: map[string]bool{}}
	for range 3 {
		g.next()
	}
	if len(g.tried) != 1 {
		t.Errorf("%d inputs were tried", len(g.tried))
	}
}

// TestNothingMadeUp: sizes that no input can have are told, and not that many were tried.
func TestNothingMadeUp(t *testing.T) {
	m := load(t, testdata(t, "models/tinygpt/tinygpt.onnx"))
	for says, read := range map[string]dataset.Options{
		`no inputs can be made up: shape for "pixels": the model has no such input, it has "input_ids"`:       {Shapes: map[string]tensor.Shape{"pixels": {1, 8}}},
		`no inputs can be made up: a sequence length of 1000 is above the 128 positions that the model knows`: {SeqLen: 1000},
	} {
		_, err := Find(context.Background(), m, dataset.Random, read, Small)
		var unfit *UnfitError
		if !errors.As(err, &unfit) || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%v\nwant %s", err, says)
		}
	}
}

// TestGuessText: ids get a length, and what the user fixed stays.
func TestGuessText(t *testing.T) {
	m := load(t, testdata(t, "models/tinygpt/tinygpt.onnx"))
	g := guesser{info: m.info(), sizes: Small}
	if read := g.guess(8); read.SeqLen != 8 || len(read.Shapes) != 0 {
		t.Errorf("text: %+v", read)
	}
	if read := g.guess(640); read.SeqLen != longestGuess {
		t.Errorf("a text of %d ids was made up", read.SeqLen)
	}
	g.read.SeqLen = 5
	if read := g.guess(8); read.SeqLen != 5 {
		t.Errorf("--seq-len 5: %d", read.SeqLen)
	}
	g.read.SeqLen, g.read.Dims = 0, map[string]int64{}
	for _, in := range g.info.Inputs {
		for _, s := range in.Symbols {
			g.read.Dims[s] = 6
		}
	}
	if read := g.guess(8); read.SeqLen != 0 {
		t.Errorf("--dim fixes the sequence, and a length of %d was made up", read.SeqLen)
	}
}

// TestGuessShapes gives open dimensions their sizes.
func TestGuessShapes(t *testing.T) {
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
		g := guesser{info: made(t, picture(c.dims...)).info()}
		if got := g.guess(32).Shapes["x"]; !got.Equal(c.want) {
			t.Errorf("%v: %v, want %v", c.dims, got, c.want)
		}
	}
}
