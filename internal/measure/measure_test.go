package measure

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeClock moves only when a function under measurement moves it.
type fakeClock struct {
	t     time.Time
	calls int
	log   string
}

func (c *fakeClock) now() time.Time { return c.t }

// costs returns a function that takes cost(k) at the k-th call of any.
func (c *fakeClock) costs(name string, cost func(k int) time.Duration) func() error {
	return func() error {
		c.t = c.t.Add(cost(c.calls))
		c.calls++
		c.log += name
		return nil
	}
}

func constant(d time.Duration) func(int) time.Duration {
	return func(int) time.Duration { return d }
}

func TestInterleaveOrderAndRatio(t *testing.T) {
	var c fakeClock
	a, b := c.costs("A", constant(30*time.Millisecond)), c.costs("B", constant(10*time.Millisecond))
	got, err := Interleave(context.Background(), a, b, Options{MaxRounds: 5, Warmup: 1, now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	// Warm-up and one trial sample each, then the rounds.
	if want := "AABB" + strings.Repeat("ABBA", 5); c.log != want {
		t.Errorf("order %s, want %s", c.log, want)
	}
	if got.Rounds != 5 || len(got.A) != 10 || len(got.B) != 10 {
		t.Errorf("%d rounds, %d and %d samples", got.Rounds, len(got.A), len(got.B))
	}
	if got.Speedup != 3 || got.Low != 3 || got.High != 3 {
		t.Errorf("speedup %v [%v, %v], want 3", got.Speedup, got.Low, got.High)
	}
	if got.MedianA() != 30*time.Millisecond || got.MedianB() != 10*time.Millisecond {
		t.Errorf("medians %v, %v", got.MedianA(), got.MedianB())
	}
}

// TestDriftCancels slows the machine down steadily: each call takes longer than
// the one before, by the same amount for each unit of work.
func TestDriftCancels(t *testing.T) {
	var c fakeClock
	work := func(units int) func(int) time.Duration {
		return func(k int) time.Duration {
			return time.Duration(units) * (time.Millisecond + time.Duration(k)*100*time.Microsecond)
		}
	}
	got, err := Interleave(context.Background(), c.costs("A", work(2)), c.costs("B", work(1)),
		Options{MaxRounds: 50, Budget: time.Hour, now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(got.Speedup-2) > 1e-9 || math.Abs(got.Low-2) > 1e-9 || math.Abs(got.High-2) > 1e-9 {
		t.Errorf("speedup %v [%v, %v], want 2", got.Speedup, got.Low, got.High)
	}
	if first, last := got.A[0], got.A[len(got.A)-1]; last < 5*first {
		t.Errorf("from %v to %v: the drift of this test is too small", first, last)
	}
}

func TestBudgetAndRounds(t *testing.T) {
	for _, c := range []struct {
		cost        time.Duration
		o           Options
		wantRounds  int
		description string
	}{
		{time.Millisecond, Options{Budget: 100 * time.Millisecond}, 25, "the budget ends it"},
		{time.Second, Options{Budget: time.Millisecond}, 5, "the default minimum goes before the budget"},
		{time.Second, Options{Budget: time.Millisecond, MinRounds: 1}, 2, "never less than two"},
		{time.Microsecond, Options{MaxRounds: 7, MinSample: -1}, 7, "the maximum ends it"},
		{time.Millisecond, Options{MaxRounds: 3, MinRounds: 9, Budget: 1}, 9, "the minimum raises the maximum"},
	} {
		var clock fakeClock
		c.o.now = clock.now
		f := clock.costs("x", constant(c.cost))
		got, err := Interleave(context.Background(), f, f, c.o)
		if err != nil || got.Rounds != c.wantRounds {
			t.Errorf("%s: %d rounds, %v, want %d", c.description, got.Rounds, err, c.wantRounds)
		}
		if got.Speedup != 1 {
			t.Errorf("%s: speedup %v of a function over itself", c.description, got.Speedup)
		}
	}
}

// TestFastFunctions: samples hold as many calls as the clock needs, and the
// times are still those of one call.
func TestFastFunctions(t *testing.T) {
	var c fakeClock
	a, b := c.costs("", constant(4*time.Microsecond)), c.costs("", constant(2*time.Microsecond))
	got, err := Interleave(context.Background(), a, b, Options{MaxRounds: 5, now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if got.MedianA() != 4*time.Microsecond || got.MedianB() != 2*time.Microsecond || got.Speedup != 2 {
		t.Errorf("%v, %v, speedup %v", got.MedianA(), got.MedianB(), got.Speedup)
	}
	if perSample := c.calls / 20; perSample < 125 || perSample > 400 {
		t.Errorf("about %d calls a sample, want a little over 125 and 250", perSample)
	}
	// A clock that stands still must not go on for ever.
	var still fakeClock
	if _, err := Repeat(context.Background(), still.costs("", constant(0)), Options{MaxRounds: 5, now: still.now}); err != nil {
		t.Error(err)
	}
}

func TestErrorsAndCancel(t *testing.T) {
	boom := errors.New("boom")
	fine := func() error { return nil }
	for name, fs := range map[string][2]func() error{
		"first":  {func() error { return boom }, fine},
		"second": {fine, func() error { return boom }},
	} {
		_, err := Interleave(context.Background(), fs[0], fs[1], Options{})
		if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var c fakeClock
	n := 0
	stopping := func() error {
		if n++; n == 20 {
			cancel()
		}
		c.t = c.t.Add(time.Millisecond)
		return nil
	}
	got, err := Interleave(ctx, stopping, fine, Options{Budget: time.Hour, now: c.now})
	if !errors.Is(err, context.Canceled) || got.Rounds != 0 || n != 20 {
		t.Errorf("%+v, %v after %d calls", got, err, n)
	}
	if _, err := Repeat(ctx, fine, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("repeat: %v", err)
	}
}

func TestRepeat(t *testing.T) {
	var c fakeClock
	got, err := Repeat(context.Background(), c.costs("x", constant(time.Millisecond)),
		Options{Warmup: -1, Budget: 50 * time.Millisecond, now: c.now})
	if err != nil || len(got) != 50 || slices.Max(got) != time.Millisecond || slices.Min(got) != time.Millisecond {
		t.Errorf("%v, %v", got, err)
	}
	if c.calls != 51 { // one trial sample
		t.Errorf("%d calls", c.calls)
	}
}

// TestPrecisionStopsEarly: steady times need few rounds, wild ones the budget.
func TestPrecisionStopsEarly(t *testing.T) {
	compare := func(precision float64, b func(k int) time.Duration) Comparison {
		var c fakeClock
		got, err := Interleave(context.Background(), c.costs("A", constant(10*time.Millisecond)), c.costs("B", b),
			Options{MaxRounds: 400, Budget: time.Hour, Precision: precision, now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	wild := func(k int) time.Duration { return time.Duration(1+k*k%97) * time.Millisecond }
	if got := compare(0.02, constant(5*time.Millisecond)); got.Rounds != preciseFrom || got.Speedup != 2 {
		t.Errorf("steady: %d rounds, %v", got.Rounds, got.Speedup)
	}
	if got := compare(0, constant(5*time.Millisecond)); got.Rounds != 400 {
		t.Errorf("without a precision: %d rounds", got.Rounds)
	}
	if got := compare(0.0001, wild); got.Rounds != 400 {
		t.Errorf("wild: %d rounds, %v to %v", got.Rounds, got.Low, got.High)
	}
}
