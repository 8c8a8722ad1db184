package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"optim/internal/tensor"
)

// Loop is a whole training.
type Loop struct {
	Trainer *Trainer
	Rows    *Rows
	Batch   int // rows of a batch
	Seed    uint64
	Every   int // steps between points of the curve
	// Before is called when a batch lies in the trainer's inputs: a teacher adds what it
	// makes of it. It gets the samples of the batch. May be nil.
	Before func(ctx context.Context, samples []int) error
	// Evaluate measures the model as it is, after each epoch; nil: it is not. Better
	// tells whether the first of two figures is the better one.
	Evaluate func(ctx context.Context, w map[string]tensor.Tensor) (float64, error)
	Better   func(a, b float64) bool
	// First has the model measured before the first step, too: if nothing is better, it
	// stays as it was.
	First    bool
	Patience int // epochs without a better figure after which it ends; 0: never
	// Checkpoint is the file that is written after each epoch, each SaveEvery, and when
	// ctx ends; empty: none. Identity tells one training from another.
	Checkpoint string
	SaveEvery  time.Duration
	Identity   string
	// Environment names the machine, the library and the threads: with others, resuming
	// does not promise equal bytes.
	Environment string
	Resume      bool
	Progress    func(Point) // after each step; may be nil

	saved time.Time
}

// Point is a step of the curve: losses averaged since the point before.
type Point struct {
	Step   int                `json:"step"`
	Epoch  float64            `json:"epoch"` // done, with the part of the one under way
	Rate   float64            `json:"rate"`
	Total  float64            `json:"total"`
	Parts  map[string]float64 `json:"parts,omitempty"`
	Norm   float64            `json:"gradient_norm,omitempty"`
	Steps  int                `json:"-"` // of the whole training
	Metric *float64           `json:"-"`
}

// Epoch has the means of an epoch.
type Epoch struct {
	Total   float64            `json:"total"`
	Parts   map[string]float64 `json:"parts,omitempty"`
	Seconds float64            `json:"seconds"`
	Metric  *float64           `json:"metric,omitempty"`
	Steps   int                `json:"steps"`
}

// Outcome is what a training came to.
type Outcome struct {
	Curve  []Point `json:"curve"`
	Epochs []Epoch `json:"epochs"`
	Best   int     `json:"best"` // epoch (from 1) whose weights are kept; 0: of none
	// Before and After are the figures of the model before the first step, where it was measured, and of
	// the best.
	Before, After *float64
	Stopped       bool `json:"stopped"`
	Moved         bool `json:"moved"` // it was resumed in another environment

	sum   mean // since the last point
	epoch mean
	since int // epochs since the best
}

// mean adds losses up.
type mean struct {
	N     int                `json:"n"`
	Total float64            `json:"total"`
	Parts map[string]float64 `json:"parts"`
}

func (m *mean) add(l Losses) {
	if m.Parts == nil {
		m.Parts = map[string]float64{}
	}
	m.N++
	m.Total += l.Total
	for name, v := range l.Parts {
		m.Parts[name] += v
	}
}

func (m *mean) take() (total float64, parts map[string]float64) {
	n := float64(max(m.N, 1))
	parts = map[string]float64{}
	for name, v := range m.Parts {
		parts[name] = v / n
	}
	total = m.Total / n
	*m = mean{}
	return total, parts
}

// PerEpoch returns the steps of an epoch: what does not fill a step is left out.
func (l *Loop) PerEpoch() int { return StepsOf(l.Rows.Len(), l.Batch, l.Trainer.o.Accumulate) }

// StepsOf returns the steps of an epoch over n samples.
func StepsOf(n, batch, accumulate int) int { return n / (batch * max(accumulate, 1)) }

// Run trains until the last step and returns the curve. The weights are then those of
// the best epoch where there is an evaluation. When ctx ends, the checkpoint is
// written and the error is ctx's.
func (l *Loop) Run(ctx context.Context) (*Outcome, error) {
	if l.PerEpoch() < 1 {
		return nil, fmt.Errorf("%d samples do not fill a step of %d × %d", l.Rows.Len(), l.Trainer.o.Accumulate, l.Batch)
	}
	out, best, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	l.saved = time.Now()
	// An epoch whose evaluation was interrupted has all its steps.
	whole := func() bool { return out.epoch.N > 0 && l.endOfEpoch() }
	for (l.Trainer.done < l.Trainer.o.Steps || whole()) && !out.Stopped {
		var err error
		if !whole() {
			err = l.epochFrom(ctx, out)
		}
		if err == nil && whole() {
			best, err = l.evaluate(ctx, out, best)
		}
		if err != nil {
			if errors.Is(err, context.Canceled) {
				err = errors.Join(err, l.save(out, best))
			}
			return out, err
		}
		if err := l.save(out, best); err != nil {
			return out, err
		}
	}
	if best != nil {
		l.Trainer.restore(best)
	}
	return out, nil
}

func (l *Loop) begin(ctx context.Context) (*Outcome, []float32, error) {
	if l.Resume {
		return l.load()
	}
	out := &Outcome{}
	if !l.First || l.Evaluate == nil {
		return out, nil, nil
	}
	v, err := l.Evaluate(ctx, l.Trainer.Weights())
	if err != nil {
		return nil, nil, err
	}
	if finite(v) {
		out.Before, out.After = &v, &v
	}
	return out, l.Trainer.snapshot(), nil
}

// endOfEpoch reports whether the step just made was the last of an epoch, or of all.
func (l *Loop) endOfEpoch() bool {
	return l.Trainer.done%l.PerEpoch() == 0 || l.Trainer.done == l.Trainer.o.Steps
}

// epochFrom makes the steps that are left of the epoch, and returns early to save.
func (l *Loop) epochFrom(ctx context.Context, out *Outcome) error {
	per := l.PerEpoch()
	order := l.Rows.Order(l.Seed, l.Trainer.done/per)
	began := time.Now()
	defer func() { out.epochs(time.Since(began)) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := l.Trainer.done % per * l.Batch * l.Trainer.o.Accumulate
		losses, err := l.Trainer.Step(ctx, func(i int) error {
			lo := at + i*l.Batch
			return l.fill(ctx, order[lo:lo+l.Batch])
		})
		if err != nil {
			return err
		}
		l.note(out, losses, per)
		if l.endOfEpoch() || l.Checkpoint != "" && l.SaveEvery > 0 && time.Since(l.saved) > l.SaveEvery {
			return nil
		}
	}
}

// epochs adds time to the epoch under way.
func (o *Outcome) epochs(d time.Duration) {
	if len(o.Epochs) == 0 || o.Epochs[len(o.Epochs)-1].Steps > 0 {
		o.Epochs = append(o.Epochs, Epoch{})
	}
	o.Epochs[len(o.Epochs)-1].Seconds += d.Seconds()
}

func (l *Loop) fill(ctx context.Context, samples []int) error {
	for i, s := range samples {
		l.Rows.Copy(l.Trainer.inputs, i, s)
	}
	if l.Before == nil {
		return nil
	}
	return l.Before(ctx, samples)
}

// note adds a step to the curve.
func (l *Loop) note(out *Outcome, losses Losses, per int) {
	out.sum.add(losses)
	out.epoch.add(losses)
	done, steps := l.Trainer.done, l.Trainer.o.Steps
	p := Point{
		Step: done, Steps: steps, Epoch: float64(done) / float64(per), Rate: l.Trainer.o.RateAt(done),
		Total: losses.Total, Parts: losses.Parts, Norm: losses.Norm,
	}
	if done%max(l.Every, 1) == 0 || done == steps {
		p.Total, p.Parts = out.sum.take()
		out.Curve = append(out.Curve, p)
	}
	if l.Progress != nil {
		l.Progress(p)
	}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// evaluate closes an epoch, and returns the best weights so far. A figure that is not
// finite is worse than any, and is not kept.
func (l *Loop) evaluate(ctx context.Context, out *Outcome, best []float32) ([]float32, error) {
	var figure *float64
	if l.Evaluate != nil {
		v, err := l.Evaluate(ctx, l.Trainer.Weights())
		if err != nil {
			return best, err
		}
		if finite(v) {
			figure = &v
		}
	}
	e := &out.Epochs[len(out.Epochs)-1]
	e.Steps = out.epoch.N
	e.Total, e.Parts = out.epoch.take()
	e.Metric = figure
	if l.Evaluate == nil {
		return best, nil
	}
	if figure != nil && (best == nil || out.After == nil || l.Better(*figure, *out.After)) {
		out.Best, out.since, out.After = len(out.Epochs), 0, figure
		return l.Trainer.snapshot(), nil
	}
	out.since++
	out.Stopped = l.Patience > 0 && out.since >= l.Patience
	return best, nil
}
