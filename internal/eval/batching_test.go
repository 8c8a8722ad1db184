package eval

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"optim/internal/tensor"
)

// limited is a model that takes no more than so many samples at once, and counts
// its runs.
type limited struct {
	function
	most int
	runs int
}

func (m *limited) RunContext(ctx context.Context, in map[string]tensor.Tensor, names []string) (map[string]tensor.Tensor, error) {
	m.runs++
	if n := in["x"].Shape[0]; n > int64(m.most) {
		return nil, fmt.Errorf("a batch of %d", n)
	}
	return m.function.RunContext(ctx, in, names)
}

// TestChosenBatch: batches are made where they work, and change nothing.
func TestChosenBatch(t *testing.T) {
	rows := randomRows(rand.New(rand.NewPCG(8, 8)), 100, 3)
	labels := make([]int, len(rows))
	for i := range labels {
		labels[i] = i % 3
	}
	want, err := Run(bg, echo(-1, 3), labelled(t, echo(-1, 3), rows, labels), Options{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, most := range []int{1, 2, 1000} {
		m := &limited{function: echo(-1, 3), most: most}
		got, err := Run(bg, m, labelled(t, m, rows, labels), Options{})
		if err != nil || got.Value != want.Value || got.Samples != 100 {
			t.Errorf("at most %d at once: %+v, %v; want %+v", most, got, err, want)
		}
		if most == 1000 && m.runs > 10 {
			t.Errorf("%d runs for 100 samples", m.runs)
		}
	}
}

// TestBatchThatMixes: a model whose batch is no batch is run sample by sample.
func TestBatchThatMixes(t *testing.T) {
	rows := randomRows(rand.New(rand.NewPCG(9, 9)), 50, 3)
	labels := make([]int, len(rows))
	mixing := echo(-1, 3).with(func(v []float32) { // the first sample decides for all
		for i := 3; i < len(v); i++ {
			v[i] = v[i%3]
		}
	})
	set := labelled(t, mixing, rows, labels)
	one, err := Run(bg, mixing, set, Options{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := Run(bg, mixing, set, Options{})
	if err != nil || chosen.Value != one.Value {
		t.Errorf("%+v, %v; one by one %+v", chosen, err, one)
	}
	together, err := Run(bg, mixing, set, Options{Batch: 50})
	if err != nil || together.Value == one.Value {
		t.Errorf("the batch of the test does not mix: %+v, %v", together, err)
	}
}

// TestErrorInTheMiddle: the samples before it are judged, and nothing hangs.
func TestErrorInTheMiddle(t *testing.T) {
	bad := errors.New("broken")
	m := echo(-1, 2)
	runs := 0
	failing := struct{ function }{m}
	f := m.f
	failing.f = func(in map[string]tensor.Tensor) map[string]tensor.Tensor {
		runs++
		return f(in)
	}
	rows := randomRows(rand.New(rand.NewPCG(2, 2)), 30, 2)
	done := 0
	ctx, cancel := context.WithCancelCause(bg)
	_, err := Run(ctx, failing, labelled(t, m, rows, make([]int, 30)), Options{Batch: 2, Progress: func(n, _ int) {
		if done = n; n == 10 {
			cancel(bad)
		}
	}})
	if !errors.Is(err, context.Canceled) || done != 10 || runs > 10 {
		t.Errorf("%v after %d samples and %d runs", err, done, runs)
	}
}
