package ort_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// bound returns n bindings of a small product.
func bound(t *testing.T, n int) []*ort.Binding {
	t.Helper()
	s := orttest.SessionOf(t, product(64, matrix(64, 64, func(i int) float32 { return float32(i % 7) }), false), ort.Options{})
	var pool []*ort.Binding
	for range n {
		b, err := s.Bind(
			map[string]tensor.Tensor{"x": tensor.Of(tensor.Float32, tensor.Shape{1, 64}, make([]float32, 64))},
			map[string]tensor.Tensor{"y": tensor.Of(tensor.Float32, tensor.Shape{1, 64}, make([]float32, 64))})
		if err != nil {
			t.Fatal(err)
		}
		pool = append(pool, b)
	}
	return pool
}

// TestTimeRunsOrder: as many runs as asked for, one after the other, within the
// call's own time.
func TestTimeRunsOrder(t *testing.T) {
	pool := bound(t, 3)
	for _, most := range []int{1, 2, 3, 4, 100} {
		before := ort.Clock()
		spans, err := ort.TimeRuns(context.Background(), pool, ort.Timing{First: 2, Most: most})
		after := ort.Clock()
		if err != nil || len(spans) != most {
			t.Fatalf("%d runs: %d, %v", most, len(spans), err)
		}
		for _, s := range spans {
			if s.Begin < before || s.Took() <= 0 || s.End > after {
				t.Fatalf("run %v to %v is not within %v to %v, or not after the run before", s.Begin, s.End, before, after)
			}
			before = s.End
		}
	}
}

// TestTimeRunsTurns: the bindings take turns, beginning with the first asked for.
func TestTimeRunsTurns(t *testing.T) {
	s := orttest.SessionOf(t, product(1, matrix(1, 1, func(int) float32 { return 2 }), false), ort.Options{})
	var pool []*ort.Binding
	y := make([][]float32, 3)
	for i := range y {
		y[i] = []float32{-1}
		b, err := s.Bind(
			map[string]tensor.Tensor{"x": tensor.Of(tensor.Float32, tensor.Shape{1, 1}, []float32{float32(i)})},
			map[string]tensor.Tensor{"y": tensor.Of(tensor.Float32, tensor.Shape{1, 1}, y[i])})
		if err != nil {
			t.Fatal(err)
		}
		pool = append(pool, b)
	}
	if _, err := ort.TimeRuns(context.Background(), pool, ort.Timing{First: 1, Most: 2}); err != nil {
		t.Fatal(err)
	}
	if y[0][0] != -1 || y[1][0] != 2 || y[2][0] != 4 {
		t.Errorf("results %v: want the second and the third binding run", y)
	}
}

// TestTimeRunsEnds: at the time given, and when the context ends.
func TestTimeRunsEnds(t *testing.T) {
	pool := bound(t, 1)
	spans, err := ort.TimeRuns(context.Background(), pool, ort.Timing{Most: 10, Until: ort.Clock() - time.Second})
	if err != nil || len(spans) != 0 {
		t.Errorf("a time that is past: %d runs, %v", len(spans), err)
	}
	until := ort.Clock() + 20*time.Millisecond
	spans, err = ort.TimeRuns(context.Background(), pool, ort.Timing{Most: 1 << 22, Until: until})
	if err != nil || len(spans) > 0 && spans[len(spans)-1].Begin >= until {
		t.Errorf("20 ms: %d runs, %v", len(spans), err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	spans, err = ort.TimeRuns(ctx, pool, ort.Timing{Most: 1 << 22})
	if !errors.Is(err, context.DeadlineExceeded) || len(spans) == 1<<22 {
		t.Errorf("a context that ends: %d runs, %v", len(spans), err)
	}
}

// TestTimeRunsRefuses what has no meaning.
func TestTimeRunsRefuses(t *testing.T) {
	a, b := bound(t, 1), bound(t, 1)
	if _, err := ort.TimeRuns(context.Background(), nil, ort.Timing{Most: 1}); err == nil {
		t.Error("no bindings were run")
	}
	if _, err := ort.TimeRuns(context.Background(), a, ort.Timing{}); err == nil {
		t.Error("no runs were made")
	}
	if _, err := ort.TimeRuns(context.Background(), []*ort.Binding{a[0], b[0]}, ort.Timing{Most: 1}); err == nil {
		t.Error("bindings of two sessions were run")
	}
	a[0].Close()
	if _, err := ort.TimeRuns(context.Background(), a, ort.Timing{Most: 1}); !errors.Is(err, ort.ErrClosed) {
		t.Errorf("a closed binding: %v", err)
	}
}

// BenchmarkHarness compares what a run costs in the timing loop, by a call of
// Binding.Run, and by a call of Session.Run.
func BenchmarkHarness(b *testing.B) {
	path := "../../testdata/models/digits-mlp/digits-mlp.onnx"
	s := orttest.Session(b, path, ort.Options{})
	in := map[string]tensor.Tensor{"input": tensor.Of(tensor.Float32, tensor.Shape{1, 1, 28, 28}, make([]float32, 784))}
	binding, err := s.Bind(in, map[string]tensor.Tensor{"logits": tensor.Of(tensor.Float32, tensor.Shape{1, 10}, make([]float32, 10))})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("loop", func(b *testing.B) {
		least := time.Duration(math.MaxInt64)
		spans, err := ort.TimeRuns(context.Background(), []*ort.Binding{binding}, ort.Timing{Most: b.N})
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range spans {
			least = min(least, s.Took())
		}
		b.ReportMetric(float64(least), "min-ns/op")
	})
	b.Run("binding", func(b *testing.B) {
		for b.Loop() {
			if err := binding.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("session", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Run(in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
