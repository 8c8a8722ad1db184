// Package train runs training: losses as graph, optimizers over one buffer of all
// weights, schedules, the loop with evaluation, checkpoints and resumption. A step is
// a run of ONNX Runtime that gives gradients, and one that applies them.
package train

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"optim/internal/ort"
)

// Options say how weights are changed.
type Options struct {
	Optimizer   string  // one of Optimizers
	Rate        float64 // learning rate at its highest
	WeightDecay float64 // λ
	Beta1       float64 // of adam and adamw
	Beta2       float64
	Epsilon     float64
	Momentum    float64 // of sgd
	Clip        float64 // greatest length of the gradient; 0: any
	Accumulate  int     // batches whose gradients are averaged for one step
	Warmup      int     // steps in which the rate rises from 0
	Schedule    string  // one of Schedules: what the rate does after the warm-up
	Steps       int     // of the whole training
	Session     ort.Options
}

// Defaults fills in what is not given: the values of the papers, and of PyTorch.
func (o Options) Defaults() Options {
	set := func(p *float64, v float64) {
		if *p == 0 {
			*p = v
		}
	}
	set(&o.Beta1, 0.9)
	set(&o.Beta2, 0.999)
	set(&o.Epsilon, 1e-8)
	if o.Optimizer == "" {
		o.Optimizer = "adamw"
	}
	if o.Schedule == "" {
		o.Schedule = "constant"
	}
	o.Accumulate = max(o.Accumulate, 1)
	return o
}

// Schedules lists the names that Options.Schedule takes.
var Schedules = []string{"constant", "linear", "cosine"}

// Check says what is wrong with the options.
func (o Options) Check() error {
	switch {
	case !slices.Contains(Optimizers, o.Optimizer) && o.Optimizer != SignSGD:
		return fmt.Errorf("unknown optimizer %q", o.Optimizer)
	case !slices.Contains(Schedules, o.Schedule):
		return fmt.Errorf("unknown schedule %q", o.Schedule)
	case !(o.Rate > 0) || math.IsInf(o.Rate, 0):
		return fmt.Errorf("the learning rate %v is not above 0", o.Rate)
	case o.Steps < 1:
		return fmt.Errorf("there are %d steps", o.Steps)
	}
	return nil
}

// RateAt returns the learning rate of step t, counted from 1: it rises linearly over
// the warm-up and then stays, or falls, linearly or as half a cosine, so that it would be
// 0 one step after the last.
func (o Options) RateAt(t int) float64 {
	if t <= o.Warmup {
		return o.Rate * float64(t) / float64(o.Warmup)
	}
	done := float64(t-1-o.Warmup) / float64(max(o.Steps-o.Warmup, 1))
	switch o.Schedule {
	case "linear":
		return o.Rate * (1 - done)
	case "cosine":
		return o.Rate * 0.5 * (1 + math.Cos(math.Pi*done))
	}
	return o.Rate
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
