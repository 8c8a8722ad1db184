// Package eval measures the quality of models on data: of one model (accuracy,
// F1, perplexity, rank correlation), or of a result against its source (cosine,
// agreement, mean squared error). Samples and outputs are streamed; nothing is
// kept but sums.
package eval

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Names of the metrics.
const (
	Auto       = "auto"
	Accuracy   = "accuracy"
	F1         = "f1"
	Perplexity = "perplexity"
	Spearman   = "spearman"
	Cosine     = "cosine"
	MSE        = "mse"
	Agreement  = "agreement"
)

// Metrics lists the names of the metrics in the order of the help.
var Metrics = []string{Auto, Accuracy, F1, Perplexity, Spearman, Cosine, MSE, Agreement}

// checkMetric refuses an unknown name and lists the known ones.
func checkMetric(name string) error {
	if slices.Contains(Metrics, name) {
		return nil
	}
	return fmt.Errorf("unknown metric %q: want one of %s", name, strings.Join(Metrics, ", "))
}

// NeedsReference reports whether a metric compares a model with another one,
// and so cannot be measured on one alone.
func NeedsReference(metric string) bool {
	return metric == Cosine || metric == MSE || metric == Agreement
}

// Model is what is evaluated; *ort.Session is one.
type Model interface {
	Inputs() []ort.Info
	Outputs() []ort.Info
	RunContext(ctx context.Context, in map[string]tensor.Tensor, names []string) (map[string]tensor.Tensor, error)
}

// Options of a measurement. The zero value takes the defaults.
type Options struct {
	Metric   string                // empty: auto
	Batch    int                   // samples per run; 0: 1. A model's fixed batch size comes first
	Progress func(done, total int) // total 0: unknown
}

// Result is a metric over a data set.
type Result struct {
	Metric  string  `json:"metric"`
	Value   float64 `json:"value"`
	Samples int     `json:"samples"`
	// Extras are figures found on the way: "top1" and "predictions" (of
	// perplexity), "worst_cosine", "cosine", "mse", "sqnr_db", "agreement".
	Extras map[string]float64 `json:"extras,omitempty"`
}

// OutputError says that a model computed something that cannot be judged.
type OutputError struct {
	Model  string // "the model", "the source", "the result"
	Output string
	Sample string // its place in the data
	What   string // "NaN", for example
}

// Error names output and sample.
func (e *OutputError) Error() string {
	return fmt.Sprintf("%s: output %q has %s for %s of the data", e.Model, e.Output, e.What, e.Sample)
}

// AutoMetric chooses the metric for a data set: labels mean accuracy; texts and
// logits over a vocabulary perplexity; pairs with scores spearman; and anything
// else cosine.
func AutoMetric(set *dataset.Set) string {
	switch {
	case set.HasLabels:
		return Accuracy
	case set.HasScores:
		return Spearman
	case set.Causal && set.Real:
		return Perplexity
	}
	return Cosine
}

// resolve replaces "auto" and checks the name.
func resolve(set *dataset.Set, o Options) (string, error) {
	if o.Metric == "" || o.Metric == Auto {
		return AutoMetric(set), nil
	}
	return o.Metric, checkMetric(o.Metric)
}

// Run measures one model. The set is read from its beginning.
func Run(ctx context.Context, m Model, set *dataset.Set, o Options) (Result, error) {
	r, err := runAll(ctx, []named{{"the model", m}}, set, o)
	if err != nil {
		return Result{}, err
	}
	return r[0], nil
}

// Both measures source and result by a metric of single models, in one pass
// over the data.
func Both(ctx context.Context, source, result Model, set *dataset.Set, o Options) (before, after Result, err error) {
	r, err := runAll(ctx, []named{{"the source", source}, {"the result", result}}, set, o)
	if err != nil {
		return Result{}, Result{}, err
	}
	return r[0], r[1], nil
}

// scorer adds up a metric of one model.
type scorer interface {
	// output names the output that is judged.
	output(outs []ort.Info) (string, error)
	// add judges one run. second is the run on the other text of scored
	// pairs, with a nil tensor where there are none.
	add(first, second answer) error
	// result returns the value and extras.
	result() (float64, map[string]float64, error)
}

// answer is a batch and what a model said to it.
type answer struct {
	batch *dataset.Batch
	out   view
}

// newScorer returns the scorer of a metric for a set.
func newScorer(metric string, set *dataset.Set) (scorer, error) {
	refuse := func(what string) error {
		return &dataset.Error{File: set.Source, Err: fmt.Errorf("metric %s needs %s, and the data has none", metric, what)}
	}
	switch metric {
	case Accuracy, F1:
		if !set.HasLabels {
			return nil, refuse("labels")
		}
		return newClasses(metric, set.Source), nil
	case Perplexity:
		if set.IDs() == "" {
			return nil, refuse("ids")
		}
		return &perplexity{set: set}, nil
	case Spearman:
		if !set.HasScores {
			return nil, refuse("scores")
		}
		return &ranks{source: set.Source}, nil
	}
	return nil, fmt.Errorf("metric %s compares two models: give the reference", metric)
}

// runAll measures each of the models by the same metric in one pass.
func runAll(ctx context.Context, models []named, set *dataset.Set, o Options) ([]Result, error) {
	metric, err := resolve(set, o)
	if err != nil {
		return nil, err
	}
	scorers := make([]scorer, len(models))
	p := pass{ctx: ctx, models: models, set: set, o: o, names: make([][]string, len(models))}
	for i, m := range models {
		if scorers[i], err = newScorer(metric, set); err != nil {
			return nil, err
		}
		name, err := scorers[i].output(m.Outputs())
		if err != nil {
			return nil, fmt.Errorf("metric %s: %s: %w", metric, m.name, err)
		}
		p.names[i] = []string{name}
	}
	samples, err := p.each(func(s step) error {
		for i := range models {
			name := p.names[i][0]
			first := answer{s.batch, s.views[i][name]}
			second := answer{}
			if s.pair != nil {
				second = answer{s.pair, s.pairViews[i][name]}
			}
			if err := scorers[i].add(first, second); err != nil {
				return blame(models[i].name, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(models))
	for i, s := range scorers {
		value, extras, err := s.result()
		if err != nil {
			return nil, err
		}
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return nil, fmt.Errorf("metric %s: %s: the value is %g", metric, models[i].name, value)
		}
		results[i] = Result{metric, value, samples, finite(extras)}
	}
	return results, nil
}

// blame puts the model's name into an output error.
func blame(model string, err error) error {
	var oe *OutputError
	if errors.As(err, &oe) && oe.Model == "" {
		oe.Model = model
	}
	return err
}

// finite drops extras that JSON cannot carry; a figure that does not exist is
// absent.
func finite(extras map[string]float64) map[string]float64 {
	maps.DeleteFunc(extras, func(_ string, v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	return extras
}
