package bench

import (
	"context"
	"errors"
	"time"

	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/inspect"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Eval says what quality is measured on.
type Eval struct {
	Source string // data; empty: quality is not measured
	Read   dataset.Options
	Metric string
}

// evalRequest asks for the quality of a worker's model.
type evalRequest struct {
	Eval
	Reference string // the model that outputs are compared with, where the metric does that
	Check     bool   // only whether data, metric and model go together
}

// evaluated is what was found. Quality is nil where it was but checked.
type evaluated struct {
	Quality *Quality
	Notes   []string
}

// checkQuality sees that data, metric and models go together before anything is
// measured, which may take long. It has processes of its own: what they read is not
// to count as memory of the models.
func (b *bench) checkQuality() error { return b.evaluate(true, func(*model, *Quality) {}) }

// quality measures the metric of each model when all times are taken. Metrics that
// compare outputs compare with the first model's.
func (b *bench) quality() error {
	return b.evaluate(false, func(m *model, q *Quality) {
		for i := range b.result.Models {
			if r := &b.result.Models[i]; r.Name == m.name {
				r.Quality = q
			}
		}
	})
}

func (b *bench) evaluate(check bool, found func(*model, *Quality)) error {
	if b.Eval.Source == "" {
		return nil
	}
	for _, m := range b.models {
		r := evalRequest{b.Eval, b.models[0].path, check}
		m.lend(&r.Read)
		e, err := b.judge(m, r)
		if err != nil {
			return err
		}
		b.warn(e.Notes...)
		found(m, e.Quality)
	}
	return nil
}

// judge measures one model in a process of its own.
func (b *bench) judge(m *model, r evalRequest) (*evaluated, error) {
	w, _, err := b.open(m)
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.progress = func(p progress) { b.progress("evaluating "+m.name, p.Done, p.Total) }
	if r.Source == dataset.Random { // of the sizes that were found
		r.Read.Shapes = m.spec.Read.Shapes
	}
	a, err := w.ask(b.ctx, request{Eval: &r})
	if err != nil {
		return nil, m.blame(err)
	}
	return a.Evaluated, nil
}

// evaluate answers a request for the quality.
func (w *worker) evaluate(ctx context.Context, r evalRequest) (*evaluated, error) {
	g := &w.stage
	s := g.sessions[0]
	r.Read.Vocab, r.Read.PositionRows = inspect.Tables(g.graph)
	set, err := dataset.Open(r.Source, dataset.ModelInfo{Path: g.path, Inputs: s.Inputs(), Outputs: s.Outputs()}, r.Read)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	if r.Metric == "" || r.Metric == eval.Auto {
		r.Metric = eval.AutoMetric(set)
	}
	if r.Check {
		_, err := score(ctx, unrun{s}, unrun{s}, set, eval.Options{Metric: r.Metric})
		if errors.Is(err, errUnrun) {
			err = nil
		}
		return &evaluated{}, err
	}
	first := s
	if eval.NeedsReference(r.Metric) && r.Reference != g.path {
		if first, err = g.rt.Open(r.Reference, g.options(ctx, g.session.Threads)); err != nil {
			return nil, err
		}
		defer first.Close()
	}
	q, err := score(ctx, s, first, set, eval.Options{Metric: r.Metric, Batch: eval.BatchFor(g.graph), Progress: w.tell()})
	return &evaluated{&Quality{q.Metric, q.Value, q.Samples}, set.Notes}, err
}

// tellEvery is the time between two lines about how far the work is.
const tellEvery = 100 * time.Millisecond

// tell returns a function that tells the parent how far the work is.
func (w *worker) tell() func(done, total int) {
	last := time.Now()
	return func(done, total int) {
		if time.Since(last) < tellEvery {
			return
		}
		last = time.Now()
		w.send(response{Progress: &progress{Done: int64(done), Total: int64(total)}})
	}
}

func score(ctx context.Context, s, first eval.Model, set *dataset.Set, o eval.Options) (eval.Result, error) {
	if eval.NeedsReference(o.Metric) {
		k, err := eval.Against(ctx, first, s, set, o)
		return k.Result, err
	}
	return eval.Run(ctx, s, set, o)
}

// unrun is a model that is not run: an evaluation of it does what comes before, and
// fails with errUnrun where all of that was good. It has no more than eval.Model asks
// for: evaluations run a session in ways of its own.
type unrun struct{ s *ort.Session }

func (u unrun) Inputs() []ort.Info  { return u.s.Inputs() }
func (u unrun) Outputs() []ort.Info { return u.s.Outputs() }

var errUnrun = errors.New("the model is not run")

// RunContext fails.
func (unrun) RunContext(context.Context, map[string]tensor.Tensor, []string) (map[string]tensor.Tensor, error) {
	return nil, errUnrun
}
