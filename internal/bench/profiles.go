package bench

import (
	"context"
	"fmt"
	"strings"

	"optim/internal/bench/profile"
	"optim/internal/ort"
)

const (
	// profiledRuns are enough to tell nodes apart; countedRuns to count them.
	profiledRuns = 20
	countedRuns  = 1
)

// profiles takes a profile of each model, in a process of its own and after all
// times are taken, since profiling costs time. Without Options.Profile only the
// nodes of each provider are counted.
func (b *bench) profiles() error {
	runs := countedRuns
	if b.Profile {
		runs = profiledRuns
	}
	counted := map[string]map[string]int{} // by model: a batch changes nothing
	for i := range b.result.Models {
		r := &b.result.Models[i]
		if nodes := counted[r.Name]; nodes != nil && !b.Profile {
			r.Nodes = nodes
			continue
		}
		b.progress("profiling", int64(i), int64(len(b.result.Models)))
		p, err := b.profileRow(r, runs)
		switch {
		case err != nil && (b.Profile || b.ctx.Err() != nil):
			return err
		case err != nil: // no reason to lose what was measured
			b.warn(fmt.Sprintf("nodes were not counted: %v", err))
			continue
		}
		r.Nodes, counted[r.Name] = p.NodesPerProvider, p.NodesPerProvider
		b.warnCopies(r, p)
		if b.Profile {
			r.Profile = p
		}
	}
	return nil
}

// warnCopies tells of nodes that the first provider has no kernel for, where
// their values are copied for them, which often costs more than they do. Shape
// arithmetic, which the runtime leaves to the CPU on purpose, needs no copies.
func (b *bench) warnCopies(r *Row, p *profile.Profile) {
	copies := 0
	for _, o := range p.Operators {
		if strings.HasPrefix(o.Op, "Memcpy") {
			copies += o.Nodes
		}
	}
	if left := r.Nodes[ort.CPU]; r.Provider != ort.CPU && copies > 1 { // one is an input that both need
		b.warn(fmt.Sprintf("%s: %d nodes run on cpu, not on %s, with %d copies of values between the two", r.Name, left, r.Provider, copies))
	}
}

func (b *bench) profileRow(r *Row, runs int) (*profile.Profile, error) {
	m := b.modelOf(r)
	w, _, err := b.open(m)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a, err := w.ask(b.ctx, request{Profile: &profileRequest{Batch: r.Batch, Runs: runs}})
	if err != nil {
		return nil, m.blame(err)
	}
	return a.Profile, nil
}

// modelOf returns the model of a row.
func (b *bench) modelOf(r *Row) *model {
	for _, m := range b.models {
		if m.name == r.Name {
			return m
		}
	}
	panic("bench: a row without a model")
}

// profileRequest asks for a profile of runs of a batch.
type profileRequest struct{ Batch, Runs int }

func (w *worker) profile(ctx context.Context, r profileRequest) (*profile.Profile, error) {
	g := &w.stage
	pool, err := g.load.Batches(r.Batch, 1)
	if err != nil {
		return nil, err
	}
	// The session of before would only take memory.
	if err := g.close(); err != nil {
		return nil, err
	}
	open := func(o ort.Options) (*ort.Session, error) { return g.rt.Open(g.path, o) }
	p, err := profile.Run(ctx, open, g.options(ctx, g.session.Threads), pool[0].Inputs, r.Runs, g.graph)
	return &p, err
}
