package server

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// firstShare is the rate that is tried first, as a share of what the streams do
// when they are always busy: about what a limit of ten times the model's own time
// allows (M/D/1).
const firstShare = 0.8

// capacity finds the highest rate that keeps the limit.
func (m *meter) capacity(ctx context.Context, b batching) (*Capacity, error) {
	top, err := m.saturate(ctx, b)
	if err != nil {
		return nil, err
	}
	c := &Capacity{Probes: []Probe{}}
	once := func(rate float64, requests int, seed uint64) (bool, error) {
		load, err := m.load(ctx, b, rate, requests, seed, true)
		if err != nil {
			return false, err
		}
		held := !load.Overloaded && (m.SLO == 0 || load.P99 <= milliseconds(m.SLO))
		c.Probes = append(c.Probes, Probe{rate, load.P99, held})
		if held && (c.Load == nil || rate > c.Rate) {
			c.Rate, c.Load = rate, &load
		}
		return held, nil
	}
	// Other load on the machine makes a rate miss the limit, never keep it: it gets a
	// second chance.
	try := func(rate float64, requests int, seed uint64) (bool, error) {
		held, err := once(rate, requests, seed)
		if held || err != nil {
			return held, err
		}
		return once(rate, requests, seed)
	}
	found, err := search(firstShare*top, func(rate float64) (bool, error) {
		return try(rate, m.requests(rate), m.Seed)
	})
	if err != nil {
		return c, err
	}
	// The rate was chosen because it held: it may have been lucky. It has to hold
	// again, for longer and with other arrivals.
	first := *c
	c.Rate, c.Load = 0, nil
	_, err = settle(found, func(rate float64) (bool, error) {
		return try(rate, min(2*m.requests(rate), most), ^m.Seed)
	})
	if err != nil {
		c.Rate, c.Load = first.Rate, first.Load
	}
	return c, err
}

// requests is how many are made at a rate that is tried: those of Duration; if
// these are too few for a percentile, more, within four times the Duration.
func (m *meter) requests(rate float64) int {
	d := m.Duration.Seconds()
	n := max(rate*d, min(enough, 4*rate*d))
	return int(min(max(n, fewest), most))
}

// saturate returns the items a second when the streams never wait, after a run of
// each for warming up.
func (m *meter) saturate(ctx context.Context, b batching) (float64, error) {
	span := min(m.Duration/4, 500*time.Millisecond)
	m.Progress(Step{Batched: b.most > 1})
	clock, sum := m.newClock(), 0.0
	var lock sync.Mutex
	group, inner := errgroup.WithContext(ctx)
	for k, backend := range m.backends {
		group.Go(func() error {
			rate, err := saturateOne(inner, clock, backend, span, m.batches(b.most, uint64(k)))
			lock.Lock()
			defer lock.Unlock()
			sum += rate
			return err
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return sum, err
}

// batches returns a function that makes up a batch of n items.
func (m *meter) batches(n int, stream uint64) func() []int {
	rng := rand.New(rand.NewPCG(m.Seed+stream, itemStream))
	items := make([]int, n)
	return func() []int {
		for i := range items {
			items[i] = rng.IntN(m.Items)
		}
		return items
	}
}

// saturateOne runs one stream for a time, at least twice, and returns its items a
// second without the first run.
func saturateOne(ctx context.Context, c clock, b Backend, span time.Duration, next func() []int) (float64, error) {
	done, start := 0, time.Duration(0)
	for runs := 0; ; runs++ {
		now := c.now()
		switch {
		case runs == 1:
			start = now
		case runs > 1 && now-start >= span:
			return float64(done) / max(now-start, 1).Seconds(), nil
		}
		items := next()
		if err := b.Run(ctx, items); err != nil {
			return 0, err
		}
		if runs > 0 {
			done += len(items)
		}
	}
}
