package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"optim/internal/measure"
)

// trial is one run of the requests of a queue through the streams. What is
// written after newTrial belongs to the stream that holds turn.
type trial struct {
	clock   clock
	rate    float64
	streams int
	queue   queue
	items   *rand.Rand
	samples int

	turn    chan struct{} // holds one token; a stream that waits for the next batch has it
	running atomic.Int32  // streams that run the model

	limit  time.Duration // of the latency; 0: none
	misses int           // requests beyond limit that end the trial

	ended   bool
	latency []time.Duration // of those answered, in the order of the answers
	late    int             // of them, beyond limit
	lost    []time.Duration // how long those had waited that were given up as late
	runs    int
	busy    time.Duration // sum over the runs
	queued  time.Duration // sum over the requests, until their run
	last    time.Duration // the last answer
}

func newTrial(m *meter, q queue, rate float64, seed uint64) *trial {
	t := &trial{
		rate: rate, streams: len(m.backends), queue: q,
		items: rand.New(rand.NewPCG(seed, itemStream)), samples: m.Items,
		turn: make(chan struct{}, 1), latency: make([]time.Duration, 0, len(q.at)),
	}
	// What was left behind so far is not to be collected during the measurement.
	runtime.GC()
	t.clock = m.newClock()
	t.turn <- struct{}{}
	return t
}

// run returns when all requests are answered, when there is no use in going on,
// or with the first error.
func (t *trial) run(ctx context.Context, backends []Backend) error {
	group, inner := errgroup.WithContext(ctx)
	for _, b := range backends {
		group.Go(func() error { return t.stream(inner, b) })
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// batch is the requests lo to hi-1 in one run.
type batch struct {
	lo, hi     int
	items      []int
	start, end time.Duration
}

// stream runs batches, one after the other, until there are no more.
func (t *trial) stream(ctx context.Context, b Backend) error {
	work := batch{items: make([]int, 0, min(t.queue.most, len(t.queue.at)))}
	for {
		more, err := t.next(ctx, &work)
		if err != nil || !more {
			return err
		}
		t.running.Add(1)
		work.start = t.clock.now()
		err = b.Run(ctx, work.items)
		work.end = t.clock.now()
		t.running.Add(-1)
		if err != nil {
			return fmt.Errorf("server scenario: %w", err)
		}
	}
}

// next enters what the stream has done, waits until a batch is due, and takes it.
func (t *trial) next(ctx context.Context, work *batch) (more bool, err error) {
	// The answer counts also when the context has ended.
	<-t.turn
	defer func() { t.turn <- struct{}{} }()
	t.enter(*work)
	*work = batch{items: work.items[:0]}
	if t.over() {
		return false, nil
	}
	idle := func() bool { return t.running.Load() == 0 }
	if err := t.clock.wait(ctx, t.queue.due(), idle); err != nil {
		return false, err
	}
	work.lo, work.hi = t.queue.take(t.clock.now())
	for range work.hi - work.lo {
		work.items = append(work.items, t.items.IntN(t.samples))
	}
	return true, nil
}

// enter counts a run. The first of a stream is empty.
func (t *trial) enter(b batch) {
	if b.lo == b.hi {
		return
	}
	t.runs++
	t.busy += b.end - b.start
	t.last = max(t.last, b.end)
	for _, at := range t.queue.at[b.lo:b.hi] {
		t.queued += b.start - at
		t.latency = append(t.latency, b.end-at)
		if t.limit > 0 && b.end-at > t.limit {
			t.late++
		}
	}
}

// over reports whether no further batch is to be run: none is left; so many are or
// will be late that the limit is missed; or the arrivals have ended and the streams,
// which cannot keep up, would only work off what has piled up.
func (t *trial) over() bool {
	q := &t.queue
	if t.ended || q.head == len(q.at) {
		return true
	}
	now := t.clock.now()
	if late := q.waiting(now - t.limit); t.limit > 0 && t.late+late >= t.misses {
		for _, at := range q.at[q.head : q.head+late] {
			t.lost = append(t.lost, now-at)
		}
		t.ended = true
	} else if q.at[len(q.at)-1] < now && t.overloaded() {
		t.ended = len(q.at)-q.head > t.streams*q.most
	}
	return t.ended
}

// overloaded reports whether the streams, always busy, serve fewer items a second
// than arrive.
func (t *trial) overloaded() bool {
	return t.rate*t.busy.Seconds() > float64(t.streams*len(t.latency))
}

// result describes what was answered.
func (t *trial) result() Load {
	n := len(t.latency)
	if n == 0 {
		return Load{Rate: t.rate}
	}
	sorted, sum := measure.Seconds(append(t.latency, t.lost...)), 0.0
	for _, x := range sorted[:n] {
		sum += x
	}
	slices.Sort(sorted)
	ms := func(q float64) float64 { return 1e3 * measure.Quantile(sorted, q) }
	return Load{
		Rate: t.rate, Achieved: float64(n) / t.last.Seconds(), Requests: n, Seconds: t.last.Seconds(),
		P50: ms(0.5), P90: ms(0.9), P95: ms(0.95), P99: ms(0.99), P999: ms(0.999), Max: ms(1),
		Mean: 1e3 * sum / float64(n), Queue: milliseconds(t.queued) / float64(n),
		MeanBatch:  float64(n) / float64(t.runs),
		Busy:       t.busy.Seconds() / (float64(t.streams) * t.last.Seconds()),
		Overloaded: t.overloaded(),
	}
}
