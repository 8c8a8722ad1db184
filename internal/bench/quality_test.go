package bench

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// TestQualityIsChecked: data that does not fit the metric or a model is told before
// anything is measured.
func TestQualityIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		eval  Eval
		paths []string
		says  string
	}{
		"missing":          {Eval{Source: "nothing.npz"}, []string{digits}, "nothing.npz: no such file"},
		"of another model": {Eval{Source: testdata(t, "text/valid.txt")}, []string{digits}, "valid.txt"},
		"the second model": {Eval{Source: testdata(t, "digits/test.npz")}, []string{digits, gpt}, "tinygpt-s.onnx: "},
		"metric":           {Eval{Source: testdata(t, "digits/test.npz"), Metric: "perplexity"}, []string{digits}, "metric perplexity needs ids"},
		"made up":          {Eval{Source: dataset.Random, Metric: "accuracy"}, []string{digits}, "metric accuracy needs labels"},
	} {
		t.Run(name, func(t *testing.T) {
			o := short(t, c.paths...)
			o.Eval = c.eval
			o.Progress = func(what string, _, _ int64) {
				if what == "timing" {
					t.Error("measured before")
				}
			}
			r, err := Run(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), c.says) || len(r.Models) != 0 {
				t.Errorf("%v, %d rows", err, len(r.Models))
			}
		})
	}
}

// TestQualityAgainstFirst: outputs are compared with those of the first model.
func TestQualityAgainstFirst(t *testing.T) {
	for _, metric := range []string{"cosine", "agreement"} {
		o := short(t, digits, digits)
		o.Eval = Eval{Source: testdata(t, "digits/test.npz"), Metric: metric, Read: dataset.Options{Samples: 50}}
		for _, m := range mustRun(t, o).Models {
			if q := m.Quality; q == nil || q.Metric != metric || !(q.Value > 0.999 && q.Value <= 1.0001) || q.Samples != 50 {
				t.Errorf("%s: %+v", m.Name, q)
			}
		}
	}
	copied := short(t, digits, "models/mnist-cnn/mnist-cnn.onnx")
	copied.Eval = Eval{Source: testdata(t, "digits/test.npz"), Metric: "agreement", Read: dataset.Options{Samples: 50}}
	m := mustRun(t, copied).Models
	if !(m[0].Quality.Value == 1 && m[1].Quality.Value > 0 && m[1].Quality.Value < 1) {
		t.Errorf("%+v, %+v", m[0].Quality, m[1].Quality)
	}
}

// TestQualityCheckRunsNothing: what only a run of the model can show comes after the
// measurement, made up here in the sizes that were found.
func TestQualityCheckRunsNothing(t *testing.T) {
	m := onnxtest.Model(13, &onnx.Graph{
		Inputs:  []*onnx.ValueInfo{{Name: "x", Type: &onnx.Type{DType: tensor.Float32, HasShape: true, Dims: []onnx.Dim{{Symbol: "batch", Value: -1}, {Symbol: "n", Value: -1}}}}},
		Outputs: []*onnx.ValueInfo{onnxtest.Output("y")},
		Nodes: []*onnx.Node{
			onnx.NewNode("Abs", "abs", []string{"x"}, []string{"a"}), onnx.NewNode("Neg", "neg", []string{"a"}, []string{"b"}),
			onnx.NewNode("Sqrt", "sqrt", []string{"b"}, []string{"y"}),
		},
	})
	path := filepath.Join(t.TempDir(), "nan.onnx")
	if _, err := m.WriteFile(path, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	o := short(t, path)
	o.Eval = Eval{Source: dataset.Random, Metric: "cosine"}
	r, err := Run(context.Background(), o)
	if err == nil || !strings.Contains(err.Error(), "NaN") || len(r.Models) != 1 || len(r.Models[0].Launches) != 2 {
		t.Errorf("%v, %+v", err, r.Models)
	}
}
