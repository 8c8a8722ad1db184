package server

import (
	"math/rand/v2"
	"sort"
	"time"
)

// latest bounds arrivals, so that adding a window does not overflow.
const latest = time.Duration(1 << 61)

// schedule returns the arrivals of n requests as a Poisson process of rate
// requests a second: exponential times between them. The same seed gives the same
// arrivals at another rate, stretched: rates are compared under the same luck.
func schedule(seed uint64, rate float64, n int) []time.Duration {
	rng := rand.New(rand.NewPCG(seed, arrivalStream))
	at := make([]time.Duration, n)
	sum := 0.0
	for i := range at {
		sum += rng.ExpFloat64()
		at[i] = time.Duration(min(sum/rate*float64(time.Second), float64(latest)))
	}
	return at
}

// Streams of random numbers of one seed.
const (
	arrivalStream = 1
	itemStream    = 2
)

// batching is how requests are joined to batches: a batch starts when most
// requests wait, or when the first has waited window.
type batching struct {
	most   int // at least 1
	window time.Duration
}

// queue holds the requests in the order of their arrival. All arrivals are known
// beforehand, so that nothing has to put them in: those that wait are the ones
// from head on whose time has come.
type queue struct {
	batching
	at   []time.Duration // ascending
	head int             // the first that was not taken
}

// due returns when the next batch starts, if a stream is free then.
func (q *queue) due() time.Duration {
	if q.most == 1 {
		return q.at[q.head]
	}
	due := q.at[q.head] + min(q.window, latest)
	if full := q.head + q.most - 1; full < len(q.at) {
		due = min(due, q.at[full])
	}
	return due
}

// take removes what goes into a batch that starts now, and returns its range.
func (q *queue) take(now time.Duration) (lo, hi int) {
	lo = q.head
	for q.head++; q.head < len(q.at) && q.head-lo < q.most && q.at[q.head] <= now; q.head++ {
	}
	return lo, q.head
}

// waiting returns how many requests came before t and were not taken.
func (q *queue) waiting(t time.Duration) int {
	rest := q.at[q.head:]
	return sort.Search(len(rest), func(i int) bool { return rest[i] >= t })
}
