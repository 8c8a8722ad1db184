package bench

import (
	"context"
	"strings"
	"testing"

	"optim/internal/dataset"
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
