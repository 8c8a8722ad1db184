package bench

import (
	"fmt"
	"time"
)

// MostRuns bounds the runs of a row, whose times are all kept.
const MostRuns = 2 << 20

// plan returns the runs of each stream of a process, for runs of about the given
// length. Whole turns of the pool are made where they fit.
func (b *bench) plan(estimate time.Duration, runs, restarts, pool, streams int) int {
	if b.Runs > 0 {
		return runs
	}
	duration := b.Duration
	if duration == 0 {
		duration = DefaultDuration
		runs = (DefaultRuns + restarts - 1) / restarts
	}
	runs = max(runs, int(duration/time.Duration(restarts)/max(estimate, time.Microsecond/4)), 1)
	if most := max(MostRuns/restarts/streams, 1); runs > most {
		runs = most
		b.warn(fmt.Sprintf("no more than %d runs of a model are made", MostRuns))
	}
	return wholeTurns(runs, pool)
}

// wholeTurns rounds runs up to whole turns of a pool, if they are more than one.
func wholeTurns(runs, pool int) int {
	if runs <= pool {
		return runs
	}
	return (runs + pool - 1) / pool * pool
}

// equalize gives all models the same number of runs where runs differ from each
// other: their medians shall be over the same texts.
func equalize(turns []*turn) {
	least := turns[0].runs
	for _, t := range turns {
		if t.uniform {
			return
		}
		least = min(least, t.runs)
	}
	for _, t := range turns {
		t.runs = wholeTurns(least, len(t.perRun))
	}
}

// share returns the part of n runs that the i-th of k processes makes.
func share(n, k, i int) int { return n*(i+1)/k - n*i/k }
