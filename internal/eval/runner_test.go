package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// lentVocab is the vocabulary of the language models here.
const lentVocab = 300

// watched is a model that notes the batches it gets, and lends its outputs.
type watched struct {
	function
	mu    sync.Mutex
	rows  []int // of each run
	lent  atomic.Int64
	given atomic.Int64
	check func(ctx context.Context, rows int) error // may refuse
}

func (w *watched) RunLent(ctx context.Context, in map[string]tensor.Tensor, names []string) (map[string]tensor.Tensor, func(), error) {
	rows := 0
	for _, t := range in {
		rows = int(t.Shape[0])
	}
	w.mu.Lock()
	w.rows = append(w.rows, rows)
	w.mu.Unlock()
	if w.check != nil {
		if err := w.check(ctx, rows); err != nil {
			return nil, nil, err
		}
	}
	out, err := w.RunContext(ctx, in, names)
	if err != nil {
		return nil, nil, err
	}
	w.lent.Add(1)
	v, ok := out["logits"].Float32s()
	return out, sync.OnceFunc(func() {
		w.given.Add(1)
		if ok == nil && len(v) > 0 {
			v[0] = 1e30 // what is read after release is wrong
		}
	}), nil
}

// returned checks that everything that was lent came back.
func (w *watched) returned(t *testing.T) {
	t.Helper()
	if w.lent.Load() != w.given.Load() {
		t.Errorf("%d outputs lent, %d given back", w.lent.Load(), w.given.Load())
	}
}

// classifier is echo with outputs in memory of their own, and n rows of data for it.
func classifier(t testing.TB, n int) (*watched, *dataset.Set, float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(11, uint64(n)))
	rows, labels, right := randomRows(r, n, 3), make([]int, n), 0
	for i := range labels {
		labels[i] = r.IntN(3)
		if argmax(rows[i]) == labels[i] {
			right++
		}
	}
	w := &watched{function: echo(-1, 3).with(func([]float32) {})}
	return w, labelled(t, w, rows, labels), float64(right) / float64(n)
}

func TestRunsOfChosenBatch(t *testing.T) {
	for _, tt := range []struct {
		n    int
		want string // rows of the runs: the first alone, the check of the first batch behind it
	}{{1, "[1]"}, {2, "[1 1]"}, {3, "[1 2 1]"}, {33, "[1 32 1]"}, {70, "[1 32 1 32 5]"}} {
		w, set, want := classifier(t, tt.n)
		got, err := Run(bg, w, set, Options{Batch: 0})
		if err != nil || got.Value != want || got.Samples != tt.n || fmt.Sprint(w.rows) != tt.want {
			t.Errorf("%d samples: %+v, %v, runs of %v; want %v, %s", tt.n, got, err, w.rows, want, tt.want)
		}
		w.returned(t)
	}
}

// A model may refuse batches at once, or only large ones, or later.
func TestRefusedBatch(t *testing.T) {
	refusal := errors.New("invalid dimensions")
	for name, refuses := range map[string]func(run, rows int) bool{
		"any":   func(_, rows int) bool { return rows > 1 },
		"large": func(_, rows int) bool { return rows > 20 },
		"later": func(run, rows int) bool { return run > 3 && rows > 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w, set, want := classifier(t, 80)
			run := 0
			w.check = func(_ context.Context, rows int) error {
				if run++; refuses(run, rows) {
					return refusal
				}
				return nil
			}
			got, err := Run(bg, w, set, Options{Batch: 0})
			if err != nil || got.Value != want || got.Samples != 80 {
				t.Errorf("%+v, %v, want %v", got, err, want)
			}
			w.returned(t)
			run = 1000
			if _, err = Run(bg, w, set, Options{Batch: 40}); name != "later" && !errors.Is(err, refusal) {
				t.Errorf("a batch that was asked for: %v", err)
			}
		})
	}
}

// An error of a sample is that of the sample, not of its batch.
func TestErrorInBatch(t *testing.T) {
	w, set, _ := classifier(t, 40)
	bad := errors.New("bad value")
	done := 0
	w.check = func(_ context.Context, rows int) error {
		if rows > 1 {
			return bad
		}
		if done++; done == 12 {
			return bad
		}
		return nil
	}
	_, err := Run(bg, w, set, Options{Batch: 0})
	wantError(t, err, false, "the model", "line 12", "bad value")
	w.returned(t)
}

// mixing adds the first row of a batch to all others.
func mixing(scale float32) *watched {
	m := echo(-1, 3)
	f := m.f
	m.f = func(in map[string]tensor.Tensor) map[string]tensor.Tensor {
		v, _ := f(in)["logits"].Float32s()
		mixed := append([]float32(nil), v...)
		for i := 3; i < len(mixed); i++ {
			mixed[i] += scale * v[i%3]
		}
		return map[string]tensor.Tensor{"logits": reals(mixed, in["x"].Shape...)}
	}
	return &watched{function: m}
}

// A model whose samples see each other is run on each alone; rounding is no reason to.
func TestMixedBatch(t *testing.T) {
	_, set, want := classifier(t, 50)
	m := mixing(1)
	got, err := Run(bg, m, set, Options{Batch: 0})
	if err != nil || got.Value != want || len(m.rows) != 1+1+1+49 {
		t.Errorf("%+v, %v after %v; want %v", got, err, m.rows, want)
	}
	m.returned(t)
	m = mixing(1e-6)
	if _, err := Run(bg, m, set, Options{Batch: 0}); err != nil || len(m.rows) != 4 {
		t.Errorf("rounding: %v after %v", err, m.rows)
	}
	whole, err := Run(bg, mixing(1), set, Options{Batch: 50})
	if err != nil || whole.Value == want {
		t.Errorf("as one batch %v, %v: the model does not mix, and the test shows nothing", whole.Value, err)
	}
}

// Samples of other shapes begin another batch, in the order of the data.
func TestBatchesByShape(t *testing.T) {
	m := &watched{function: language(lentVocab)}
	list := randomTexts(rand.New(rand.NewPCG(5, 5)), 4, 7, 7, 7, 3, 7, 7, 3)
	set := records(t, m, list...)
	want, err := Run(bg, language(lentVocab), set, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Run(bg, m, set, Options{Batch: 0})
	if err != nil || got.Value != want.Value || fmt.Sprint(m.rows) != "[1 3 1 1 2 1]" {
		t.Errorf("%+v, %v, runs of %v; want %+v", got, err, m.rows, want)
	}
	m.returned(t)
}

func TestChooseBatch(t *testing.T) {
	of := func(length, in, out int) *step {
		b := &dataset.Batch{Length: length, Inputs: map[string]tensor.Tensor{"x": {Data: make([]byte, in)}}}
		return &step{batch: b, views: []map[string]view{{"y": {v: make([]float32, out/4)}}}}
	}
	for _, tt := range []struct{ length, in, out, want int }{
		{0, 0, 0, batchSamples}, {0, 3136, 40, batchSamples}, {128, 2048, 1 << 20, 32}, {512, 8192, 8, 8},
		{5000, 40000, 8, 1}, {0, 3 * 224 * 224 * 4, 4000, 6}, {0, 8 << 20, 4, 1}, {1024, 8192, 200 << 20, 1}, {64, 512, 3 << 20, 10},
	} {
		if got := chooseBatch(of(tt.length, tt.in, tt.out)); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}

func TestBatchFor(t *testing.T) {
	model := func(ops ...string) *onnx.Model {
		g := &onnx.Graph{}
		for _, op := range ops {
			g.Nodes = append(g.Nodes, onnx.NewNode(op, "", nil, []string{"y"}))
		}
		return &onnx.Model{Graph: g}
	}
	still, moving := model("QuantizeLinear", "MatMulInteger"), model("Relu", "DynamicQuantizeLinear")
	inside := model()
	inside.Graph.Nodes = []*onnx.Node{onnx.NewNode("If", "", nil, nil, onnx.GraphAttr("then_branch", moving.Graph))}
	for _, tt := range []struct {
		models []*onnx.Model
		want   int
	}{{[]*onnx.Model{still}, 0}, {[]*onnx.Model{still, moving}, 1}, {[]*onnx.Model{inside}, 1}} {
		if got := BatchFor(tt.models...); got != tt.want {
			t.Errorf("%d, want %d", got, tt.want)
		}
	}
}

// Cancelled in the middle of a run, everything ends, soon, and nothing stays lent.
func TestCancelInTheMiddle(t *testing.T) {
	for _, batch := range []int{1, 7, 0} {
		w, set, _ := classifier(t, 200)
		ctx, cancel := context.WithCancel(bg)
		runs := 0
		w.check = func(ctx context.Context, _ int) error {
			if runs++; runs == 3 {
				cancel()
				<-ctx.Done() // as a run that is told to stop
				return ctx.Err()
			}
			return nil
		}
		done := make(chan error, 1)
		go func() {
			_, err := Run(ctx, w, set, Options{Batch: batch})
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("batch %d: %v", batch, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("batch %d: still running", batch)
		}
		w.returned(t)
	}
}

// What is wrong first in the data is reported, however fast the stages are.
func TestFirstErrorWins(t *testing.T) {
	m := echo(-1, 2)
	list := []map[string]any{}
	for i := range 30 {
		list = append(list, map[string]any{"x": []int{i, 1}, "label": 0})
	}
	list[10]["label"] = 5          // judged last
	list[11]["x"] = []int{1, 2, 3} // read first
	for range 20 {
		_, err := Run(bg, m, records(t, m, list...), Options{Batch: 1})
		wantError(t, err, true, "line 11", "label 5")
	}
	list[10]["label"] = 0
	_, err := Run(bg, m, records(t, m, list...), Options{Batch: 0})
	wantError(t, err, true, "line 12")
}

// Timing changes nothing: stages that are slow by turns give the same.
func TestTimingChangesNothing(t *testing.T) {
	var first Kept
	for k := range 6 {
		r := rand.New(rand.NewPCG(uint64(k), 0))
		reference, model := language(lentVocab), shaken(1)
		slow := model.with(func([]float32) { time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond) })
		list := randomTexts(rand.New(rand.NewPCG(8, 8)), 9, 9, 9, 9, 9, 4, 4)
		got, err := Against(bg, reference, slow, records(t, reference, list...), Options{Batch: 1 + k%3})
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 {
			first = got
		}
		if *got.Retention != *first.Retention || *got.Interval != *first.Interval || *got.Divergence.KL != *first.Divergence.KL {
			t.Errorf("run %d: %v, %+v; first %v, %+v", k, *got.Retention, got.Interval, *first.Retention, first.Interval)
		}
	}
}

var _ lender = (*ort.Session)(nil)

// randomTexts returns texts of random ids.
func randomTexts(r *rand.Rand, lengths ...int) (list []map[string]any) {
	for _, n := range lengths {
		ids := make([]int64, n)
		for i := range ids {
			ids[i] = r.Int64N(lentVocab)
		}
		list = append(list, map[string]any{"input_ids": ids})
	}
	return list
}

// logitsWith is language with each logit, by its id, changed.
func logitsWith(change func(id int, x float32) float32) function {
	return language(lentVocab).with(func(v []float32) {
		if len(v)%lentVocab != 0 { // the cache
			return
		}
		for i, x := range v {
			v[i] = change(i%lentVocab, x)
		}
	})
}

// shaken is language with noise that depends on the logits alone.
func shaken(scale float32) function {
	return logitsWith(func(_ int, x float32) float32 { return x + scale*float32(math.Sin(float64(x)*1000)) })
}
