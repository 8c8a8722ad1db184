package server

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestSchedule: arrivals are those of a Poisson process, the same for the same
// seed, and stretched for another rate.
func TestSchedule(t *testing.T) {
	const n, rate = 100_000, 250.0
	at := schedule(7, rate, n)
	if !slices.IsSorted(at) || at[0] <= 0 {
		t.Fatal("arrivals are not ascending")
	}
	if !slices.Equal(at, schedule(7, rate, n)) || slices.Equal(at, schedule(8, rate, n)) {
		t.Error("the seed does not decide the arrivals")
	}
	for i, slow := range schedule(7, rate/2, n) {
		if d := slow - 2*at[i]; d < -2 || d > 2 {
			t.Fatalf("arrival %d at half the rate is at %v, not twice %v", i, slow, at[i])
		}
	}
	// Gaps have the mean and the standard deviation 1/rate, and e^-1 of them are
	// longer than that; the counts of equal times have the variance of their mean.
	var sum, squares, long float64
	last := time.Duration(0)
	counts := map[int]float64{}
	for _, x := range at {
		gap := (x - last).Seconds() * rate
		sum, squares, last = sum+gap, squares+gap*gap, x
		if gap > 1 {
			long++
		}
		counts[int(x.Seconds()*rate/10)]++
	}
	mean := sum / n
	near(t, "mean gap", mean, 1, 4/math.Sqrt(n))
	near(t, "variance of the gaps", squares/n-mean*mean, 1, 4*math.Sqrt(8/float64(n)))
	near(t, "long gaps", long/n, 1/math.E, 4*math.Sqrt(0.25/n))
	spans, dispersion := n/10-100, 0.0
	for i := range spans {
		dispersion += (counts[i] - 10) * (counts[i] - 10) / 10
	}
	near(t, "index of dispersion", dispersion/float64(spans), 1, 4*math.Sqrt(2/float64(spans)))
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %g, want %g ± %g", what, got, want, tolerance)
	}
}

// TestScheduleSlow: times beyond what a Duration holds stay ascending.
func TestScheduleSlow(t *testing.T) {
	at := schedule(1, 1e-12, 20)
	q := queue{batching: batching{4, math.MaxInt64}, at: at}
	if !slices.IsSorted(at) || at[19] != latest || q.due() < at[0] {
		t.Errorf("%v, due %v", at, q.due())
	}
}

// TestBatching checks when batches start, and what goes into them.
func TestBatching(t *testing.T) {
	ms := func(n ...int) []time.Duration {
		var out []time.Duration
		for _, x := range n {
			out = append(out, time.Duration(x)*time.Millisecond)
		}
		return out
	}
	for _, c := range []struct {
		what    string
		b       batching
		at      []time.Duration
		free    int // milliseconds
		due, hi int
	}{
		{"one at a time", batching{most: 1}, ms(5, 5, 5), 9, 5, 1},
		{"one at a time, whatever the window", batching{1, time.Second}, ms(5, 6), 5, 5, 1},
		{"no window: what is there", batching{most: 4}, ms(5, 6, 9), 7, 5, 2},
		{"no window: at once", batching{most: 4}, ms(5, 6, 9), 0, 5, 1},
		{"full before the window ends", batching{3, 10 * time.Millisecond}, ms(5, 6, 9, 9), 0, 9, 3},
		{"the window ends first", batching{3, 2 * time.Millisecond}, ms(5, 6, 9), 0, 7, 2},
		{"at the end of the window", batching{3, 4 * time.Millisecond}, ms(5, 6, 9), 0, 9, 3},
		{"fewer are left than a batch holds", batching{8, 3 * time.Millisecond}, ms(5, 6), 0, 8, 2},
		{"never more than a batch holds", batching{2, time.Millisecond}, ms(1, 1, 1, 1), 99, 1, 2},
	} {
		q := queue{batching: c.b, at: c.at}
		due := q.due()
		if due != time.Duration(c.due)*time.Millisecond {
			t.Errorf("%s: due at %v, want %d ms", c.what, due, c.due)
		}
		lo, hi := q.take(max(due, time.Duration(c.free)*time.Millisecond))
		if lo != 0 || hi != c.hi || q.head != hi {
			t.Errorf("%s: took %d to %d, want 0 to %d", c.what, lo, hi, c.hi)
		}
	}
}

// TestWaiting compares with a count.
func TestWaiting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		q := queue{at: make([]time.Duration, rng.IntN(20))}
		for i := range q.at {
			q.at[i] = time.Duration(rng.IntN(10))
		}
		slices.Sort(q.at)
		q.head = rng.IntN(len(q.at) + 1)
		for now := time.Duration(-1); now < 12; now++ {
			want := 0
			for _, at := range q.at[q.head:] {
				if at < now {
					want++
				}
			}
			if got := q.waiting(now); got != want {
				t.Fatalf("%d of %v from %d wait at %v, want %d", got, q.at, q.head, now, want)
			}
		}
	}
}
