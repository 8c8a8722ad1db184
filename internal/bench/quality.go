package bench

import (
	"context"
	"fmt"

	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/inspect"
	"optim/internal/ort"
)

// Eval says what quality is measured on.
type Eval struct {
	Source string // data; empty: quality is not measured
	Read   dataset.Options
	Metric string
}

// quality measures the metric of each model, in this process, when all times are
// taken. Metrics that compare outputs compare with the first model's.
func (b *bench) quality() error {
	if b.Eval.Source == "" {
		return nil
	}
	rt, err := ort.Load(b.Library)
	if err != nil {
		return err
	}
	defer rt.Close()
	var first *ort.Session
	for _, m := range b.models {
		s, err := b.session(rt, m)
		if err != nil {
			return err
		}
		if first == nil {
			first = s
		}
		q, err := b.evaluate(m, s, first)
		if s != first {
			s.Close()
		}
		if err != nil {
			return m.blame(err)
		}
		for i := range b.result.Models {
			if r := &b.result.Models[i]; r.Name == m.name {
				r.Quality = q
			}
		}
	}
	return nil
}

// session opens a model in this process as the workers do.
func (b *bench) session(rt *ort.Runtime, m *model) (*ort.Session, error) {
	use, _, err := rt.ResolveProviders(b.Session.Providers)
	if err != nil {
		return nil, err
	}
	o := b.Session.options(b.Session.Threads)
	o.Providers, o.Stop = use, b.ctx.Done()
	return rt.Open(m.path, o)
}

// evaluate measures one model.
func (b *bench) evaluate(m *model, s, first *ort.Session) (*Quality, error) {
	read := b.Eval.Read
	m.lend(&read)
	read.Vocab, read.PositionRows = inspect.Tables(m.graph)
	info := dataset.ModelInfo{Path: m.path, Inputs: s.Inputs(), Outputs: s.Outputs()}
	set, err := dataset.Open(b.Eval.Source, info, read)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	o := eval.Options{Metric: b.Eval.Metric, Progress: func(done, total int) {
		b.progress(fmt.Sprintf("evaluating %s", m.name), int64(done), int64(total))
	}}
	if o.Metric == "" || o.Metric == eval.Auto {
		o.Metric = eval.AutoMetric(set)
	}
	r, err := score(b.ctx, s, first, set, o)
	if err != nil {
		return nil, err
	}
	b.warn(set.Notes...)
	return &Quality{r.Metric, r.Value, r.Samples}, nil
}

func score(ctx context.Context, s, first *ort.Session, set *dataset.Set, o eval.Options) (eval.Result, error) {
	if eval.NeedsReference(o.Metric) {
		k, err := eval.Against(ctx, first, s, set, o)
		return k.Result, err
	}
	return eval.Run(ctx, s, set, o)
}
