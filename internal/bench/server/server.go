package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Backend runs the model for one stream: the samples with these indices, as one
// batch. It is called by one goroutine at a time, which does not keep items.
type Backend interface {
	Run(ctx context.Context, items []int) error
}

// Options say what to measure. The zero value of a field takes what is in brackets.
type Options struct {
	// Rate of requests in items a second [the highest that keeps SLO, or without an
	// SLO the highest that does not overload the model].
	Rate float64
	// SLO is the limit of the 99th percentile of the latency [none].
	SLO time.Duration
	// Duration of the requests at one rate [3 s]. A search takes up to four times
	// that where it gives too few requests.
	Duration time.Duration
	// Window and MaxBatch are dynamic batching: a batch starts when MaxBatch items
	// wait [no batching], or when the first has waited Window [take what is there].
	Window   time.Duration
	MaxBatch int
	Items    int    // samples that there are
	Seed     uint64 // of the arrivals and of the samples that they take
	// Progress is called before each rate that is measured.
	Progress func(Step)

	newClock func() clock // [the system's]
}

// Step is what is going to be measured.
type Step struct {
	Batched bool
	Rate    float64 // 0: how fast the streams are when they are always busy
}

const (
	defaultDuration = 3 * time.Second
	// fewest requests at a rate: the 99th percentile would be the maximum.
	fewest = 10
	// enough requests that the 99th percentile rests on ten.
	enough = 1000
	// most bounds the memory for one rate: about 32 bytes a request.
	most = 1 << 22
)

func (o Options) withDefaults() (Options, error) {
	if o.Duration == 0 {
		o.Duration = defaultDuration
	}
	if o.newClock == nil {
		o.newClock = func() clock { return systemClock{time.Now()} }
	}
	if o.Progress == nil {
		o.Progress = func(Step) {}
	}
	o.MaxBatch = max(o.MaxBatch, 1)
	switch {
	case o.Items < 1:
		return o, errors.New("server scenario: no samples")
	case o.SLO < 0 || o.Duration < 0 || o.Window < 0:
		return o, errors.New("server scenario: a negative time")
	}
	if o.Rate != 0 {
		if err := CheckRate(o.Rate, o.Duration); err != nil {
			return o, fmt.Errorf("server scenario: %w", err)
		}
	}
	return o, nil
}

// CheckRate refuses a rate in items a second at which a duration [3 s] has too few
// requests for percentiles, or more than can be held.
func CheckRate(rate float64, d time.Duration) error {
	if d == 0 {
		d = defaultDuration
	}
	switch n := rate * d.Seconds(); {
	case !(rate > 0) || math.IsInf(rate, 0):
		return fmt.Errorf("a rate of %g items a second", rate)
	case n < fewest:
		return fmt.Errorf("%v at %g items a second are %.2g requests, and percentiles need at least %d: give a longer duration", d, rate, n, fewest)
	case n > most:
		return fmt.Errorf("%v at %g items a second are %.3g requests, at most %d are possible: give a shorter duration", d, rate, n, most)
	}
	return nil
}

// Measure measures streams, each with a backend of its own, that take requests
// from one queue: at o.Rate, or at the highest rate that keeps o.SLO; and again
// with dynamic batching where o.MaxBatch is above 1. When ctx ends, or a backend
// fails, it returns what was measured so far with the error.
func Measure(ctx context.Context, backends []Backend, o Options) (Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Report{}, err
	}
	if len(backends) == 0 {
		return Report{}, errors.New("server scenario: no streams")
	}
	m := &meter{backends: backends, Options: o}
	r := Report{SLO: milliseconds(o.SLO)}
	r.Rate, r.Capacity, err = m.measure(ctx, batching{most: 1})
	if err != nil || o.MaxBatch == 1 {
		return r, err
	}
	r.Window, r.MaxBatch = milliseconds(o.Window), o.MaxBatch
	r.BatchedRate, r.Batched, err = m.measure(ctx, batching{o.MaxBatch, o.Window})
	if r.Capacity != nil && r.Batched != nil && r.Capacity.Rate > 0 && r.Batched.Rate > 0 && err == nil {
		gain := r.Batched.Rate / r.Capacity.Rate
		r.Gain = &gain
	}
	return r, err
}

// meter measures one set of streams.
type meter struct {
	Options
	backends []Backend
}

// measure returns the load at the rate that was asked for, or else the capacity.
func (m *meter) measure(ctx context.Context, b batching) (*Load, *Capacity, error) {
	if m.Rate > 0 {
		n := int(math.Round(m.Rate * m.Duration.Seconds()))
		load, err := m.load(ctx, b, m.Rate, n, m.Seed, false)
		if load.Requests == 0 {
			return nil, nil, err
		}
		return &load, nil, err
	}
	c, err := m.capacity(ctx, b)
	return nil, c, err
}

// load measures n requests at a rate. With early set it ends when the limit is
// missed for certain.
func (m *meter) load(ctx context.Context, b batching, rate float64, n int, seed uint64, early bool) (Load, error) {
	m.Progress(Step{Batched: b.most > 1, Rate: rate})
	t := newTrial(m, queue{batching: b, at: schedule(seed, rate, n)}, rate, seed)
	if early && m.SLO > 0 {
		t.limit, t.misses = m.SLO, n-int(0.99*float64(n-1))
	}
	err := t.run(ctx, m.backends)
	return t.result(), err
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
