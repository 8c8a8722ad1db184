package gate

import (
	"time"

	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/inspect"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/ort"
)

// pair opens source and result as users run them, and closes both. Large ones
// keep their weights in their files.
func (r *run) pair(f func(source, result *ort.Session) error) error {
	o := r.Session
	o.NoSpin = true
	open := func(m *onnx.Model, f func(*ort.Session) error) error {
		if r.heavy() {
			return r.withSession(m, o, f)
		}
		s, err := r.Runtime.Open(m.Path, o)
		if err != nil {
			return err
		}
		defer s.Close()
		return f(s)
	}
	return open(r.Source, func(source *ort.Session) error {
		return open(r.staged, func(result *ort.Session) error { return f(source, result) })
	})
}

func (r *run) heavy() bool { return r.verdict.BytesBefore > heavyWeights }

// quality measures the metric before and after on the data of Eval.
func (r *run) quality() error {
	if r.Eval.Source == "" {
		return nil
	}
	return r.pair(func(source, result *ort.Session) error {
		read := r.Eval.Read
		read.Vocab, read.PositionRows = inspect.Tables(r.Source)
		set, err := dataset.Open(r.Eval.Source, dataset.ModelInfo{Path: r.Source.Path, Inputs: source.Inputs(), Outputs: source.Outputs()}, read)
		if err != nil {
			return err
		}
		defer set.Close()
		r.verdict.Warnings = append(r.verdict.Warnings, set.Notes...)
		return r.evaluate(source, result, set)
	})
}

func (r *run) evaluate(source, result *ort.Session, set *dataset.Set) error {
	o := eval.Options{Metric: r.Metric, Progress: func(done, total int) { r.progress("evaluating", int64(done), int64(total)) }}
	if o.Metric == "" || o.Metric == eval.Auto {
		o.Metric = eval.AutoMetric(set)
	}
	q := &Quality{Metric: o.Metric}
	if eval.NeedsReference(o.Metric) {
		res, err := eval.Compare(r.ctx, source, result, set, o)
		if err != nil {
			return err
		}
		q.Value, q.Samples = res.Value, res.Samples
		if o.Metric != eval.MSE {
			q.Retention = &q.Value
		}
	} else {
		before, after, err := eval.Both(r.ctx, source, result, set, o)
		if err != nil {
			return err
		}
		kept, err := eval.Retention(o.Metric, before.Value, after.Value)
		if err != nil {
			return err
		}
		q.Before, q.After, q.Retention = &before.Value, &after.Value, &kept
		q.Value, q.Samples = after.Value, after.Samples
	}
	r.verdict.Quality = q
	if q.Retention == nil {
		return nil
	}
	limit := 1 - r.MaxLoss
	q.Limit = &limit
	if !(*q.Retention > limit) {
		r.miss("quality", "give more or better --calib data, another --calibrator or --method, or --keep the nodes that suffer (optim eval --per-node)",
			"retention of %s is %.4f, and must be greater than %.4f", q.Metric, *q.Retention, limit)
	}
	return nil
}

// speedBudget bounds the comparison that is made without being asked for.
const speedBudget = 2 * time.Second

// speed times source and result in turn.
func (r *run) speed() error {
	if r.Measure == "off" || r.inputs == nil && r.MinSpeedup == 0 {
		return nil
	}
	if r.inputs == nil {
		r.miss("speed", "give --dim or --shape", "the source ran with none of the inputs that were tried")
		return nil
	}
	if r.Measure != "on" && r.MinSpeedup == 0 && r.heavy() {
		return nil
	}
	r.progress("timing", 0, 0)
	err := r.pair(func(source, result *ort.Session) error {
		a, err := r.bindFor(source)
		if err != nil {
			return err
		}
		defer a.Close()
		b, err := r.bindFor(result)
		if err != nil {
			return err
		}
		defer b.Close()
		o := measure.Options{Budget: speedBudget}
		if r.MinSpeedup > 0 {
			o.Budget *= 3
		}
		c, err := measure.Interleave(r.ctx, a.Run, b.Run, o)
		if err != nil {
			return err
		}
		ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
		r.verdict.Speed = &Speed{ms(c.MedianA()), ms(c.MedianB()), c.Speedup, c.Low, c.High}
		return nil
	})
	if err != nil {
		return err
	}
	r.judgeSpeed()
	return nil
}

func (r *run) judgeSpeed() {
	s := r.verdict.Speed
	switch {
	case r.MinSpeedup > 0 && s.Low < r.MinSpeedup:
		r.miss("speed", "give --calib where there are convolutions, or lower --min-speedup",
			"the speed-up is %.2f (95 %% interval %.2f to %.2f), and must be at least %.2f", s.Speedup, s.Low, s.High, r.MinSpeedup)
	case s.High < 1:
		r.warnf("the result is slower than the source: %.2f × (95 %% interval %.2f to %.2f)", s.Speedup, s.Low, s.High)
	}
}

// bindFor binds a session to the input that was found.
func (r *run) bindFor(s *ort.Session) (*ort.Binding, error) {
	return s.Bind(r.inputs.values, r.inputs.likeOutputs())
}
