// Package distill trains a student to do what a teacher does.
package distill

import (
	"context"
	"fmt"
	"time"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/train"
)

// Options say how a student learns.
type Options struct {
	Temperature float64
	Alpha       float64 // weight of the distillation loss; 1 − Alpha that of the task
	Beta        float64 // of attention
	Gamma       float64 // of hidden states
	Train       train.Options
	Batch       int
	Seed        uint64
	Every       int // steps between points of the curve
	Patience    int
	Recompute   bool   // save memory: compute inner values twice
	FixedNorms  bool   // batch normalization by its running statistics, as in inference
	Memory      int64  // bytes that are free; 0: not known
	Cache       string // folder that keeps what the teacher gives; empty: none
	CacheKey    string // tells teachers and their samples apart
	TopK        int    // of its logits keep so many a position; 0: all
	Checkpoint  string
	SaveEvery   time.Duration
	Resume      bool
	Identity    string // see train.Loop
	Environment string
	Evaluate    func(ctx context.Context, student *onnx.Model) (float64, error)
	Better      func(a, b float64) bool
	Progress    func(train.Point)

	// Rewrite changes the student's graph before losses are put on it, and returns
	// further weights to be trained; nil: nothing. Learned gets their values in the end.
	Rewrite func(g *autodiff.Graph) ([]train.Weight, error)
	Learned func(w map[string]tensor.Tensor)
	// Values are names that both networks have values under, the only thing that is
	// compared then; the student's own weights stay as they are. nil: as told above.
	Values []string
	// Held are samples by whose loss the best epoch is chosen, the untrained student being
	// one, in place of Evaluate; nil: none.
	Held *train.Rows
}

// lesson is everything that one student's training needs.
type lesson struct {
	rt      *ort.Runtime
	o       Options
	student *onnx.Model
	rows    *train.Rows
	trainer *train.Trainer
	teacher *teacher
	names   []string // the student's own weights
}

// Run trains student on the rows and leaves the trained weights in it.
func Run(ctx context.Context, rt *ort.Runtime, teacherModel, student *onnx.Model, rows *train.Rows, o Options) (*train.Outcome, error) {
	if rows.Kind == train.NoLabels && o.Alpha < 1 && o.Values == nil {
		return nil, fmt.Errorf("%w: the task loss needs them", ErrNoLabels)
	}
	l := &lesson{rt: rt, o: o, student: student, rows: rows}
	defer l.close()
	if err := l.prepare(ctx, teacherModel); err != nil {
		return nil, err
	}
	loop := &train.Loop{
		Trainer: l.trainer, Rows: rows, Batch: o.Batch, Seed: o.Seed, Every: o.Every, Patience: o.Patience, Better: o.Better,
		Checkpoint: o.Checkpoint, SaveEvery: o.SaveEvery, Resume: o.Resume, Identity: o.Identity, Environment: o.Environment, Progress: o.Progress,
	}
	if l.teacher != nil {
		loop.Before = l.teacher.show
	}
	if o.Evaluate != nil {
		loop.Evaluate = func(ctx context.Context, w map[string]tensor.Tensor) (float64, error) {
			l.put(w)
			return o.Evaluate(ctx, student)
		}
	}
	if o.Held != nil {
		loop.First, loop.Evaluate = true, func(ctx context.Context, _ map[string]tensor.Tensor) (float64, error) { return l.heldLoss(ctx) }
		loop.Better = func(a, b float64) bool { return a < b }
	}
	out, err := loop.Run(ctx)
	if err != nil {
		return out, err
	}
	l.put(l.trainer.Weights())
	if o.Learned != nil {
		o.Learned(l.trainer.Weights())
	}
	return out, nil
}

// heldLoss is the mean loss of the samples that were held out, in whole batches.
func (l *lesson) heldLoss(ctx context.Context) (float64, error) {
	held, n := l.o.Held, l.o.Batch
	sum, count := 0.0, 0
	for lo := 0; lo == 0 || lo+n <= held.Len(); lo += n {
		samples := make([]int, n)
		for i := range samples {
			samples[i] = (lo + i) % held.Len()
		}
		loss, err := l.trainer.Measure(ctx, func() error {
			for i, s := range samples {
				held.Copy(l.trainer.Inputs(), i, s)
			}
			if l.teacher == nil {
				return nil
			}
			return l.teacher.run(ctx, held, samples)
		})
		if err != nil {
			return 0, err
		}
		sum, count = sum+loss, count+1
	}
	return sum / float64(count), nil
}

// ErrNoLabels says that data has no labels where a loss needs them.
var ErrNoLabels = fmt.Errorf("the data has no labels")

// put writes trained weights into the student.
func (l *lesson) put(w map[string]tensor.Tensor) { train.Put(l.student, l.names, w) }

func (l *lesson) close() {
	if l.teacher != nil {
		l.teacher.close()
	}
	if l.trainer != nil {
		l.trainer.Close()
	}
}
