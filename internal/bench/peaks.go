package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"optim/internal/bench/roofline"
	"optim/internal/ort"
)

// probeRequest asks a worker for the peaks of the machine.
type probeRequest struct {
	Library ort.Config
	Threads int
}

// peaks measures what the machine can do, in a process of its own, and how much of
// it each row made use of. It is of the processor: nothing is measured where no row
// ran on that.
func (b *bench) peaks() error {
	asks := func(r Row) bool { return r.Provider == ort.CPU && r.MACs != nil && r.runTime() > 0 }
	if b.Brief || !slices.ContainsFunc(b.result.Models, asks) {
		return nil
	}
	b.progress("probing the machine", 0, 0)
	p, err := b.probe()
	switch {
	case b.ctx.Err() != nil:
		return err
	case err != nil: // no reason to lose what was measured
		b.warn(fmt.Sprintf("the machine was not probed: %v", err))
		return nil
	}
	b.result.Environment.Peaks = p
	for i := range b.result.Models {
		b.result.Models[i].useOf(*p)
	}
	return nil
}

func (b *bench) probe() (*roofline.Peaks, error) {
	w, err := start(b.Worker)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a, err := w.ask(b.ctx, request{Probe: &probeRequest{b.Library, b.Session.Threads}})
	return a.Probe, err
}

// useOf fills in the share of the attainable speed.
func (r *Row) useOf(p roofline.Peaks) {
	if r.Provider == ort.CPU && r.MACs != nil && r.runTime() > 0 {
		share := p.Share(r.cost, r.reads, r.runTime())
		r.Roofline = &share
	}
}

// runTime is the time of the machine that a run takes: of streams at once, each
// takes its part.
func (r *Row) runTime() time.Duration {
	switch {
	case r.Throughput != nil && *r.Throughput > 0 && r.Concurrency > 1:
		return time.Duration(float64(r.Batch) / *r.Throughput * float64(time.Second))
	case r.Latency != nil:
		return time.Duration(r.Latency.P50 * float64(time.Millisecond))
	}
	return 0
}

// probe answers a request for the peaks.
func (w *worker) probe(ctx context.Context, r probeRequest) (*roofline.Peaks, error) {
	rt, err := ort.Load(r.Library)
	if err != nil {
		return nil, err
	}
	p, err := roofline.Probe(ctx, rt, ort.Options{Threads: r.Threads, Stop: ctx.Done()})
	return &p, err
}
