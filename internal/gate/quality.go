package gate

import (
	"errors"

	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/inspect"
	"optim/internal/ort"
)

// quality measures the metric before and after on the data of Eval.
func (r *run) quality(source, result *ort.Session) error {
	read := r.Eval.Read
	read.Vocab, read.PositionRows = inspect.Tables(r.Source)
	info := dataset.ModelInfo{Path: r.Source.Path, Inputs: source.Inputs(), Outputs: source.Outputs()}
	set, err := dataset.Open(r.Eval.Source, info, read)
	if err != nil {
		return err
	}
	defer set.Close()
	q, err := r.evaluate(source, result, set)
	if err != nil {
		return blameModel(err)
	}
	r.verdict.Warnings = append(r.verdict.Warnings, set.Notes...)
	r.verdict.Quality = q
	r.judgeQuality(q)
	return nil
}

// evaluate measures one metric on both, or of one against the other.
func (r *run) evaluate(source, result *ort.Session, set *dataset.Set) (*Quality, error) {
	o := eval.Options{
		Metric: r.Metric, Batch: eval.BatchFor(r.Source, r.staged),
		Progress: func(done, total int) { r.progress("evaluating", int64(done), int64(total)) },
	}
	if o.Metric == "" || o.Metric == eval.Auto {
		o.Metric = eval.AutoMetric(set)
	}
	k, err := eval.Against(r.ctx, source, result, set, o)
	if err != nil {
		return nil, err
	}
	q := &Quality{Metric: k.Metric, Value: k.Value, Samples: k.Samples, Retention: k.Retention}
	if k.Reference != nil {
		q.Before, q.After = &k.Reference.Value, &k.Value
	}
	if d := k.Divergence; d != nil && d.KL != nil {
		q.KL = &d.KL.Mean
	}
	return q, nil
}

// judgeQuality compares the retention with the limit, where there is one.
func (r *run) judgeQuality(q *Quality) {
	if q.Retention == nil {
		return
	}
	limit := 1 - r.MaxLoss
	q.Limit = &limit
	if !(*q.Retention > limit) {
		r.miss("quality", r.Advice["quality"],
			"retention of %s is %.4f, and must be greater than %.4f", q.Metric, *q.Retention, limit)
	}
}

// blameModel says whose outputs cannot be judged.
func blameModel(err error) error {
	var out *eval.OutputError
	switch {
	case !errors.As(err, &out):
		return err
	case out.Model == "the source":
		return blameSource(err)
	}
	return blameResult(err)
}
