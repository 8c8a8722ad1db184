package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
)

// Options say what is decoded. The zero value of a field takes what is in brackets.
type Options struct {
	Prompt  []int64 // ids, at least one
	New     int     // ids to write, at least one
	Repeats int     // of each way [as many as fit into Duration, at least one]
	// Duration of the repeats [3 s], where Repeats is not given.
	Duration time.Duration
	MaxBytes int64      // memory beside the model that may be taken [any]
	Progress func(Step) // called before each sequence
}

// Step is a sequence that is going to be decoded.
type Step struct {
	Cached bool // with the cache
	Repeat int  // from 1; 0: warming up
}

const (
	defaultDuration = 3 * time.Second
	// most bounds the ids of a sequence: bindings take memory, too.
	most = 1 << 20
)

// Run decodes greedily, with and without the cache of keys and values in turn, and
// times each run of the model alone. g is the model of the session s. A model
// without a cache is measured without; one that is no causal language model, or
// takes fewer ids, is an error. When ctx ends, what was measured so far is
// returned with its error.
func Run(ctx context.Context, s *ort.Session, g *onnx.Model, o Options) (Report, error) {
	r := Report{Prompt: len(o.Prompt), New: o.New}
	if o.Duration == 0 {
		o.Duration = defaultDuration
	}
	if o.Progress == nil {
		o.Progress = func(Step) {}
	}
	if err := o.check(); err != nil {
		return r, err
	}
	m, err := describe(s, g)
	if err == nil {
		err = m.check(o)
	}
	if err != nil {
		return r, &dataset.Error{File: g.Path, Err: err}
	}
	j := &job{Options: o, model: m}
	defer j.close()
	if err := j.prepare(ctx); err != nil {
		return r, j.fail(ctx, g, err)
	}
	err = j.run(ctx)
	j.report(&r)
	return r, j.fail(ctx, g, err)
}

func (o Options) check() error {
	switch {
	case len(o.Prompt) == 0:
		return errors.New("decoding needs a prompt of at least one id")
	case o.New < 1:
		return fmt.Errorf("decoding %d ids: want at least one", o.New)
	case len(o.Prompt)+min(o.New, most) > most:
		return fmt.Errorf("a prompt of %d ids and %d new ones: at most %d are possible", len(o.Prompt), o.New, most)
	case o.Repeats < 0 || o.Duration < 0:
		return errors.New("decoding a negative number of times")
	}
	return nil
}

// check compares what is asked for with the tables of the model.
func (m *model) check(o Options) error {
	for i, id := range o.Prompt {
		if id < 0 || m.vocab > 0 && id >= m.vocab {
			return fmt.Errorf("id %d of the prompt is %d, and the model has %d ids", i, id, m.vocab)
		}
	}
	if n := len(o.Prompt) + o.New; m.limit > 0 && n > m.limit {
		return fmt.Errorf("a prompt of %d ids and %d new ones are %d, and the model takes %d (%s)", len(o.Prompt), o.New, n, m.limit, m.limitBy)
	}
	return nil
}

// job is the ways that are measured, with what they gave.
type job struct {
	Options
	model *model
	ways  []*measured // with the cache first, if there is one
}

// measured is a way with the times of each of its sequences.
type measured struct {
	*way
	cached  bool
	ids     []int64 // of the last sequence that went to its end
	times   [][]time.Duration
	repeats int // sequences that went to their end
}

// prepare looks at a run of the model, and binds all steps.
func (j *job) prepare(ctx context.Context) error {
	n := len(j.Prompt)
	mem, err := j.model.memory(max(n+j.New-1, 2))
	if err != nil {
		return err
	}
	// Two ids at least: one would not tell whether all positions have logits.
	if err := j.model.probe(ctx, mem, max(n, 2)); err != nil {
		return err
	}
	if need, err := j.model.needs(n, j.New); err != nil {
		return err
	} else if j.MaxBytes > 0 && need > j.MaxBytes {
		return fmt.Errorf("a prompt of %d ids and %d new ones take about %.3g GB of memory, more than the %.3g GB that there are for it",
			n, j.New, float64(need)/1e9, float64(j.MaxBytes)/1e9)
	}
	build := []func(memory, []int64, int) (*way, error){j.model.whole}
	if len(j.model.caches) > 0 {
		build = slices.Insert(build, 0, j.model.cached)
	}
	for i, f := range build {
		w, err := f(mem, j.Prompt, j.New)
		if err != nil {
			return err
		}
		j.ways = append(j.ways, &measured{way: w, cached: i+1 < len(build)})
	}
	return nil
}

// run decodes with all ways in turn: what changes on the machine meets them alike.
func (j *job) run(ctx context.Context) error {
	start := time.Now()
	for repeat := 0; ; repeat++ {
		switch {
		case repeat == 1:
			start = time.Now() // 0 was to warm up
		case repeat > 1 && j.Repeats == 0 && time.Since(start) >= j.Duration, j.Repeats > 0 && repeat > j.Repeats:
			return nil
		}
		for _, w := range j.ways {
			j.Progress(Step{w.cached, repeat})
			ids, times, err := w.decode(ctx)
			if repeat > 0 && len(times) > 0 {
				w.times = append(w.times, times)
			}
			if err != nil {
				return err
			}
			if w.ids = ids; repeat > 0 {
				w.repeats++
			}
		}
	}
}

// report fills in what was measured.
func (j *job) report(r *Report) {
	whole := j.ways[len(j.ways)-1]
	r.Whole, r.IDs = whole.series(), whole.ids
	if len(j.ways) == 1 {
		r.Notes = append(r.Notes, "the model has no inputs for a cache of keys and values: it is decoded without")
		return
	}
	cached := j.ways[0]
	if r.Cached = cached.series(); cached.ids != nil {
		r.IDs = cached.ids
	}
	if cached.ids != nil && whole.ids != nil {
		same := slices.Equal(cached.ids, whole.ids)
		r.Same = &same
	}
	if cached.repeats > 0 && whole.repeats > 0 {
		gain := r.Cached.PerSecond / r.Whole.PerSecond
		r.Gain = &gain
	}
}

// fail names the model in an error, except in that of ctx.
func (j *job) fail(ctx context.Context, g *onnx.Model, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &dataset.Error{File: g.Path, Err: err}
}

func (j *job) close() {
	for _, w := range j.ways {
		w.close()
	}
}
