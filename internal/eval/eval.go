// Package eval measures the quality of models on data: of one model (accuracy,
// F1, perplexity, rank correlation), or of a result against its source (cosine,
// agreement, mean squared error), and how much of a reference's quality a model
// keeps, with its interval. Samples and outputs are streamed; what is kept are a
// few numbers per sample.
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
	Metric string // empty: auto
	// Batch is the number of samples per run; 0: as many as keep a processor busy, and
	// one where a batch would change what its samples give. A model's fixed batch size
	// comes first.
	Batch    int
	Progress func(done, total int) // total 0: unknown
}

// Result is a metric over a data set.
type Result struct {
	Metric  string
	Value   float64
	StdErr  float64 // of Value, for perplexity
	Samples int
	// Extras are figures found on the way: "top1", "predictions" and "nll" (of
	// perplexity), "accuracy", "worst_cosine", "cosine", "mse", "sqnr_db",
	// "agreement".
	Extras map[string]float64
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
	metric, err := resolve(set, o)
	if err != nil {
		return Result{}, err
	}
	models := []named{{"the model", m}}
	j, err := newApart(metric, models, set)
	if err != nil {
		return Result{}, err
	}
	r, err := judgeAll(ctx, models, set, o, metric, j)
	if err != nil {
		return Result{}, err
	}
	return r[0], nil
}

// scorer adds up a metric of one model.
type scorer interface {
	// output names the output that is judged.
	output(outs []ort.Info) (string, error)
	// add judges one run. second is the run on the other text of scored
	// pairs, with a nil tensor where there are none.
	add(first, second answer) error
	// result returns the value and extras.
	result() (Result, error)
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
		return &classes{metric: metric, source: set.Source}, nil
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

// judge adds up what the models said to each batch.
type judge interface {
	// outputs names, by model, the outputs that are judged.
	outputs(models []named) ([][]string, error)
	add(s *step) error
	results() ([]Result, error)
}

// judgeAll runs the models over the set, and returns what the judge makes of it.
func judgeAll(ctx context.Context, models []named, set *dataset.Set, o Options, metric string, j judge) ([]Result, error) {
	names, err := j.outputs(models)
	if err != nil {
		return nil, err
	}
	p := pass{ctx: ctx, models: models, names: names, set: set, o: o}
	samples, err := p.each(j.add)
	if err != nil {
		return nil, err
	}
	results, err := j.results()
	if err != nil {
		return nil, err
	}
	for i := range results {
		r := &results[i]
		if math.IsNaN(r.Value) || math.IsInf(r.Value, 0) {
			return nil, fmt.Errorf("metric %s: %s: the value is %g", metric, models[i].name, r.Value)
		}
		r.Samples, r.Extras = samples, finite(r.Extras)
	}
	return results, nil
}

// apart judges each model by a scorer of its own.
type apart struct {
	metric  string
	models  []named
	scorers []scorer
	names   []string
}

func newApart(metric string, models []named, set *dataset.Set) (*apart, error) {
	a := &apart{metric: metric, models: models}
	for range models {
		s, err := newScorer(metric, set)
		if err != nil {
			return nil, err
		}
		a.scorers = append(a.scorers, s)
	}
	return a, nil
}

func (a *apart) outputs(models []named) ([][]string, error) {
	var all [][]string
	for i, m := range models {
		name, err := a.scorers[i].output(m.Outputs())
		if err != nil {
			return nil, fmt.Errorf("metric %s: %s: %w", a.metric, m.name, err)
		}
		a.names = append(a.names, name)
		all = append(all, []string{name})
	}
	return all, nil
}

func (a *apart) add(s *step) error {
	for i, scorer := range a.scorers {
		first, second := answer{s.batch, s.views[i][a.names[i]]}, answer{}
		if s.pair != nil {
			second = answer{s.pair, s.pairViews[i][a.names[i]]}
		}
		if err := scorer.add(first, second); err != nil {
			return blame(a.models[i].name, err)
		}
	}
	return nil
}

func (a *apart) results() ([]Result, error) {
	var out []Result
	for _, s := range a.scorers {
		r, err := s.result()
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
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
