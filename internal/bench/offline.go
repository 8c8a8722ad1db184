package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"optim/internal/bench/offline"
	"optim/internal/host"
	"optim/internal/measure"
)

// DefaultMaxBatch is the largest batch that the offline scenario tries.
const DefaultMaxBatch = 64

const (
	// sweepWarmup and sweepTime are for each setting of a sweep: enough to choose
	// one, which is then measured like any other.
	sweepWarmup = 300 * time.Millisecond
	sweepTime   = 500 * time.Millisecond
)

// offline finds each model's best batch and concurrency, and then measures the
// models at theirs, in turn.
func (b *bench) offline() error {
	var tracks []*track
	sweeps := map[string][]Swept{}
	for _, m := range b.models {
		best, swept, err := b.sweep(m)
		sweeps[m.name] = swept
		if err != nil {
			b.onlySwept(sweeps)
			return m.blame(err)
		}
		tracks = append(tracks, &track{model: m, setting: best})
	}
	err := b.measure(tracks, 0, 1)
	b.finish(tracks, (*track).perItem)
	for i := range b.result.Models {
		r := &b.result.Models[i]
		at := slices.IndexFunc(tracks, func(t *track) bool { return t.name == r.Name })
		r.Sweep, r.PerItem = sweeps[r.Name], tracks[at].perItem()
		delete(sweeps, r.Name)
	}
	b.onlySwept(sweeps)
	return err
}

// onlySwept adds rows of models that were not measured beyond their sweep.
func (b *bench) onlySwept(sweeps map[string][]Swept) {
	for _, m := range b.models {
		if swept := sweeps[m.name]; len(swept) > 0 {
			r := b.row(m, Setting{Batch: swept[0].Batch, Concurrency: swept[0].Concurrency})
			r.Sweep = swept
			b.result.Models = append(b.result.Models, r)
		}
	}
}

// sweep tries settings of a model in one process.
func (b *bench) sweep(m *model) (best Setting, swept []Swept, err error) {
	w, o, err := b.open(m)
	if err != nil {
		return best, nil, err
	}
	defer func() { w.close() }()
	facts, err := host.Probe(b.ctx)
	if err != nil {
		return best, nil, err
	}
	spec := offline.Options{
		Batches: b.Batches, Concurrency: b.Concurrency, MaxBatch: b.MaxBatch, Cores: b.threads(),
		MaxBytes: facts.Room() / 2,
		Progress: func(c offline.Config) {
			b.progress(fmt.Sprintf("sweep of %s: batch %d, %d streams", m.name, c.Batch, c.Concurrency), 0, 0)
		},
	}
	if o.Batch > 0 && len(b.Batches) == 0 {
		spec.Batches = []int{o.Batch}
	}
	points, err := offline.Sweep(b.ctx, func(_ context.Context, c offline.Config) (offline.Point, error) {
		p, err := b.sweepPoint(w, c)
		var ended *ProcessError
		if errors.As(err, &ended) { // of memory, as a rule: the other settings need a new process
			if fresh, _, e := b.open(m); e == nil {
				w = fresh
			}
		}
		return p, err
	}, spec)
	for _, p := range points {
		s := Swept{Batch: p.Batch, Concurrency: p.Concurrency, By: p.By, Throughput: p.Throughput, Tokens: p.Tokens, P50: p.P50}
		if p.Err != nil {
			s.Error = p.Err.Error()
		}
		swept = append(swept, s)
	}
	if i := offline.Best(points); i >= 0 {
		swept[i].Best = true
		best = points[i].Config
	}
	return best, swept, err
}

// sweepPoint measures one setting for a short time.
func (b *bench) sweepPoint(w *child, c offline.Config) (p offline.Point, err error) {
	p.Config = c
	prepared, err := w.ask(b.ctx, request{Bind: &c})
	if err != nil {
		return p, err
	}
	if _, err := w.ask(b.ctx, request{Warm: &warmRequest{-1, sweepWarmup}}); err != nil {
		return p, err
	}
	a, err := w.ask(b.ctx, request{Block: &blockRequest{Duration: sweepTime}})
	if err != nil {
		return p, err
	}
	t := turn{track: &track{perRun: prepared.Bound.Items, tokens: prepared.Bound.Tokens}}
	t.add(a.Block, 0)
	seconds := t.launch.wall.Seconds()
	p.Throughput, p.Tokens = float64(t.launch.items)/seconds, float64(t.launch.ids)/seconds
	p.P50 = measure.Median(milliseconds(t.launch.samples))
	a, err = w.ask(b.ctx, request{Memory: true})
	if err == nil {
		p.Bytes = a.Memory.RSS
	}
	return p, err
}
