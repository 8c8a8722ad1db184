package bench

import (
	"context"
	"fmt"
	"time"

	"optim/internal/bench/server"
	"optim/internal/ort"
	"optim/internal/workload"
)

// serverRequest asks for the server scenario.
type serverRequest struct {
	Rate                  float64
	SLO, Duration, Window time.Duration
	MaxBatch              int
	Seed                  int64
}

// server measures each model behind a queue, one after the other.
func (b *bench) server() error {
	return b.oneByOne(b.serve, func(r Row) bool { return r.Server != nil })
}

// oneByOne measures each model in one process, one model after the other. What was
// measured before an error counts.
func (b *bench) oneByOne(measure func(*model) (Row, error), measured func(Row) bool) error {
	for _, m := range b.models {
		row, err := measure(m)
		if measured(row) {
			b.result.Models = append(b.result.Models, row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) serve(m *model) (row Row, err error) {
	w, o, err := b.open(m)
	if err != nil {
		return row, err
	}
	defer w.close()
	s := b.settings()[0]
	s.Batch = 1
	a, err := w.ask(b.ctx, request{Bind: &s})
	if err != nil {
		return row, m.blame(err)
	}
	row = b.row(m, s)
	row.BaseRSS, row.Cold = o.BaseRSS, newCold(o.LoadMS, o.FirstMS)
	b.take(&row, m, a.Bound)
	a, err = w.ask(b.ctx, request{Server: &serverRequest{
		Rate: b.Rate, SLO: b.SLO, Duration: b.Duration, Window: b.Window, MaxBatch: b.MaxBatch, Seed: b.Load.Seed}})
	row.Server = a.Server
	if err != nil {
		return row, m.blame(err)
	}
	return row, b.remember(&row, w)
}

// backend runs batches of samples on a session, as a server would: it collects
// them, runs them, and lets the runtime have memory for the answers.
type backend struct {
	session *ort.Session
	load    *workload.Load
}

// Run implements server.Backend.
func (b backend) Run(ctx context.Context, items []int) error {
	batch, err := b.load.Collate(items)
	if err != nil {
		return err
	}
	bound, err := b.session.Bind(batch.Inputs, nil)
	if err != nil {
		return err
	}
	defer bound.Close()
	if err := bound.RunContext(ctx); err != nil {
		return fmt.Errorf("batch of %d: %w", len(items), err)
	}
	return nil
}

// serve answers a request for the server scenario.
func (w *worker) serve(ctx context.Context, r serverRequest) (*server.Report, error) {
	g := &w.stage
	var backends []server.Backend
	for i := range g.streams {
		b := backend{g.sessions[i%len(g.sessions)], g.load}
		for n := 1; n <= max(r.MaxBatch, 1); n *= 2 { // the runtime plans memory for each size
			items := make([]int, n)
			for k := range items {
				items[k] = k % len(g.load.Samples)
			}
			if err := b.Run(ctx, items); err != nil {
				return nil, err
			}
		}
		backends = append(backends, b)
	}
	steps := 0
	report, err := server.Measure(ctx, backends, server.Options{
		Rate: r.Rate, SLO: r.SLO, Duration: r.Duration, Window: r.Window, MaxBatch: r.MaxBatch,
		Items: len(g.load.Samples), Seed: uint64(r.Seed),
		Progress: func(s server.Step) {
			steps++
			what := "serving"
			if s.Batched {
				what = "serving in batches"
			}
			w.send(response{Progress: &progress{what, int64(steps), 0}})
		},
	})
	return &report, err
}
