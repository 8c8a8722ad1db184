package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/workload"
)

// Defaults of the length of a measurement.
const (
	DefaultRuns     = 100
	DefaultDuration = 3 * time.Second
	// DefaultRestarts is how many processes measure each model in turn: what one
	// process is lucky with (where its memory lies, which processor its threads
	// run on) is part of the interval then.
	DefaultRestarts = 5
)

// Options say what is measured and how.
type Options struct {
	Worker  Command
	Version string // of this program
	Library ort.Config
	Paths   []string
	Session Session
	Load    workload.Spec

	Batches     []int  // samples in a run; nil: one, or what the model prescribes
	Concurrency []int  // streams; nil: one
	By          string // how they run at once

	Runs     int           // of each model; 0: DefaultRuns at least, and as Duration says
	Duration time.Duration // of each model; 0: DefaultDuration at least, and as Runs says
	Warmup   int           // runs before; below 0: until times are stable
	Restarts int           // 0: DefaultRestarts

	Scenario string // empty: Latency

	// Of the server scenario; see package server.
	Rate     float64
	SLO      time.Duration
	Window   time.Duration
	MaxBatch int // also of Offline; 0: DefaultMaxBatch there

	Prompt, New int // of Decode, in ids; 0: what is usual and fits

	Profile  bool // time of operators and nodes
	Eval     Eval
	Baseline *Baseline // to compare with; nil: the first model

	Progress func(what string, done, total int64)
}

// bench is a benchmark under way.
type bench struct {
	Options
	ctx    context.Context
	result *Result
	models []*model
}

// model is one of the models, and what is known of it.
type model struct {
	path, name string
	graph      *onnx.Model
	summary    inspect.Summary
	first      *opened       // what its first worker said
	spec       workload.Spec // with the sizes that the first worker found
	tokenizer  string        // of another model; empty: the one beside the model
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
		b.openModels, b.environment, b.checkBaseline, measure, b.compareBaseline, b.profiles, b.peaks, b.quality,
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

// openModels reads the models before anything is run, so that a bad file is told
// at once.
func (b *bench) openModels() error {
	names := uniqueNames(b.Paths)
	for i, path := range b.Paths {
		g, err := onnx.Open(path)
		if err != nil {
			return err
		}
		m := &model{path: path, name: names[i], graph: g, spec: b.Load}
		b.models = append(b.models, m)
		if m.summary, err = inspect.Model(g, inspect.Options{}); err != nil {
			return err
		}
	}
	b.lendTokenizer()
	return nil
}

// lendTokenizer lets models that have no tokenizer beside them use that of the first
// one that has: a result lies elsewhere than its source.
func (b *bench) lendTokenizer() {
	var lender string
	for _, m := range b.models {
		file := filepath.Join(filepath.Dir(m.path), "tokenizer.json")
		if _, err := os.Stat(file); err == nil && lender == "" {
			lender = file
		}
	}
	for _, m := range b.models {
		if _, err := os.Stat(filepath.Join(filepath.Dir(m.path), "tokenizer.json")); err != nil {
			m.tokenizer = lender
		}
		m.lend(&m.spec.Read)
	}
}

// lend sets the tokenizer where the user named none.
func (m *model) lend(read *dataset.Options) {
	if read.Tokenizer == "" {
		read.Tokenizer = m.tokenizer
	}
}

// uniqueNames returns the files' names, with as much of their folders as tells
// them apart; the same file twice gets a number.
func uniqueNames(paths []string) []string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	for i, p := range paths {
		same := func(q string) bool { return filepath.Base(q) == filepath.Base(p) }
		if differ := slices.ContainsFunc(paths, func(q string) bool { return same(q) && filepath.Clean(q) != filepath.Clean(p) }); differ {
			names[i] = filepath.ToSlash(filepath.Clean(p))
		}
	}
	seen := map[string]int{}
	for i, n := range names {
		if seen[n]++; seen[n] > 1 {
			names[i] = fmt.Sprintf("%s (%d)", n, seen[n])
		}
	}
	return names
}

// settings returns the combinations to measure.
func (b *bench) settings() []Setting {
	batches, streams := b.Batches, b.Concurrency
	if len(batches) == 0 {
		batches = []int{0}
	}
	if len(streams) == 0 {
		streams = []int{1}
	}
	var out []Setting
	for _, n := range batches {
		for _, k := range streams {
			s := Setting{Batch: n, Concurrency: k}
			if k > 1 {
				s.By = b.By
			}
			out = append(out, s)
		}
	}
	return out
}

// samples is how many different samples a model is run with: real ones and texts of
// many lengths are of interest by themselves, made-up ones fill the batches.
func (o Options) samples() int {
	batch := max(o.MaxBatch, 1)
	for _, n := range o.Batches {
		batch = max(batch, n)
	}
	if (o.Load.Source == "" || o.Load.Source == dataset.Random) && len(o.Load.Lengths) == 0 {
		return 4 * batch
	}
	return mostVariedBatches * batch
}

// settle gives a setting its batch where the user named none.
func (s Setting) settle(o *opened) Setting {
	if s.Batch == 0 {
		s.Batch = max(o.Batch, 1)
	}
	return s
}

// open starts a worker with a model. The first one finds the inputs; those after
// it take them over.
func (b *bench) open(m *model) (*child, *opened, error) {
	w, err := start(b.Worker)
	if err != nil {
		return nil, nil, err
	}
	w.progress = func(p progress) { b.progress(p.What, p.Done, p.Total) }
	a, err := w.ask(b.ctx, request{Open: &openRequest{b.Library, m.path, b.Session, m.spec}})
	if err != nil {
		w.close()
		return nil, nil, m.blame(err)
	}
	if m.first == nil {
		m.first = a.Opened
		b.result.Environment.ORT = a.Opened.ORT
		m.spec.Read = a.Opened.Read
		b.warn(a.Opened.Notes...)
		for _, p := range a.Opened.Missing {
			b.warn(fmt.Sprintf("the runtime library has no provider %q: %s is used", p, a.Opened.Providers[0]))
		}
	}
	return w, a.Opened, nil
}

// blame puts the model's file before an error that does not name it.
func (m *model) blame(err error) error {
	return fmt.Errorf("%s: %w", m.path, err)
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
	shapes := map[string]tensor.Shape{}
	for name, s := range in.Shapes {
		shapes[name] = s
	}
	if c, ok := inspect.CostAt(m.graph, shapes); ok {
		r.cost, r.reads, r.MACs = c, inspect.ReadBytes(m.graph), ptr(int64(c.Total()))
	}
}

// threads is how many an operator computes with.
func (o Options) threads() int {
	if o.Session.Threads > 0 {
		return o.Session.Threads
	}
	return runtime.NumCPU()
}
