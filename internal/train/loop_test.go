package train

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

const digitsModel = "models/digits-mlp/digits-mlp.onnx"

func digitRows(t *testing.T) *Rows {
	t.Helper()
	s := orttest.Session(t, testdata(t, digitsModel), ort.Options{})
	set, err := dataset.Open(testdata(t, "digits/calib.npz"), dataset.ModelInfo{Inputs: s.Inputs(), Outputs: s.Outputs()}, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	rows, err := ReadRows(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// digitLoop trains digits-mlp for three epochs of eight steps.
func digitLoop(t *testing.T, checkpoint string) *Loop {
	t.Helper()
	rows := digitRows(t)
	first := []row{}
	for i := range 32 {
		r := row{}
		for name, v := range rows.list[i] {
			r[name] = v
		}
		r["labels"] = r[Labels]
		delete(r, Labels)
		delete(r, Counted)
		first = append(first, r)
	}
	tr := trainer(t, testdata(t, digitsModel), first, Options{Optimizer: "adamw", Rate: 1e-3, WeightDecay: 0.01, Steps: 24, Schedule: "cosine"})
	for i := range rows.list { // the graph of trainer() calls them so
		rows.list[i]["labels"] = rows.list[i][Labels]
	}
	return &Loop{Trainer: tr, Rows: rows, Batch: 32, Seed: 3, Every: 5, Checkpoint: checkpoint, Identity: "digits"}
}

func TestResume(t *testing.T) {
	whole := digitLoop(t, "")
	want, err := whole.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Epochs) != 3 || len(want.Curve) != 5 || want.Epochs[2].Total >= want.Epochs[0].Total {
		t.Fatalf("outcome %+v", want)
	}
	for _, stop := range []int{1, 8, 13} {
		file := filepath.Join(t.TempDir(), "checkpoint")
		ctx, cancel := context.WithCancel(t.Context())
		first := digitLoop(t, file)
		first.Progress = func(p Point) {
			if p.Step == stop {
				cancel()
			}
		}
		if _, err := first.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %d: %v", stop, err)
		}
		second := digitLoop(t, file)
		second.Resume = true
		got, err := second.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(second.Trainer.w.value, whole.Trainer.w.value) {
			t.Errorf("stopped at step %d: other weights", stop)
		}
		for i, p := range got.Curve {
			if p.Total != want.Curve[i].Total {
				t.Errorf("stopped at step %d: point %d is %v, not %v", stop, i, p.Total, want.Curve[i].Total)
			}
		}
		if len(got.Epochs) != 3 || got.Epochs[1].Total != want.Epochs[1].Total {
			t.Errorf("stopped at step %d: epochs %+v", stop, got.Epochs)
		}
	}
}

func TestBadCheckpoints(t *testing.T) {
	file := filepath.Join(t.TempDir(), "checkpoint")
	if _, err := digitLoop(t, file).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, b := range map[string][]byte{
		"empty": {}, "text": []byte("hello\n"), "header": good[:40], "numbers": good[:len(good)/2], "hash": good[:len(good)-1], "flipped": flipped,
	} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l := digitLoop(t, file)
		l.Resume = true
		before := slices.Clone(l.Trainer.w.value)
		if _, err := l.Run(t.Context()); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(before, l.Trainer.w.value) {
			t.Errorf("%s: weights changed", name)
		}
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	l := digitLoop(t, file)
	l.Resume, l.Identity = true, "another"
	if _, err := l.Run(t.Context()); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("another training: %v", err)
	}
}

// TestBest: the weights of the best epoch are kept, and patience ends the training.
func TestBest(t *testing.T) {
	l := digitLoop(t, "")
	figures := []float64{2, 3, 1}
	var seen [][]float32
	l.Evaluate = func(_ context.Context, w map[string]tensor.Tensor) (float64, error) {
		seen = append(seen, slices.Clone(l.Trainer.w.value))
		return figures[len(seen)-1], nil
	}
	l.Better = func(a, b float64) bool { return a > b }
	out, err := l.Run(t.Context())
	if err != nil || out.Best != 2 || !slices.Equal(l.Trainer.w.value, seen[1]) {
		t.Fatalf("best is %d: %v", out.Best, err)
	}
	l, seen = digitLoop(t, ""), nil
	l.Patience = 1
	l.Evaluate = func(context.Context, map[string]tensor.Tensor) (float64, error) {
		seen = append(seen, nil)
		return -float64(len(seen)), nil
	}
	l.Better = func(a, b float64) bool { return a > b }
	if out, err = l.Run(t.Context()); err != nil || !out.Stopped || len(out.Epochs) != 2 {
		t.Fatalf("%+v: %v", out, err)
	}
}

func TestOrder(t *testing.T) {
	r := &Rows{list: make([]map[string]tensor.Tensor, 50)}
	a, b, c := r.Order(1, 0), r.Order(1, 0), r.Order(1, 1)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("orders of epochs")
	}
	slices.Sort(a)
	for i, x := range a {
		if i != x {
			t.Fatal("no permutation")
		}
	}
}

// TestResumeOfEvaluation: a training that was stopped while an epoch was evaluated
// goes on as if it had not been.
func TestResumeOfEvaluation(t *testing.T) {
	better := func(a, b float64) bool { return a > b }
	run := func(file string, resume bool, stop int) (*Loop, *Outcome, int, error) {
		l := digitLoop(t, file)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		calls := 0
		l.Resume, l.Better = resume, better
		l.Evaluate = func(ctx context.Context, _ map[string]tensor.Tensor) (float64, error) {
			if calls++; calls == stop {
				cancel()
				return 0, ctx.Err()
			}
			return float64(l.Trainer.w.value[0]), nil
		}
		out, err := l.Run(ctx)
		return l, out, calls, err
	}
	whole, want, _, err := run("", false, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, stop := range []int{1, 3} {
		file := filepath.Join(t.TempDir(), "checkpoint")
		if _, _, _, err := run(file, false, stop); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped in evaluation %d: %v", stop, err)
		}
		l, got, calls, err := run(file, true, 0)
		if err != nil {
			t.Fatal(err)
		}
		if calls != 4-stop || got.Best != want.Best || len(got.Epochs) != 3 || !slices.Equal(l.Trainer.w.value, whole.Trainer.w.value) {
			t.Errorf("stopped in evaluation %d: %d more, best %d of %d, %d epochs", stop, calls, got.Best, want.Best, len(got.Epochs))
		}
	}
}

// TestNoFigure: an evaluation that gives no number is worse than any that does.
func TestNoFigure(t *testing.T) {
	l := digitLoop(t, filepath.Join(t.TempDir(), "checkpoint"))
	figures := []float64{math.NaN(), math.Inf(1), 5, math.NaN()}
	l.First, l.Better = true, func(a, b float64) bool { return a < b }
	l.Evaluate = func(context.Context, map[string]tensor.Tensor) (v float64, err error) {
		v, figures = figures[0], figures[1:]
		return v, nil
	}
	out, err := l.Run(t.Context())
	if err != nil || out.Best != 2 || out.After == nil || *out.After != 5 {
		t.Fatalf("%+v: %v", out, err)
	}
}
