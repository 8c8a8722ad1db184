package gate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

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

// open opens a model that is closed when the test ends.
func open(t testing.TB, path string) *onnx.Model {
	t.Helper()
	m, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// save writes a model that a test made, and opens the file.
func save(t testing.TB, path string, m *onnx.Model) *onnx.Model {
	t.Helper()
	if _, err := m.WriteFile(path, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

// options are those of a run that only compares, on one thread.
func options(t testing.TB, source, result *onnx.Model, output string) Options {
	t.Helper()
	return Options{
		Runtime: orttest.Runtime(t), Session: ort.Options{Threads: 1},
		Source: source, Result: result, Output: Target{Path: output, External: "auto"},
		MaxLoss: DefaultMaxLoss, Measure: "off",
	}
}

// digits are the options for a model of handwritten digits against itself.
func digits(t testing.TB) Options {
	t.Helper()
	path := testdata(t, "models/digits-mlp/digits-mlp.onnx")
	return options(t, open(t, path), open(t, path), filepath.Join(t.TempDir(), "out.onnx"))
}

// withTest makes a run measure quality on the test digits.
func (o Options) withTest(t testing.TB) Options {
	o.Eval.Source = testdata(t, "digits/test.npz")
	o.Eval.Read.Samples = 50
	o.Probe.Source = o.Eval.Source
	return o
}

func mustRun(t testing.TB, o Options) *Verdict {
	t.Helper()
	v, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// leftIn lists what is in a folder, hidden files included.
func leftIn(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// wantNothing asserts that a failed run left nothing beside its target.
func wantNothing(t testing.TB, output string) {
	t.Helper()
	if left := leftIn(t, filepath.Dir(output)); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// unary is a model y = op(x · w) of a float vector of n, so that its output can
// be broken by choice of operator and weight.
func unary(op string, w float32, dims ...int64) *onnx.Model {
	return onnxtest.Model(13, &onnx.Graph{
		Inputs:       []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, dims...)},
		Outputs:      []*onnx.ValueInfo{onnxtest.Value("y", tensor.Float32, dims...)},
		Initializers: []*onnx.Tensor{onnxtest.Floats("w", nil, w)},
		Nodes: []*onnx.Node{
			onnx.NewNode("Mul", "mul", []string{"x", "w"}, []string{"h"}),
			onnx.NewNode(op, "op", []string{"h"}, []string{"y"}),
		},
	})
}

// isOnly reports whether an error is one of the two blames and not the other.
func isOnly(err, want error) bool {
	return errors.Is(err, want) && errors.Is(err, ErrSource) != errors.Is(err, ErrResult)
}
