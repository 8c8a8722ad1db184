package server

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// bubbleClock is the clock of a synctest bubble, whose time passes only while all
// goroutines wait.
type bubbleClock struct{ systemClock }

func (c bubbleClock) wait(ctx context.Context, t time.Duration, _ func() bool) error {
	if err := sleep(ctx, t-c.now()); err != nil {
		return err
	}
	return ctx.Err()
}

func inBubble(o Options) Options {
	o.newClock = func() clock { return bubbleClock{systemClock{time.Now()}} }
	return o
}

// model is a backend whose runs take first for one item, and each for every other.
type model struct {
	first, each time.Duration
	log         func(items []int)
}

func (m model) Run(ctx context.Context, items []int) error {
	if m.log != nil {
		m.log(items)
	}
	return sleep(ctx, m.first+time.Duration(len(items)-1)*m.each)
}

func streams(n int, m model) []Backend {
	var out []Backend
	for range n {
		out = append(out, m)
	}
	return out
}

// within runs Measure in virtual time.
func within(t *testing.T, backends []Backend, o Options) Report {
	t.Helper()
	var r Report
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = Measure(context.Background(), backends, inBubble(o)); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// TestQueueOfOne compares the waiting time of a queue with constant service with
// the formula of Pollaczek and Khinchine: ρ·s / (2·(1−ρ)).
func TestQueueOfOne(t *testing.T) {
	const service = 10 * time.Millisecond
	for _, rho := range []float64{0.1, 0.5, 0.8} {
		r := within(t, streams(1, model{first: service}), Options{
			Rate: rho / service.Seconds(), Duration: time.Hour / 6, Items: 3})
		n := float64(r.Rate.Requests)
		want := 1e3 * rho * service.Seconds() / (2 * (1 - rho))
		// The standard error of the mean wait grows as the correlation of waits,
		// about 1/(1−ρ)².
		near(t, "mean wait", r.Rate.Queue, want, want*6/((1-rho)*math.Sqrt(n)))
		near(t, "mean", r.Rate.Mean, r.Rate.Queue+10, 1e-6)
		near(t, "busy", r.Rate.Busy, rho, 0.03)
		near(t, "achieved", r.Rate.Achieved, r.Rate.Rate, 0.03*r.Rate.Rate)
		if r.Rate.Overloaded || r.Rate.MeanBatch != 1 || r.Batched != nil || r.Capacity != nil {
			t.Errorf("ρ = %g: %+v", rho, r.Rate)
		}
	}
}

// TestQueueOfMany compares several streams with a queue that is worked off in a
// plain loop.
func TestQueueOfMany(t *testing.T) {
	const service = 10 * time.Millisecond
	for _, n := range []int{1, 2, 5} {
		rate := 0.9 * float64(n) / service.Seconds()
		o := Options{Rate: rate, Duration: 20 * time.Second, Items: 1, Seed: 4}
		r := within(t, streams(n, model{first: service}), o)
		free := make([]time.Duration, n)
		var want []float64
		for _, at := range schedule(o.Seed, rate, r.Rate.Requests) {
			k := slices.Index(free, slices.Min(free))
			free[k] = max(free[k], at) + service
			want = append(want, milliseconds(free[k]-at))
		}
		slices.Sort(want)
		near(t, "maximum", r.Rate.Max, want[len(want)-1], 1e-6)
		near(t, "median", r.Rate.P50, (want[(len(want)-1)/2]+want[len(want)/2])/2, 1e-6)
		if k := len(want) * 99 / 100; r.Rate.P99 < want[k-2] || r.Rate.P99 > want[k+2] {
			t.Errorf("%d streams: p99 %g, want about %g", n, r.Rate.P99, want[k])
		}
	}
}

// md1Wait is the distribution of the wait in a queue with constant service 1
// (Erlang 1909): P(wait ≤ t).
func md1Wait(rho, t float64) float64 {
	sum, power := 0.0, 1.0
	for k := 0; k <= int(t); k++ {
		x := -rho * (t - float64(k))
		if k > 0 {
			power = 1
			for j := 1; j <= k; j++ {
				power *= x / float64(j)
			}
		}
		sum += power * math.Exp(-x)
	}
	return (1 - rho) * sum
}

// TestCapacityOfOne finds the rate at which the 99th percentile, by the theory,
// meets the limit.
func TestCapacityOfOne(t *testing.T) {
	const service = 10 * time.Millisecond
	for _, limit := range []float64{2, 4, 8} { // in units of the service
		r := within(t, streams(1, model{first: service}), Options{
			SLO: time.Duration(limit * float64(service)), Duration: 5 * time.Minute, Items: 1})
		rho := 0.0
		for md1Wait(rho+0.001, limit-1) >= 0.99 {
			rho += 0.001
		}
		c := r.Capacity
		near(t, "share of the service rate", c.Rate*service.Seconds(), rho, 0.06*rho)
		if c.Load == nil || c.Load.Rate != c.Rate || c.Load.P99 > r.SLO || !c.Probes[len(c.Probes)-1].Held || len(c.Probes) > 2*maxProbes {
			t.Errorf("limit %g: %+v", limit, c)
		}
		for _, p := range c.Probes {
			if p.Held != (p.P99 <= r.SLO) {
				t.Errorf("limit %g: a probe of %g items/s with p99 %g ms: held %v", limit, p.Rate, p.P99, p.Held)
			}
		}
	}
}

// TestCapacityNone: a limit below the model's own time.
func TestCapacityNone(t *testing.T) {
	r := within(t, streams(1, model{first: 10 * time.Millisecond}), Options{SLO: 9 * time.Millisecond, Items: 1})
	if r.Capacity.Rate != 0 || r.Capacity.Load != nil || len(r.Capacity.Probes) == 0 {
		t.Errorf("%+v", r.Capacity)
	}
}

// TestCapacityWithoutLimit is the rate that two streams just serve.
func TestCapacityWithoutLimit(t *testing.T) {
	r := within(t, streams(2, model{first: 10 * time.Millisecond}), Options{Items: 1, Duration: time.Minute})
	near(t, "capacity", r.Capacity.Rate, 200, 0.07*200)
	if r.Capacity.Load.Overloaded {
		t.Error("it is overloaded")
	}
}

// TestBatchingGain: a model whose runs cost the same for any number of items
// serves as many times more, and nearer to its limit, as batches even out the
// arrivals.
func TestBatchingGain(t *testing.T) {
	largest := 0
	log := func(items []int) { largest = max(largest, len(items)) }
	r := within(t, streams(1, model{first: 10 * time.Millisecond, log: log}), Options{
		SLO: 100 * time.Millisecond, Duration: time.Minute, Items: 10, MaxBatch: 8, Window: 5 * time.Millisecond})
	if r.Gain == nil || *r.Gain != r.Batched.Rate/r.Capacity.Rate {
		t.Fatalf("%+v", r)
	}
	near(t, "rate with batches", r.Batched.Rate, 8*100*0.95, 8*100*0.05)
	if r.Window != 5 || r.MaxBatch != 8 || largest != 8 || r.Capacity.Load.MeanBatch != 1 || r.Batched.Load.MeanBatch < 6 {
		t.Errorf("window %g, batch %d, largest %d, mean %g", r.Window, r.MaxBatch, largest, r.Batched.Load.MeanBatch)
	}
}

// TestBatchesInTime: no batch is larger than allowed; requests are taken in their
// order; with an idle model none waits longer than the window.
func TestBatchesInTime(t *testing.T) {
	var mu sync.Mutex
	var sizes []int
	var taken []int
	log := func(items []int) {
		mu.Lock()
		defer mu.Unlock()
		sizes, taken = append(sizes, len(items)), append(taken, items...)
	}
	// Enough streams that one is always free.
	r := within(t, streams(50, model{first: time.Millisecond, log: log}), Options{
		Rate: 500, Items: 1000, MaxBatch: 4, Window: 4 * time.Millisecond, Duration: 10 * time.Second})
	if len(taken) != 2*5000 || r.BatchedRate.Requests != 5000 {
		t.Fatalf("%d requests were run", len(taken))
	}
	if !slices.Equal(taken[:5000], taken[5000:]) {
		t.Error("with batches, the requests had another order")
	}
	if slices.Max(sizes[:5000]) != 1 || slices.Max(sizes) != 4 {
		t.Errorf("batches of %d and %d", slices.Max(sizes[:5000]), slices.Max(sizes))
	}
	if b := r.BatchedRate; b.Max > 5+1e-6 || b.Queue <= 0 || b.MeanBatch <= 1.5 {
		t.Errorf("%+v: want at most the window and the model's time, 5 ms", b)
	}
	if r.Rate.Max > 1+1e-6 || r.Rate.Queue > 1e-6 || r.Gain != nil {
		t.Errorf("%+v", r.Rate)
	}
}

// TestOverload: a rate above what the model serves ends with the arrivals.
func TestOverload(t *testing.T) {
	for _, c := range []struct {
		rate     float64
		service  time.Duration
		streams  int
		over     bool
		requests int // at most
	}{
		{150, 10 * time.Millisecond, 1, true, 301},
		{1e6, 10 * time.Millisecond, 2, true, 604},
		{150, 10 * time.Millisecond, 2, false, 450},
		{4, 10 * time.Second, 1, true, 1},
	} {
		r := within(t, streams(c.streams, model{first: c.service}), Options{Rate: c.rate, Items: 1})
		if l := r.Rate; l.Overloaded != c.over || l.Requests > c.requests || l.Requests < c.requests*8/10 || l.Rate != c.rate {
			t.Errorf("%+v: %+v", c, l)
		} else if top := float64(c.streams) / c.service.Seconds(); c.over {
			near(t, "achieved", l.Achieved, top, 0.05*top)
		}
	}
}

// TestHopeless: a rate that cannot hold any more is left early.
func TestHopeless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := inBubble(Options{SLO: 20 * time.Millisecond, Items: 1}).withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		m := &meter{Options: o, backends: streams(1, model{first: 10 * time.Millisecond})}
		start := time.Now()
		load, err := m.load(t.Context(), batching{most: 1}, 1000, 100_000, 1, true)
		if err != nil || load.P99 <= 20 || load.Requests > 1000 {
			t.Errorf("%+v, %v", load, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it took %v of 100 s", took)
		}
		// One run that hangs: those who wait are late before any answer is.
		m.backends = []Backend{&stalls{}}
		load, err = m.load(t.Context(), batching{most: 1}, 100, 1000, 1, true)
		if err != nil || load.P99 <= 20 || load.Requests >= 1000 {
			t.Errorf("%+v, %v", load, err)
		}
	})
}

// stalls takes a minute for its third run.
type stalls struct{ runs int }

func (s *stalls) Run(ctx context.Context, _ []int) error {
	if s.runs++; s.runs == 3 {
		return sleep(ctx, time.Minute)
	}
	return sleep(ctx, time.Millisecond)
}

// TestInterrupt: what was measured comes with the error, at a rate and in a search.
func TestInterrupt(t *testing.T) {
	const took = 30 * time.Second
	for _, o := range []Options{
		{Rate: 50, Duration: time.Minute},
		{SLO: 50 * time.Millisecond, Duration: time.Second},
		{SLO: 50 * time.Millisecond, Duration: time.Second, MaxBatch: 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			o.Items = 1
			ctx, cancel := context.WithTimeout(t.Context(), took)
			defer cancel()
			start := time.Now()
			r, err := Measure(ctx, streams(2, model{first: 10 * time.Millisecond}), inBubble(o))
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != took {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			switch {
			case o.Rate > 0 && (r.Rate == nil || r.Rate.Requests < 1300 || r.Rate.Requests > 1700):
				t.Errorf("%+v", r.Rate)
			case o.Rate == 0 && (r.Capacity == nil || len(r.Capacity.Probes) == 0 || r.Capacity.Load == nil):
				t.Errorf("%+v", r.Capacity)
			}
		})
	}
}

// fails at its fifth run.
type fails struct{ runs int }

var errFails = errors.New("no such input")

func (f *fails) Run(ctx context.Context, _ []int) error {
	if f.runs++; f.runs == 5 {
		return errFails
	}
	return sleep(ctx, time.Millisecond)
}

// TestBackendFails: the error ends all streams.
func TestBackendFails(t *testing.T) {
	for _, o := range []Options{{Rate: 100}, {SLO: time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			o.Items = 1
			r, err := Measure(t.Context(), []Backend{&fails{}, model{first: time.Hour}}, inBubble(o))
			if !errors.Is(err, errFails) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestRefuses what cannot be measured, and says why.
func TestRefuses(t *testing.T) {
	one := streams(1, model{})
	for want, c := range map[string]struct {
		backends []Backend
		o        Options
	}{
		"no streams":       {nil, Options{Items: 1}},
		"no samples":       {one, Options{}},
		"a rate of -1":     {one, Options{Items: 1, Rate: -1}},
		"a rate of NaN":    {one, Options{Items: 1, Rate: math.NaN()}},
		"a rate of +Inf":   {one, Options{Items: 1, Rate: math.Inf(1)}},
		"negative time":    {one, Options{Items: 1, SLO: -1}},
		"longer duration":  {one, Options{Items: 1, Rate: 1}},
		"shorter duration": {one, Options{Items: 1, Rate: 1e9}},
	} {
		r, err := Measure(context.Background(), c.backends, c.o)
		if err == nil || !strings.Contains(err.Error(), want) || r != (Report{}) {
			t.Errorf("want %q: %+v, %v", want, r, err)
		}
	}
}

// TestOutcome: with batches where these were measured.
func TestOutcome(t *testing.T) {
	one, many, found, best := &Load{}, &Load{}, &Capacity{}, &Capacity{}
	for _, c := range []struct {
		r    *Report
		load *Load
		top  *Capacity
	}{
		{nil, nil, nil}, {&Report{}, nil, nil}, {&Report{Rate: one}, one, nil}, {&Report{Capacity: found}, nil, found},
		{&Report{Rate: one, BatchedRate: many}, many, nil}, {&Report{Capacity: found, Batched: best}, nil, best},
		{&Report{Capacity: found, MaxBatch: 8}, nil, found}, // interrupted
	} {
		if load, top := c.r.Outcome(); load != c.load || top != c.top {
			t.Errorf("%+v: %p and %p", c.r, load, top)
		}
	}
}

// TestProgress: each rate is announced, with the items that Items allows.
func TestProgress(t *testing.T) {
	var steps []Step
	seen := map[int]bool{}
	var mu sync.Mutex
	log := func(items []int) {
		mu.Lock()
		defer mu.Unlock()
		for _, i := range items {
			seen[i] = true
		}
	}
	r := within(t, streams(2, model{first: time.Millisecond, log: log}), Options{
		SLO: 5 * time.Millisecond, Items: 7, MaxBatch: 2, Duration: time.Second, Progress: func(s Step) { steps = append(steps, s) }})
	if want := len(r.Capacity.Probes) + len(r.Batched.Probes) + 2; len(steps) != want || steps[0].Rate != 0 || steps[1].Batched || !steps[want-1].Batched {
		t.Errorf("%d steps, want %d: %+v", len(steps), want, steps)
	}
	for i := range 7 {
		if !seen[i] {
			t.Errorf("sample %d was never run", i)
		}
	}
	if len(seen) != 7 {
		t.Errorf("samples %v", seen)
	}
}

// TestSystemClock: a wait does not end early, and ends with the context.
func TestSystemClock(t *testing.T) {
	c := systemClock{time.Now()}
	for _, d := range []time.Duration{-time.Second, 0, time.Microsecond, 100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		for _, idle := range []bool{false, true} {
			until := c.now() + d
			if err := c.wait(context.Background(), until, func() bool { return idle }); err != nil || c.now() < until {
				t.Errorf("%v: %v at %v, want %v", d, err, c.now(), until)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	if err := c.wait(ctx, c.now()+time.Hour, func() bool { return true }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// digits is a model with memory for batches of one and two pictures.
type digits []*ort.Binding

func (d digits) Run(ctx context.Context, items []int) error { return d[len(items)-1].RunContext(ctx) }

// TestRealModel measures by the system's clock. Only what does not depend on the
// machine's speed is looked at.
func TestRealModel(t *testing.T) {
	s := orttest.Session(t, filepath.Join(orttest.Root(t), "testdata/models/digits-mlp/digits-mlp.onnx"), ort.Options{Threads: 1})
	var backends []Backend
	for range 2 {
		var d digits
		for n := range int64(2) {
			in := tensor.Of(tensor.Float32, tensor.Shape{n + 1, 1, 28, 28}, make([]float32, (n+1)*784))
			out := tensor.Of(tensor.Float32, tensor.Shape{n + 1, 10}, make([]float32, (n+1)*10))
			b, err := s.Bind(map[string]tensor.Tensor{"input": in}, map[string]tensor.Tensor{"logits": out})
			if err != nil {
				t.Fatal(err)
			}
			d = append(d, b)
		}
		backends = append(backends, d)
	}
	r, err := Measure(context.Background(), backends, Options{
		Rate: 500, Duration: 100 * time.Millisecond, Items: 2, MaxBatch: 2, Window: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Load{r.Rate, r.BatchedRate} {
		if l.Requests < 1 || l.Requests > 50 || l.P50 <= 0 || l.Max < l.P99 || l.P99 < l.P50 || l.Mean <= l.Queue || l.MeanBatch > 2 {
			t.Errorf("%+v", l)
		}
	}
	c, err := Measure(context.Background(), backends, Options{SLO: time.Nanosecond, Duration: 10 * time.Millisecond, Items: 2})
	if err != nil || c.Capacity.Rate != 0 {
		t.Errorf("a limit of a nanosecond: %+v, %v", c.Capacity, err)
	}
}

// TestCheckRate: percentiles need ten requests, and all of them memory.
func TestCheckRate(t *testing.T) {
	for _, c := range []struct {
		rate float64
		d    time.Duration
		says string // empty: good
	}{
		{10, time.Second, ""}, {4, 0, ""}, {float64(most) / 3, 0, ""},
		{9.9, time.Second, "longer"}, {3, 0, "longer"}, {1e-9, time.Hour, "longer"}, {100, 1, "longer"},
		{float64(most) / 2, 0, "shorter"}, {1e6, 24 * time.Hour, "shorter"},
		{0, time.Second, "a rate of 0"}, {-1, time.Second, "a rate of -1"}, {math.NaN(), time.Second, "a rate of NaN"}, {math.Inf(1), time.Second, "a rate of +Inf"},
	} {
		if err := CheckRate(c.rate, c.d); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v for %v: %v, want %q", c.rate, c.d, err, c.says)
		}
	}
}
