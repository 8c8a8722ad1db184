// Package engine measures TensorRT engines as trtexec does: transfers and the inference by
// the device's own clock, and what the host sees.
package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"optim/internal/gpu"
)

// Runner makes one inference at a time.
type Runner interface {
	Infer() (gpu.Timing, error)
}

// Options say how long to measure. The zero value is trtexec's: 200 ms of warm-up and 3 s,
// with at least ten inferences in each.
type Options struct {
	WarmUp, Duration time.Duration
	MinRuns          int
	Now              func() time.Time // nil: time.Now
	Progress         func(done, total time.Duration)
}

// Series are the times of one kind, in milliseconds.
type Series struct {
	Mean   float64 `json:"mean"`
	Sigma  float64 `json:"sigma"`
	Min    float64 `json:"min"`
	Median float64 `json:"p50"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Result is what was measured.
type Result struct {
	Runs       int     `json:"runs"`
	Throughput float64 `json:"qps"` // inferences by the host's time from first to last
	// Latency is the transfers and the inference; Enqueue the host's time in the call; Host
	// the host's time from the first transfer to the last.
	H2D      Series   `json:"h2d_ms"`
	Compute  Series   `json:"compute_ms"`
	D2H      Series   `json:"d2h_ms"`
	Latency  Series   `json:"latency_ms"`
	Enqueue  Series   `json:"enqueue_ms"`
	Host     Series   `json:"host_ms"`
	Stable   bool     `json:"stable"` // the last three thirds agree within 10 %
	Warnings []string `json:"warnings"`
}

// Measure runs the engine.
func Measure(ctx context.Context, r Runner, o Options) (*Result, error) {
	if o.WarmUp == 0 {
		o.WarmUp = 200 * time.Millisecond
	}
	if o.Duration == 0 {
		o.Duration = 3 * time.Second
	}
	o.MinRuns = max(o.MinRuns, 10)
	if o.Now == nil {
		o.Now = time.Now
	}
	if _, _, err := o.loop(ctx, r, o.WarmUp); err != nil {
		return nil, err
	}
	times, took, err := o.loop(ctx, r, o.Duration)
	if err != nil {
		return nil, err
	}
	return summarize(times, took), nil
}

// loop runs for a time, and at least MinRuns times.
func (o *Options) loop(ctx context.Context, r Runner, long time.Duration) (times []gpu.Timing, took time.Duration, err error) {
	for start := o.Now(); len(times) < o.MinRuns || took < long; {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		t, err := r.Infer()
		if err != nil {
			return nil, 0, fmt.Errorf("inference %d: %w", len(times)+1, err)
		}
		times = append(times, t)
		took = o.Now().Sub(start)
		if o.Progress != nil {
			o.Progress(took, long)
		}
	}
	return times, took, nil
}

func summarize(times []gpu.Timing, took time.Duration) *Result {
	of := func(f func(gpu.Timing) time.Duration) []float64 {
		out := make([]float64, len(times))
		for i, t := range times {
			out[i] = float64(f(t)) / float64(time.Millisecond)
		}
		return out
	}
	latency := of(gpu.Timing.Latency)
	r := &Result{
		Runs: len(times), Throughput: float64(len(times)) / took.Seconds(),
		H2D: series(of(func(t gpu.Timing) time.Duration { return t.H2D })), Compute: series(of(func(t gpu.Timing) time.Duration { return t.Compute })),
		D2H: series(of(func(t gpu.Timing) time.Duration { return t.D2H })), Latency: series(latency),
		Enqueue: series(of(func(t gpu.Timing) time.Duration { return t.Enqueue })), Host: series(of(func(t gpu.Timing) time.Duration { return t.Host })),
		Stable: stable(latency),
	}
	r.Warnings = warnings(r)
	return r
}

// Percentile is the nearest rank, ⌈p·N⌉, of sorted times.
func Percentile(sorted []float64, p float64) float64 {
	return sorted[min(max(int(math.Ceil(p*float64(len(sorted))))-1, 0), len(sorted)-1)]
}

func series(v []float64) Series {
	sorted := slices.Sorted(slices.Values(v))
	s := Series{Min: sorted[0], Median: Percentile(sorted, 0.5), P95: Percentile(sorted, 0.95), P99: Percentile(sorted, 0.99), Max: sorted[len(sorted)-1]}
	for _, x := range v {
		s.Mean += x / float64(len(v))
	}
	for _, x := range v {
		s.Sigma += (x - s.Mean) * (x - s.Mean) / float64(len(v))
	}
	s.Sigma = math.Sqrt(s.Sigma)
	return s
}

// stable compares the medians of three thirds.
func stable(v []float64) bool {
	low, high := math.Inf(1), 0.0
	for i := range 3 {
		part := slices.Sorted(slices.Values(v[i*len(v)/3 : (i+1)*len(v)/3]))
		m := Percentile(part, 0.5)
		low, high = min(low, m), max(high, m)
	}
	return high <= 1.1*low
}

// warnings are those of trtexec, and what few runs cannot tell.
func warnings(r *Result) []string {
	var out []string
	if r.Enqueue.Median > 0.8*r.Compute.Median {
		out = append(out, "the host's call takes most of the inference's time: throughput may be bound by it; try --cuda-graph")
	}
	for _, t := range []struct {
		name string
		s    Series
	}{{"to", r.H2D}, {"from", r.D2H}} {
		if t.s.Median >= r.Compute.Median {
			out = append(out, fmt.Sprintf("transfers %s the device take as long as the inference", t.name))
		}
	}
	if r.Compute.Mean > 0 && r.Compute.Sigma > 0.025*r.Compute.Mean {
		out = append(out, fmt.Sprintf("the inference's time varies by %.1f %%: the GPU's clock may not be steady", 100*r.Compute.Sigma/r.Compute.Mean))
	}
	if !r.Stable {
		out = append(out, "the thirds of the measurement differ by more than 10 %: it is not stable")
	}
	if r.Runs < 1000 {
		out = append(out, fmt.Sprintf("%d inferences are few for the 99th percentile", r.Runs))
	}
	return out
}
