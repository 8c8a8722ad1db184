// Package measure times functions against each other and watches the memory of
// this process. It is what the speed gate and the benchmarks share: the same
// order of runs, the same statistics, the same intervals.
package measure

import (
	"context"
	"fmt"
	"time"
)

// Options says how long and how carefully to measure. The zero value suits a
// comparison of about two seconds.
type Options struct {
	Warmup    int           // untimed calls of each function first; 0: 2, below 0: none
	MinRounds int           // rounds to make in any case; 0: 5; at least 2
	MaxRounds int           // rounds after which to stop; 0: 1000
	Budget    time.Duration // time after which to stop, once MinRounds are made; 0: 2 s
	// MinSample is the shortest time that one sample may take: faster functions
	// are called several times for each, so that the clock's own cost and grain
	// do not count. 0: 500 µs, below 0: one call each.
	MinSample time.Duration
	// Precision stops a comparison before its budget is spent, once half the
	// width of the interval is at most this share of the speed-up. 0: never.
	Precision float64
	Seed      uint64 // of the bootstrap

	now func() time.Time // the clock; tests have their own
}

// maxCalls bounds the calls of one sample.
const maxCalls = 10000

func (o Options) withDefaults() Options {
	if o.Warmup == 0 {
		o.Warmup = 2
	}
	if o.MinRounds == 0 {
		o.MinRounds = 5
	}
	o.MinRounds = max(o.MinRounds, 2)
	if o.MaxRounds == 0 {
		o.MaxRounds = 1000
	}
	o.MaxRounds = max(o.MaxRounds, o.MinRounds)
	if o.Budget == 0 {
		o.Budget = 2 * time.Second
	}
	if o.MinSample == 0 {
		o.MinSample = 500 * time.Microsecond
	}
	if o.now == nil {
		o.now = time.Now
	}
	return o
}

// Comparison is the outcome of Interleave.
type Comparison struct {
	A, B []time.Duration // time of one call, by sample, two in each round
	// Speedup is the median over the rounds of a's time divided by b's: above 1,
	// b is faster. Low and High bound it with 95 % confidence.
	Speedup, Low, High float64
	Rounds             int
}

// MedianA returns the median time of a call of a.
func (c Comparison) MedianA() time.Duration { return MedianDuration(c.A) }

// MedianB returns the median time of a call of b.
func (c Comparison) MedianB() time.Duration { return MedianDuration(c.B) }

// Interleave times a against b in rounds of A B B A. Whatever changes slowly on
// the machine (clock rate, temperature, other load) meets both alike, and what
// changes steadily within a round cancels: each round gives one ratio. It stops
// at the first error of a or b, and when ctx ends.
func Interleave(ctx context.Context, a, b func() error, o Options) (Comparison, error) {
	o = o.withDefaults()
	ta, err := o.prepare(ctx, "first", a)
	if err != nil {
		return Comparison{}, err
	}
	tb, err := o.prepare(ctx, "second", b)
	if err != nil {
		return Comparison{}, err
	}
	var c Comparison
	var ratios []float64
	next := max(preciseFrom, o.MinRounds)
	for start := o.now(); c.Rounds < o.MaxRounds; {
		if c.Rounds >= o.MinRounds && o.now().Sub(start) >= o.Budget {
			break
		}
		if o.Precision > 0 && c.Rounds == next {
			if o.precise(ratios) {
				break
			}
			next += next / 2 // seldom enough not to stop at a lucky moment
		}
		var d [4]time.Duration
		for i, t := range []*timer{ta, tb, tb, ta} {
			if d[i], err = t.sample(ctx); err != nil {
				return Comparison{}, err
			}
		}
		c.A = append(c.A, d[0], d[3])
		c.B = append(c.B, d[1], d[2])
		ratios = append(ratios, ratio(d[0]+d[3], d[1]+d[2]))
		c.Rounds++
	}
	c.Speedup = Median(ratios)
	c.Low, c.High = MedianInterval(ratios, o.Seed)
	return c, nil
}

// preciseFrom is the rounds after which Precision is first looked at: intervals
// of fewer are too narrow too often.
const preciseFrom = 50

// precise reports whether the interval is narrow enough to stop.
func (o Options) precise(ratios []float64) bool {
	low, high := MedianInterval(ratios, o.Seed)
	return high-low <= 2*o.Precision*Median(ratios)
}

// ratio divides times; a clock that saw no time passes counts one nanosecond.
func ratio(a, b time.Duration) float64 {
	return float64(max(a, 1)) / float64(max(b, 1))
}

// Repeat times f alone: one sample a round.
func Repeat(ctx context.Context, f func() error, o Options) ([]time.Duration, error) {
	o = o.withDefaults()
	t, err := o.prepare(ctx, "function", f)
	if err != nil {
		return nil, err
	}
	var out []time.Duration
	for start := o.now(); len(out) < o.MaxRounds; {
		if len(out) >= o.MinRounds && o.now().Sub(start) >= o.Budget {
			break
		}
		d, err := t.sample(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// timer takes samples of one function.
type timer struct {
	name  string
	f     func() error
	calls int // in one sample
	now   func() time.Time
}

// prepare warms a function up and finds how many calls a sample needs.
func (o Options) prepare(ctx context.Context, name string, f func() error) (*timer, error) {
	t := &timer{name: name, f: f, calls: 1, now: o.now}
	for range max(o.Warmup, 0) {
		if _, err := t.sample(ctx); err != nil {
			return nil, err
		}
	}
	for o.MinSample > 0 && t.calls < maxCalls {
		d, err := t.sample(ctx)
		if err != nil {
			return nil, err
		}
		total := max(d*time.Duration(t.calls), 1)
		if total >= o.MinSample {
			break
		}
		// Aim a little above, but trust one short sample no more than tenfold.
		want := int(float64(t.calls)*1.2*float64(o.MinSample)/float64(total)) + 1
		t.calls = min(want, 10*t.calls, maxCalls)
	}
	return t, nil
}

// sample returns the mean time of the calls of one sample.
func (t *timer) sample(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	start := t.now()
	for range t.calls {
		if err := t.f(); err != nil {
			return 0, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return t.now().Sub(start) / time.Duration(t.calls), nil
}
