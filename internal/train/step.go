package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"optim/internal/tensor"
)

// Losses are those of a step, averaged over its batches.
type Losses struct {
	Total float64
	Parts map[string]float64
	Norm  float64 // length of the gradient; 0: not measured
}

// Step makes one step. fill writes batch i of Options.Accumulate into the memory of
// Inputs.
func (t *Trainer) Step(ctx context.Context, fill func(i int) error) (sum Losses, err error) {
	sum.Parts = map[string]float64{}
	before := map[string][]float32{}
	for name, s := range t.state {
		before[name] = slices.Clone(s)
	}
	defer func() {
		if err != nil { // the step is made again by who resumes
			for name, s := range t.state {
				copy(s, before[name])
			}
		}
	}()
	share := 1 / float64(t.o.Accumulate)
	for i := range t.o.Accumulate {
		if err := fill(i); err != nil {
			return sum, err
		}
		if err := t.binding.RunContext(ctx); err != nil {
			return sum, err
		}
		sum.Total += share * float64(t.loss[0])
		for name, v := range t.parts {
			sum.Parts[name] += share * float64(v[0])
		}
		t.advanceState()
		t.accumulate(i)
	}
	if math.IsNaN(sum.Total) || math.IsInf(sum.Total, 0) {
		return sum, fmt.Errorf("%w: the loss of step %d is %v", ErrDiverged, t.done+1, sum.Total)
	}
	if err := t.clip(ctx, &sum, share); err != nil {
		return sum, err
	}
	// A step once begun is ended, or the weights would be half changed.
	if err := t.opt.step(context.WithoutCancel(ctx), t.done+1, t.o.RateAt(t.done+1)); err != nil {
		return sum, err
	}
	t.done++
	return sum, nil
}

// Measure returns the loss of a batch and changes nothing.
func (t *Trainer) Measure(ctx context.Context, fill func() error) (float64, error) {
	if err := fill(); err != nil {
		return 0, err
	}
	err := t.binding.RunContext(ctx)
	return float64(t.loss[0]), err
}

func (t *Trainer) advanceState() {
	for name, s := range t.state {
		copy(s, t.next[name])
	}
}

// accumulate adds the gradients of a step's batches up; the last sum lies where the
// optimizer reads it.
func (t *Trainer) accumulate(i int) {
	if t.pending == nil {
		return
	}
	last := i == t.o.Accumulate-1
	tensor.Parallel(len(t.pending), 0, func(lo, hi int) {
		p, g := t.pending[lo:hi], t.w.grad[lo:hi]
		switch {
		case i == 0:
			copy(p, g)
		case last:
			for j := range g {
				g[j] += p[j]
			}
		default:
			for j := range g {
				p[j] += g[j]
			}
		}
	})
}

// clip averages over batches and shortens a gradient that is too long.
func (t *Trainer) clip(ctx context.Context, l *Losses, share float64) error {
	factor := share
	if t.o.Clip > 0 {
		norm, err := t.opt.norm(ctx)
		if err != nil {
			return err
		}
		l.Norm = norm * share
		if math.IsNaN(l.Norm) || math.IsInf(l.Norm, 0) {
			return fmt.Errorf("%w: the gradient of step %d is not finite", ErrDiverged, t.done+1)
		}
		if l.Norm > t.o.Clip {
			factor *= t.o.Clip / (l.Norm + 1e-6) // as PyTorch's clip_grad_norm_
		}
	}
	if factor == 1 {
		return nil
	}
	return t.opt.scale(ctx, factor)
}
