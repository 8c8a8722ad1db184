package measure

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAwaitQuiet: in virtual time, a process whose threads spin for so long, beside
// what else it does, is waited for as long as that, and not beyond the bound.
func TestAwaitQuiet(t *testing.T) {
	const most = 50 * time.Millisecond
	for _, c := range []struct {
		spins, want time.Duration
		rest        float64 // share of a processor that it takes at rest
	}{
		{0, quietStep, 0},
		{0, quietStep, 0.05},
		{0, most, 0.2},
		{9 * time.Millisecond, 12 * time.Millisecond, 0},
		{time.Hour, most, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			taken := func() time.Duration {
				since := time.Since(start)
				return 2*min(since, c.spins) + time.Duration(c.rest*float64(since)) // two threads
			}
			awaitQuiet(most, taken)
			if took := time.Since(start); took != c.want {
				t.Errorf("%+v: waited %v", c, took)
			}
		})
	}
}

// TestProcessorTime grows with work, as far as the system tells.
func TestProcessorTime(t *testing.T) {
	before := processorTime()
	x := uint32(1)
	for range 100_000_000 {
		x = x*1664525 + 1013904223
	}
	if after := processorTime(); after < before || before > 0 && after == before {
		t.Errorf("%v before, %v after work (%d)", before, after, x)
	}
}
