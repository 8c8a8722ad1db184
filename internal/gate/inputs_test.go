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

// TestUnfitSource: a source that runs with no input is a warning.
func TestUnfitSource(t *testing.T) {
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
	v := mustRun(t, o)
	if len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "Gather") {
		t.Fatalf("warnings %q", v.Warnings)
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
