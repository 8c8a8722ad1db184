package train

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"optim/internal/autodiff"
	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// pytorch.json was made by `python bench/peers/train.py fixture`.
type fixtureCase struct {
	Losses []float64          `json:"losses"`
	Norms  map[string]float64 `json:"gradient_norms"`
}

func fixture(t *testing.T, name string, out any) {
	t.Helper()
	b, err := os.ReadFile("testdata/pytorch.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all[name], out); err != nil {
		t.Fatal(name, err)
	}
}

func testdata(t *testing.T, path string) string {
	return filepath.Join(orttest.Root(t), "testdata", path)
}

// TestFollowsPyTorch makes the same hundred steps as PyTorch from the same weights.
func TestFollowsPyTorch(t *testing.T) {
	for _, c := range []struct {
		name, model, data string
		batch, seq        int
		o                 Options
	}{
		{"mlp-sgd", "digits-mlp/digits-mlp.onnx", "digits/calib.npz", 16, 0, Options{Optimizer: "sgd", Rate: 0.05, Momentum: 0.9, WeightDecay: 1e-3}},
		{"cnn-adam", "mnist-cnn/mnist-cnn.onnx", "digits/calib.npz", 16, 0, Options{Optimizer: "adam", Rate: 5e-4, WeightDecay: 1e-4}},
		{"gpt-adamw", "tinygpt-s/tinygpt-s.onnx", "text/valid.txt", 4, 64, Options{Optimizer: "adamw", Rate: 1e-3, WeightDecay: 0.01, Warmup: 10, Schedule: "cosine", Clip: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want fixtureCase
			fixture(t, c.name, &want)
			c.o.Steps = len(want.Losses)
			rows := readRows(t, testdata(t, "models/"+c.model), testdata(t, c.data), c.seq)
			tr := trainer(t, testdata(t, "models/"+c.model), rows[:c.batch], c.o)
			for step, loss := range want.Losses {
				l, err := tr.Step(t.Context(), func(int) error {
					for j := range c.batch {
						rows[(step*c.batch+j)%len(rows)].copyTo(tr.Inputs(), j)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if step == 0 {
					checkNorms(t, tr, want.Norms)
				}
				if math.Abs(l.Total-loss) > 1e-3*loss {
					t.Fatalf("step %d: loss %.7f, PyTorch's %.7f", step, l.Total, loss)
				}
			}
		})
	}
}

// checkNorms compares the length of each gradient; after a step that clipped them, up
// to the common factor.
func checkNorms(t *testing.T, tr *Trainer, want map[string]float64) {
	t.Helper()
	ratio := 0.0
	for _, w := range tr.w.list {
		sum := 0.0
		for _, x := range tensor.As[float32](tr.w.view(tr.w.grad, w).Data) {
			sum += float64(x) * float64(x)
		}
		r := math.Sqrt(sum) / want[w.Name]
		if ratio == 0 {
			ratio = r
			if tr.o.Clip == 0 && math.Abs(r-1) > 1e-4 {
				t.Errorf("gradient of %s: %g times PyTorch's", w.Name, r)
			}
		}
		if want[w.Name] == 0 || math.Abs(r/ratio-1) > 1e-3 {
			t.Errorf("gradient of %s: %g times PyTorch's, that of others %g", w.Name, r, ratio)
		}
	}
}

type row map[string]tensor.Tensor

func (r row) copyTo(batch map[string]tensor.Tensor, i int) {
	for name, t := range batch {
		n := len(r[name].Data)
		copy(t.Data[i*n:(i+1)*n], r[name].Data)
	}
}

func readRows(t *testing.T, model, data string, seq int) []row {
	t.Helper()
	s := orttest.Session(t, model, ort.Options{})
	info := dataset.ModelInfo{Path: model, Inputs: s.Inputs(), Outputs: s.Outputs()}
	tok := testdata(t, "models/tinygpt/tokenizer.json")
	set, err := dataset.Open(data, info, dataset.Options{SeqLen: seq, Tokenizer: tok, Vocab: 2048})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	var rows []row
	for {
		sample, err := set.Next()
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		r := row(sample.Inputs)
		if sample.Label != nil {
			r["labels"] = tensor.Of(tensor.Int64, tensor.Shape{1}, []int64{*sample.Label})
		} else {
			ids := tensor.As[int64](r["input_ids"].Data)
			next := append(append([]int64{}, ids[1:]...), Ignore)
			r["labels"] = tensor.Of(tensor.Int64, tensor.Shape{1, int64(len(ids))}, next)
		}
		rows = append(rows, r)
	}
}

func trainer(t *testing.T, path string, rows []row, o Options) *Trainer {
	t.Helper()
	m, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := autodiff.Prepare(m); err != nil {
		t.Fatal(err)
	}
	list, err := Trainable(m)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range list {
		names = append(names, w.Name)
	}
	batch := map[string]tensor.Tensor{}
	for name, v := range rows[0] {
		s := v.Shape.Clone()
		s[0] = int64(len(rows))
		full, err := tensor.New(v.DType, s)
		if err != nil {
			t.Fatal(err)
		}
		batch[name] = full
	}
	for i, r := range rows {
		r.copyTo(batch, i)
	}
	labels := batch["labels"]
	delete(batch, "labels")
	rt := orttest.Runtime(t)
	g, err := autodiff.Freeze(t.Context(), rt, m, batch, names, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g.FuseGelu()
	g.Input("labels", autodiff.Type{DType: tensor.Int64, Shape: labels.Shape})
	tr, err := New(rt, Model{Graph: g, Loss: CrossEntropy(g, "logits", "labels"), Weights: list}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}
