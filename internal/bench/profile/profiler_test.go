package profile

import (
	"math"
	"testing"
	"time"

	"optim/internal/ort"
)

// trace is one of nodes whose least times and calls in a run are given.
func trace(least []time.Duration, calls []int, plain ...time.Duration) ort.Trace {
	t := ort.Trace{Runs: 3, Plain: plain}
	for i := range least {
		t.Nodes = append(t.Nodes, ort.NodeTime{Least: least[i], Median: 2 * least[i], Calls: 3 * calls[i]})
	}
	return t
}

func TestProfilerCost(t *testing.T) {
	const us = time.Microsecond
	for name, c := range map[string]struct {
		trace ort.Trace
		want  float64 // in microseconds
	}{
		"the same for all":           {trace([]time.Duration{10 * us, 12 * us, 30 * us}, []int{1, 1, 2}, 40*us, 90*us), 3},
		"the shortest bounds it":     {trace([]time.Duration{2 * us, 40 * us}, []int{1, 1}, 9*us), 2},
		"its calls, not its nodes":   {trace([]time.Duration{6 * us, 40 * us}, []int{4, 1}, 9*us), 1.5},
		"not above the time without": {trace([]time.Duration{10 * us, 12 * us}, []int{1, 1}, 23*us), 0},
		"no time without":            {trace([]time.Duration{us}, []int{1}), 0},
		"no nodes":                   {trace(nil, nil, us), 0},
	} {
		if got := profilerCost(c.trace) * 1e3; math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %g, want %g", name, got, c.want)
		}
	}
}

// TestSummary: every call is shortened, unless operators run beside each other.
func TestSummary(t *testing.T) {
	const us = time.Microsecond
	tr := trace([]time.Duration{10 * us, 30 * us}, []int{1, 2}, 34*us, 36*us, 90*us)
	p := summary(tr, false)
	if p.RunMS != 0.036 || math.Abs(p.ProfilerMS-0.002) > 1e-12 || math.Abs(p.Nodes[0].MS-0.018) > 1e-12 || math.Abs(p.Nodes[1].MS-0.056) > 1e-12 {
		t.Errorf("%+v", p)
	}
	if p := summary(tr, true); p.ProfilerMS != 0 || p.Nodes[0].MS != 0.02 || p.Nodes[1].MS != 0.06 {
		t.Errorf("in parallel: %+v", p)
	}
}
