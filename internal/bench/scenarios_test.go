package bench

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"optim/internal/bench/server"
)

// TestDecode: a model writes as many ids as asked for, or as fit behind a usual prompt.
func TestDecode(t *testing.T) {
	o := short(t, gpt, gpt)
	o.Scenario, o.Duration, o.Prompt = Decode, time.Millisecond, 100
	r := mustRun(t, o)
	if len(r.Models) != 2 || len(r.Comparisons) != 0 {
		t.Fatalf("%+v", r)
	}
	for _, m := range r.Models {
		// 28 ids are left of a context of 128.
		if d := m.Decode; d == nil || d.Prompt != 100 || d.New != 28 || len(d.IDs) != 28 || d.Cached != nil || !(d.Whole.TPOT > 0) {
			t.Errorf("%s: %+v", m.Name, d)
		}
		if m.Cold == nil || m.Cold.Total != m.Cold.Load+m.Cold.First || !(m.PeakRSS > m.BaseRSS) || m.Latency != nil || m.Nodes["cpu"] < 10 {
			t.Errorf("%s: %+v", m.Name, m)
		}
	}
	o.Load.Read.Dims = map[string]int64{"batch": 4}
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "one text at a time, and not of 4") {
		t.Errorf("a batch of 4: %v", err)
	}
	o.Load.Read.Dims = nil
	o.New = 29
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "the 128 ids that the model takes") {
		t.Errorf("a prompt of 100 and 29 more: %v", err)
	}
	o.Paths, o.Prompt, o.New = short(t, digits).Paths, 0, 0
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "takes no ids") {
		t.Errorf("a model without ids: %v", err)
	}
}

// TestServer: requests are run one at a time and in batches, on streams of one
// session, and on sessions.
func TestServer(t *testing.T) {
	for _, by := range []string{ByThreads, BySessions} {
		o := short(t, digits)
		o.Scenario, o.Rate, o.Duration, o.MaxBatch, o.Window = Server, 200, 100*time.Millisecond, 4, time.Millisecond
		o.Concurrency, o.By = []int{2}, by
		m := mustRun(t, o).Models[0]
		if m.Batch != 1 || m.Concurrency != 2 || m.By != by || m.Cold == nil || !(m.PeakRSS > m.BaseRSS) {
			t.Errorf("%+v", m)
		}
		for _, l := range []*server.Load{m.Server.Rate, m.Server.BatchedRate} {
			if l.Rate != 200 || l.Requests < 1 || l.Requests > 20 || !(l.P99 > 0) || l.MeanBatch > 4 {
				t.Errorf("by %s: %+v", by, l)
			}
		}
	}
}

// TestOneProcess: where there was but one, its turns are compared by what the scenario
// is about: a run of eight samples in 2 ms is faster than one of one in 1 ms.
func TestOneProcess(t *testing.T) {
	one := func(ms float64, items int) *track {
		l := launch{items: 4 * items, wall: time.Duration(4 * ms * float64(time.Millisecond))}
		for i := range 4 {
			l.samples = append(l.samples, Sample{Block: i / 2, MS: ms})
		}
		return &track{launches: []launch{l}}
	}
	a, b := one(1, 1), one(2, 8)
	if got := ratios(a, b, (*track).medians); !slices.Equal(got, []float64{0.5, 0.5}) {
		t.Errorf("by runs: %v", got)
	}
	if got := ratios(a, b, (*track).perItem); !slices.Equal(got, []float64{4, 4}) {
		t.Errorf("by samples: %v", got)
	}
}

// TestNodesAreCountedOnce: rows of a model have the same nodes; with a profile, each
// has its own times.
func TestNodesAreCountedOnce(t *testing.T) {
	o := short(t, digits)
	o.Batches = []int{1, 3}
	for _, o.Profile = range []bool{false, true} {
		times := 0
		o.Progress = func(what string, _, _ int64) {
			if what == "profiling" {
				times++
			}
		}
		r := mustRun(t, o)
		a, b := r.Models[0], r.Models[1]
		if want := map[bool]int{false: 1, true: 2}[o.Profile]; times != want || a.Nodes["cpu"] < 3 || !maps.Equal(a.Nodes, b.Nodes) {
			t.Errorf("profile %v: %d profiles, %v and %v", o.Profile, times, a.Nodes, b.Nodes)
		}
		if (a.Profile != nil) != o.Profile || (b.Profile != nil) != o.Profile || o.Profile && a.Profile == b.Profile {
			t.Errorf("profile %v: %p, %p", o.Profile, a.Profile, b.Profile)
		}
	}
}
