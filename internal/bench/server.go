package bench

import (
	"context"
	"fmt"
	"time"

	"optim/internal/bench/server"
	"optim/internal/ort"
	"optim/internal/tensor"
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
	for _, m := range b.models {
		row, err := b.serve(m)
		if row.Server != nil {
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
	s = s.settle(o)
	a, err := w.ask(b.ctx, request{Bind: &s})
	if err != nil {
		return row, m.blame(err)
	}
	row = b.row(m, s)
	row.BaseRSS, row.Cold = o.BaseRSS, &Cold{o.LoadMS, o.FirstMS, o.LoadMS + o.FirstMS}
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
	outputs map[string]tensor.Tensor
}

// Run implements server.Backend.
func (b backend) Run(ctx context.Context, items []int) error {
	batch, err := b.load.Collate(items)
	if err != nil {
		return err
	}
	bound, err := b.session.Bind(batch.Inputs, b.outputs)
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
	if fixed := g.load.Batch; fixed > 1 && r.MaxBatch > 1 {
		return nil, fmt.Errorf("the model's batch size is %d: requests cannot be joined to batches of up to %d", fixed, r.MaxBatch)
	}
	outputs := map[string]tensor.Tensor{}
	for _, o := range g.sessions[0].Outputs() {
		outputs[o.Name] = tensor.Tensor{}
	}
	var backends []server.Backend
	for i := range g.streams {
		b := backend{g.sessions[i%len(g.sessions)], g.load, outputs}
		for n := 1; n <= max(r.MaxBatch, 1); n *= 2 { // the runtime plans memory for each size
			items := make([]int, n)
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
