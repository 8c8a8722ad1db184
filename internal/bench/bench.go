package bench

import (
	"context"
	"fmt"
	"slices"

	"optim/internal/inspect"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// bench is a benchmark under way.
type bench struct {
	Options
	ctx    context.Context
	result *Result
	models []*model
}

// Run measures the models. When ctx ends the result holds what was measured until
// then. Errors of models and data are those of the packages onnx, ort and dataset,
// or of a worker's (see ort.ErrLibrary, ort.ErrProvider).
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Scenario == "" {
		o.Scenario = Latency
	}
	if o.Scenario == Offline && o.MaxBatch == 0 {
		o.MaxBatch = DefaultMaxBatch
	}
	b := &bench{Options: o, ctx: ctx, result: &Result{Scenario: o.Scenario, Models: []Row{}, Comparisons: []Comparison{}}}
	defer b.close()
	b.Load.Samples = b.samples()
	measure := map[string]func() error{Latency: b.latency, Offline: b.offline, Server: b.server, Decode: b.decode}[o.Scenario]
	var err error
	for _, step := range []func() error{
		b.openModels, b.environment, b.checkBaseline, b.checkQuality, measure, b.compareBaseline, b.profiles, b.peaks, b.quality,
	} {
		if err = step(); err != nil {
			break
		}
	}
	b.result.Interrupted = ctx.Err() != nil
	b.describeWorkload()
	return b.result, err
}

func (b *bench) close() {
	for _, m := range b.models {
		m.graph.Close()
	}
}

// open starts a worker with a model. The first one finds the inputs; those after
// it take them over.
func (b *bench) open(m *model) (*child, *opened, error) {
	w, err := start(b.Worker)
	if err != nil {
		return nil, nil, err
	}
	w.progress = func(p progress) { b.progress(p.What, p.Done, p.Total) }
	a, err := w.ask(b.ctx, request{Open: &openRequest{b.Library, m.path, b.Session, b.threads(), m.spec}})
	if err != nil {
		w.close()
		return nil, nil, m.blame(err)
	}
	if m.first == nil {
		m.first = a.Opened
		b.result.Environment.ORT = a.Opened.ORT
		m.spec.Read = a.Opened.Read
		b.warn(a.Opened.Notes...)
		if p := a.Opened.Providers[0]; p != ort.CPU {
			b.warn(fmt.Sprintf("times on %s include the copies of inputs and outputs; peak memory is the processor's alone", p))
		}
		for _, p := range a.Opened.Missing {
			b.warn(fmt.Sprintf("%s; %s is used", p.Why, a.Opened.Providers[0]))
		}
	}
	return w, a.Opened, nil
}

func (b *bench) warn(notes ...string) {
	for _, n := range notes {
		if !slices.Contains(b.result.Warnings, n) {
			b.result.Warnings = append(b.result.Warnings, n)
		}
	}
}

func (b *bench) progress(what string, done, total int64) {
	if b.Progress != nil {
		b.Progress(what, done, total)
	}
}

// row begins a row of a model.
func (b *bench) row(m *model, s Setting) Row {
	sum := m.summary
	r := Row{
		Path: m.path, Name: m.name, Batch: s.Batch, Concurrency: s.Concurrency, By: s.By,
		Bytes: sum.Bytes, Parameters: sum.Parameters, Weights: sum.Weights,
	}
	if m.first != nil {
		r.Provider = m.first.Providers[0]
	}
	return r
}

// describeWorkload tells what the first model was run with.
func (b *bench) describeWorkload() {
	w := &b.result.Workload
	w.Source = b.Load.Source
	if len(b.models) == 0 || b.models[0].first == nil {
		return
	}
	o := b.models[0].first
	w.From, w.Samples = o.From, o.Samples
	if n := len(o.Lengths); n > 0 {
		w.Lengths = &Lengths{Min: o.Lengths[0], Median: medianInts(o.Lengths), Max: o.Lengths[n-1]}
	}
}

func medianInts(sorted []int) float64 {
	n := len(sorted)
	return float64(sorted[(n-1)/2]+sorted[n/2]) / 2
}

// take takes over what the first runs of a row are: the inputs, and what a run
// computes.
func (b *bench) take(r *Row, m *model, in *bound) {
	if b.result.Workload.Inputs == nil {
		b.result.Workload.Inputs = in.Inputs
	}
	if in.Shapes == nil { // they differ from run to run
		return
	}
	shapes := map[string]tensor.Shape{}
	for name, s := range in.Shapes {
		shapes[name] = s
	}
	if c, ok := inspect.CostAt(m.graph, shapes); ok {
		r.cost, r.reads, r.MACs = c, inspect.ReadBytes(m.graph), ptr(int64(c.Total()))
	}
}

// threads is how many an operator computes with: ONNX Runtime's default is one for
// each core.
func (b *bench) threads() int {
	if b.Session.Threads > 0 {
		return b.Session.Threads
	}
	return b.result.Environment.CPU.Cores
}
