package distill

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/dataset"
	"optim/internal/distill/student"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
	"optim/internal/train"
)

func path(t *testing.T, name string) string {
	return filepath.Join(orttest.Root(t), "testdata", name)
}

func open(t *testing.T, name string) *onnx.Model {
	t.Helper()
	m, err := onnx.Open(path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// small makes a student of half of everything.
func small(t *testing.T, name string, random bool) *onnx.Model {
	t.Helper()
	m := open(t, name)
	if _, err := student.Reduce(t.Context(), orttest.Runtime(t), m, student.Options{Factor: 2, Random: random}); err != nil {
		t.Fatal(err)
	}
	return m
}

func rows(t *testing.T, model, data string, n, seq int) *train.Rows {
	t.Helper()
	s := orttest.Session(t, path(t, model), ort.Options{})
	m := open(t, model)
	vocab, positions := inspect.Tables(m)
	o := dataset.Options{Samples: n, SeqLen: seq, Tokenizer: path(t, "models/tinygpt/tokenizer.json"), Vocab: vocab, PositionRows: positions}
	set, err := dataset.Open(path(t, data), dataset.ModelInfo{Inputs: s.Inputs(), Outputs: s.Outputs()}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	r, err := train.ReadRows(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	gpt    = "models/tinygpt/tinygpt.onnx"
	gptS   = "models/tinygpt-s/tinygpt-s.onnx"
	digits = "models/digits-mlp/digits-mlp.onnx"
	cnn    = "models/mnist-cnn/mnist-cnn.onnx"
	text   = "text/valid.txt"
)

func options(steps int) Options {
	return Options{
		Temperature: 3, Alpha: 0.5, Batch: 4, Seed: 1, Every: 5,
		Train: train.Options{Rate: 1e-3, WeightDecay: 0.01, Steps: steps},
	}
}

// TestLossesFall: each part of the loss gets smaller, on texts and on images.
func TestLossesFall(t *testing.T) {
	for _, c := range []struct {
		name, teacher, data string
		n, seq              int
	}{
		{"text", gptS, text, 40, 32},
		{"images", cnn, "digits/calib.npz", 64, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			teacher, s := open(t, c.teacher), small(t, c.teacher, false)
			o := options(30)
			o.Beta, o.Gamma = 100, 0.1
			out, err := Run(t.Context(), orttest.Runtime(t), teacher, s, rows(t, c.teacher, c.data, c.n, c.seq), o)
			if err != nil {
				t.Fatal(err)
			}
			first, last := out.Curve[0], out.Curve[len(out.Curve)-1]
			for _, part := range []string{KD, Task, Attention, Hidden} {
				if v := last.Parts[part]; !(v > 0 && v < first.Parts[part]) {
					t.Errorf("%s: %v → %v", part, first.Parts[part], v)
				}
			}
			for _, w := range s.Graph.Initializers {
				if strings.HasPrefix(w.Name, "projection") {
					t.Errorf("the student has %q", w.Name)
				}
			}
			onnxtest.Reparse(t, s)
		})
	}
}

// TestTeacherOfItself: a student that is its teacher has nothing to learn.
func TestTeacherOfItself(t *testing.T) {
	o := options(1)
	o.Alpha, o.Beta, o.Gamma = 1, 1, 1
	out, err := Run(t.Context(), orttest.Runtime(t), open(t, gptS), open(t, gptS), rows(t, gptS, text, 4, 32), o)
	if err != nil {
		t.Fatal(err)
	}
	for part, v := range out.Curve[0].Parts {
		if math.Abs(v) > 1e-5 {
			t.Errorf("%s of a twin is %v", part, v)
		}
	}
}

// TestCache: what the teacher said once is as good as asking again, and the file is
// taken up.
func TestCache(t *testing.T) {
	weights := func(cache string, top int) []float32 {
		s := small(t, gptS, false)
		o := options(8)
		o.Cache, o.TopK, o.CacheKey = cache, top, "x"
		if _, err := Run(t.Context(), orttest.Runtime(t), open(t, gptS), s, rows(t, gptS, text, 8, 16), o); err != nil {
			t.Fatal(err)
		}
		v, err := s.Graph.Initializer("m.transformer.wpe.weight").Value()
		if err != nil {
			t.Fatal(err)
		}
		return tensor.As[float32](v.Data)
	}
	folder := t.TempDir()
	want := weights("", 0)
	if got := weights(folder, 0); !slices.Equal(got, want) {
		t.Error("other weights while the cache is filled")
	}
	files, _ := filepath.Glob(filepath.Join(folder, "*"))
	if len(files) != 1 || filepath.Ext(files[0]) != ".bin" {
		t.Fatalf("files %v", files)
	}
	if got := weights(folder, 0); !slices.Equal(got, want) {
		t.Error("other weights from the cache")
	}
	if got := weights(folder, 64); slices.Equal(got, want) {
		t.Error("the greatest logits alone teach the same")
	}
}

// TestCacheNowhere: a folder that cannot be written is an error.
func TestCacheNowhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	values := map[string]tensor.Tensor{"v": tensor.Of(tensor.Float32, tensor.Shape{1, 2}, []float32{1, 2})}
	for _, folder := range []string{file, "/proc/self"} {
		if c, err := openCache(folder, "x", 1, values, "v", 0); err == nil || c != nil {
			t.Errorf("%s: %v, %v", folder, c, err)
		}
	}
}

// TestCacheCutsLogits: of logits alone the greatest are kept.
func TestCacheCutsLogits(t *testing.T) {
	row := func(n int64) tensor.Tensor {
		return tensor.Of(tensor.Float32, tensor.Shape{1, 1, n}, make([]float32, n))
	}
	c, err := openCache(t.TempDir(), "x", 1, map[string]tensor.Tensor{"hidden": row(16), "logits": row(32)}, "logits", 4)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if want := int64(16*4 + 4*8 + 4); c.size != want {
		t.Errorf("a record has %d bytes, not %d", c.size, want)
	}
}

// TestTopK: the greatest logits come back as they were, and the others with their
// probability together.
func TestTopK(t *testing.T) {
	v := []float32{3, -1, 0.5, 2, -4, 1, 2, 2}
	c := column{memory: tensor.Of(tensor.Float32, tensor.Shape{1, 1, 8}, slices.Clone(v)), row: 32, classes: 8, top: 3}
	record := make([]byte, c.bytes())
	c.encode(0, record)
	clear(c.memory.Data)
	c.decode(0, record)
	got := tensor.As[float32](c.memory.Data)
	sum := func(v []float32) (s float64) {
		for _, x := range v {
			s += math.Exp(float64(x))
		}
		return s
	}
	if got[0] != 3 || got[3] != 2 || got[6] != 2 || got[7] != got[1] || math.Abs(sum(got)/sum(v)-1) > 1e-6 {
		t.Errorf("%v became %v", v, got)
	}
}

// TestRecompute: computing inner values twice gives the same losses.
func TestRecompute(t *testing.T) {
	var curves [2]float64
	for i, again := range []bool{false, true} {
		o := options(5)
		o.Recompute = again
		out, err := Run(t.Context(), orttest.Runtime(t), open(t, gptS), small(t, gpt, false), rows(t, gptS, text, 8, 32), o)
		if err != nil {
			t.Fatal(err)
		}
		curves[i] = out.Curve[len(out.Curve)-1].Total
	}
	if math.Abs(curves[0]-curves[1]) > 1e-4*curves[0] {
		t.Errorf("losses %v and %v", curves[0], curves[1])
	}
}

// TestSensitivity: the scores are means over all samples of what their own gradients say. Of
// the second sample alone they are 2·(mean of two) − the first's; then fisher is g², obd
// ½w²·g² and taylor |w·g| of the same g, which of a batch's mean gradient they are not.
func TestSensitivity(t *testing.T) {
	rt := orttest.Runtime(t)
	const name = "fc3.weight"
	scores := func(n int, score string) []float32 {
		out, err := Sensitivity(t.Context(), rt, open(t, digits), rows(t, digits, "digits/calib.npz", n, 0), score, ort.Options{}, func(int, int) {})
		if err != nil {
			t.Fatal(err)
		}
		return out[name]
	}
	last := func(n int64, score string) []float64 { // what the n-th sample adds
		before, after := scores(int(n-1), score), scores(int(n), score)
		out := make([]float64, len(after))
		for i := range out {
			out[i] = float64(n)*float64(after[i]) - float64(n-1)*float64(before[i])
		}
		return out
	}
	value, err := open(t, digits).Graph.Initializer(name).Value()
	if err != nil {
		t.Fatal(err)
	}
	w := tensor.As[float32](value.Data)
	for _, n := range []int64{2, 9} {
		fisher, obd, taylor := last(n, "fisher"), last(n, "obd"), last(n, "taylor")
		most := slices.Max(fisher)
		if most <= 0 {
			t.Fatalf("sample %d has no gradient", n)
		}
		for i, f := range fisher {
			v := float64(w[i]) * float64(w[i])
			if math.Abs(taylor[i]*taylor[i]-v*f) > 1e-3*v*most+1e-12 || math.Abs(obd[i]-v*f/2) > 1e-3*v*most+1e-12 {
				t.Fatalf("sample %d, weight %d of %g: fisher %g, obd %g, taylor %g", n, i, w[i], f, obd[i], taylor[i])
			}
		}
	}
}

func TestErrors(t *testing.T) {
	rt := orttest.Runtime(t)
	digitRows := rows(t, digits, "digits/calib.npz", 8, 0)
	unlabelled := rows(t, digits, "digits/calib.npz", 8, 0)
	unlabelled.Kind = train.NoLabels
	for _, c := range []struct {
		name             string
		teacher, student *onnx.Model
		rows             *train.Rows
		change           func(o *Options)
		want             string
	}{
		{"no labels", open(t, digits), open(t, digits), unlabelled, func(*Options) {}, "no labels"},
		{"other classes", open(t, digits), fewer(t), digitRows, func(*Options) {}, "5 classes or features in the student and 10 in the teacher"},
		{"other inputs", open(t, digits), open(t, gptS), digitRows, func(*Options) {}, `nothing in the data is for its input "input_ids"`},
		{"no attention", open(t, digits), open(t, digits), digitRows, func(o *Options) { o.Beta = 1 }, "--beta"},
		{"no layers", open(t, digits), open(t, digits), digitRows, func(o *Options) { o.Gamma = 1 }, "--gamma"},
		{"little memory", open(t, digits), open(t, digits), digitRows, func(o *Options) { o.Memory = 1000 }, "too large"},
		{"too few samples", open(t, digits), open(t, digits), digitRows, func(o *Options) { o.Batch = 9 }, "do not fill"},
	} {
		o := options(1)
		c.change(&o)
		_, err := Run(t.Context(), rt, c.teacher, c.student, c.rows, o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, rt, open(t, digits), open(t, digits), digitRows, options(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// fewer is digits-mlp with five classes.
func fewer(t *testing.T) *onnx.Model {
	t.Helper()
	m := open(t, digits)
	for i, w := range m.Graph.Initializers {
		if !strings.HasPrefix(w.Name, "fc3") {
			continue
		}
		v, err := w.Value()
		if err != nil {
			t.Fatal(err)
		}
		s := w.Shape.Clone()
		s[0] = 5
		m.Graph.Initializers[i] = onnx.NewTensor(w.Name, tensor.Tensor{DType: v.DType, Shape: s, Data: v.Data[:len(v.Data)/2]})
	}
	m.Graph.Outputs[0].Type = onnx.TensorType(tensor.Float32, -1, 5)
	return m
}
