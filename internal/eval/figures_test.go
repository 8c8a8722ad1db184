package eval_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
)

// find returns a file of testdata, or of the shared folder beside the
// repository; the test is skipped where there is neither.
func find(t *testing.T, rel string) string {
	t.Helper()
	root := orttest.Root(t)
	for _, base := range []string{"testdata", filepath.Join("..", "shared"), filepath.Join("..", "shared", "data")} {
		path := filepath.Join(root, base, rel)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skipf("%s is not here", rel)
	return ""
}

// load opens a model and a data set for it.
func load(t *testing.T, model, data string, o dataset.Options) (*ort.Session, *dataset.Set) {
	t.Helper()
	s := orttest.Session(t, model, ort.Options{})
	set, err := dataset.Open(data, dataset.ModelInfo{Path: model, Inputs: s.Inputs(), Outputs: s.Outputs()}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return s, set
}

// figures are those of the models' READMEs.
func TestRecordedFigures(t *testing.T) {
	tests := []struct {
		name, model, data string
		tokenizer         string
		seqLen            int
		metric            string // that auto chooses
		want              float64
		extra             string
		extraWant         float64
		slow              bool
	}{
		{"mlp", "models/digits-mlp/digits-mlp.onnx", "digits/test.npz", "", 0, "accuracy", 0.9700, "", 0, false},
		{"mlp external", "models/digits-mlp/digits-mlp-ext.onnx", "digits/calib.npz", "", 0, "accuracy", 251.0 / 256, "", 0, false},
		{"cnn", "models/mnist-cnn/mnist-cnn.onnx", "digits/test.npz", "", 0, "accuracy", 0.9810, "", 0, false},
		{"resnet", "models/resnet-tiny/resnet-tiny.onnx", "digits/test.npz", "", 0, "accuracy", 0.9855, "", 0, true},
		{"gpt-s 128", "models/tinygpt-s/tinygpt-s.onnx", "text/test.txt", "models/tinygpt/tokenizer.json", 0, "perplexity", 62.8573, "top1", 0.2186, true},
		{"gpt-s 64", "models/tinygpt-s/tinygpt-s.onnx", "text/valid.txt", "models/tinygpt/tokenizer.json", 64, "perplexity", 65.5137, "predictions", 49140, true},
		{"gpt 128", "models/tinygpt/tinygpt.onnx", "text/test.txt", "", 0, "perplexity", 39.6344, "top1", 0.2946, true},
		{"gpt 64", "models/tinygpt/tinygpt.onnx", "text/test.txt", "", 64, "perplexity", 40.8346, "nll", 3.709531, true},
		{"gpt kv", "models/tinygpt/tinygpt-kv.onnx", "text/valid.txt", "", 0, "perplexity", 40.6537, "predictions", 49530, true},
		{"minilm", "models/minilm/minilm.onnx", "sts/sts-test.tsv", "", 0, "spearman", 0.8692, "", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.slow && (testing.Short() || raceEnabled) {
				t.Skip("seconds of a real model")
			}
			o := dataset.Options{SeqLen: tt.seqLen, Vocab: 2048}
			if tt.tokenizer != "" {
				o.Tokenizer = find(t, tt.tokenizer)
			}
			m, set := load(t, find(t, tt.model), find(t, tt.data), o)
			got, err := eval.Run(context.Background(), m, set, eval.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v; notes %q", got, set.Notes)
			if got.Metric != tt.metric || !near(got.Value, tt.want, 1e-3) {
				t.Errorf("%s = %v, want %s = %v", got.Metric, got.Value, tt.metric, tt.want)
			}
			if tt.extra != "" && !near(got.Extras[tt.extra], tt.extraWant, 1e-3) {
				t.Errorf("%s = %v, want %v", tt.extra, got.Extras[tt.extra], tt.extraWant)
			}
		})
	}
}

// Batches, with padding where texts differ in length, change nothing but the
// last digits.
func TestBatchesOfRealModels(t *testing.T) {
	tests := []struct {
		name, model, data string
		samples, batch    int
		tol               float64
	}{
		{"pictures", "models/mnist-cnn/mnist-cnn.onnx", "digits/test.npz", 300, 32, 0},
		{"windows", "models/tinygpt-s/tinygpt-s.onnx", "text/valid.txt", 10, 4, 1e-5},
		{"windows with cache", "models/tinygpt/tinygpt-kv.onnx", "text/valid.txt", 10, 4, 1e-5},
		{"pairs", "models/minilm/minilm.onnx", "sts/sts-test.tsv", 16, 8, 2e-3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() || raceEnabled {
				t.Skip("a real model")
			}
			o := dataset.Options{Samples: tt.samples}
			if tt.name == "windows" {
				o.Tokenizer = find(t, "models/tinygpt/tokenizer.json")
			}
			m, set := load(t, find(t, tt.model), find(t, tt.data), o)
			one, err := eval.Run(context.Background(), m, set, eval.Options{})
			if err != nil {
				t.Fatal(err)
			}
			many, err := eval.Run(context.Background(), m, set, eval.Options{Batch: tt.batch})
			if err != nil {
				t.Fatal(err)
			}
			if one.Samples != tt.samples || many.Samples != tt.samples || !near(one.Value, many.Value, tt.tol) {
				t.Errorf("one by one %+v, in batches %+v", one, many)
			}
		})
	}
}

// The same weights, once with batch normalization folded.
func TestCompareRealModels(t *testing.T) {
	a, set := load(t, find(t, "models/mnist-cnn/mnist-cnn.onnx"), find(t, "digits/calib.npz"), dataset.Options{Samples: 64})
	b, _ := load(t, find(t, "models/mnist-cnn/mnist-cnn-bn.onnx"), find(t, "digits/calib.npz"), dataset.Options{})
	got, err := eval.Against(context.Background(), a, b, set, eval.Options{Metric: eval.Cosine})
	if err != nil {
		t.Fatal(err)
	}
	if got.Value < 1-1e-9 || got.Extras["agreement"] != 1 || got.Extras["sqnr_db"] < 90 {
		t.Errorf("%+v", got)
	}
	got, err = eval.Against(context.Background(), a, b, set, eval.Options{})
	if err != nil || got.Reference.Value != got.Value || got.Metric != "accuracy" {
		t.Errorf("%+v, %v", got, err)
	}
}

// near compares with a relative tolerance.
func near(a, b, tol float64) bool { return math.Abs(a-b) <= tol*math.Max(math.Abs(a), math.Abs(b)) }
