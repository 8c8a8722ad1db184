package eval

import (
	"context"
	"fmt"
	"math"

	"optim/internal/dataset"
)

// Kept tells how much of a reference's quality a model keeps.
type Kept struct {
	// Result is that of the model; for a metric that compares outputs (cosine, mse,
	// agreement) it is the comparison.
	Result
	Reference  *Result   // nil for a metric that compares outputs
	Retention  *float64  // see Retention; nil for mse
	Interval   *Interval // of the retention, by a paired bootstrap over the samples; nil for fewer than two
	Agreement  *Decisions
	McNemar    *McNemar    // of accuracy
	Divergence *Divergence // of perplexity
	Notes      []string    // why something is missing
}

// Units of decisions.
const (
	Samples   = "samples"
	Positions = "positions"
)

// Decisions tell how often both models make the same decision, whether right or
// wrong: the class, or the first choice for the next id.
type Decisions struct {
	Same int
	Of   int
	Unit string // Samples or Positions
}

// Share returns the fraction of equal decisions.
func (a *Decisions) Share() float64 { return float64(a.Same) / float64(a.Of) }

// pairNames are the names of reference and model in messages.
var pairNames = [2]string{"the source", "the result"}

// comparer is a judge of a reference and a model.
type comparer interface {
	judge
	// report fills in what is known beside the values.
	report(k *Kept)
	samples() int
	// retention returns that of a resample, with counts of each sample; NaN where it
	// has none.
	retention(counts []int32) float64
}

// Against measures how much of the reference's quality the model keeps, in one pass
// over the data. A reference without quality, of which nothing can be kept, is a
// data error.
func Against(ctx context.Context, reference, model Model, set *dataset.Set, o Options) (Kept, error) {
	metric, err := resolve(set, o)
	if err != nil {
		return Kept{}, err
	}
	models := []named{{pairNames[0], reference}, {pairNames[1], model}}
	c, err := newComparer(metric, models, set)
	if err != nil {
		return Kept{}, err
	}
	results, err := judgeAll(ctx, models, set, o, metric, c)
	if err != nil {
		return Kept{}, err
	}
	k := Kept{Result: results[len(results)-1]}
	before := k.Value
	if len(results) > 1 {
		k.Reference, before = &results[0], results[0].Value
	}
	c.report(&k)
	if metric == MSE {
		return k, nil
	}
	kept, err := Retention(metric, before, k.Value)
	if err != nil {
		return Kept{}, err
	}
	k.Retention, k.Interval = &kept, bootstrap(c.samples(), 0, kept, c.retention)
	return k, ctx.Err()
}

func (k *Kept) note(format string, args ...any) {
	k.Notes = append(k.Notes, fmt.Sprintf(format, args...))
}

// newComparer returns the judge of a metric.
func newComparer(metric string, models []named, set *dataset.Set) (comparer, error) {
	if NeedsReference(metric) {
		return &comparison{metric: metric, worst: 2}, nil
	}
	a, err := newApart(metric, models, set)
	if err != nil {
		return nil, err
	}
	switch metric {
	case Perplexity:
		return &divergence{set: set, apart: a}, nil
	case Spearman:
		return &rankPair{apart: a}, nil
	}
	return &classPair{apart: a}, nil
}

// classPair compares the decisions of two classifiers.
type classPair struct {
	*apart
	f1 [2]*f1
}

func (p *classPair) of(i int) *classes { return p.scorers[i].(*classes) }

func (p *classPair) samples() int { return len(p.of(0).said) }

func (p *classPair) report(k *Kept) {
	a, b := p.of(0), p.of(1)
	k.Agreement = &Decisions{Of: len(a.said), Unit: Samples}
	lost, gained := 0, 0
	for i := range a.said {
		if a.said[i] == b.said[i] {
			k.Agreement.Same++
		}
		switch {
		case a.right(i) && !b.right(i):
			lost++
		case !a.right(i) && b.right(i):
			gained++
		}
	}
	if p.metric == Accuracy {
		k.McNemar = newMcNemar(lost, gained)
	} else {
		p.f1 = [2]*f1{newF1(a), newF1(b)}
	}
}

func (p *classPair) retention(counts []int32) float64 {
	if p.metric == Accuracy {
		return ratio(p.of(0).accuracy(counts), p.of(1).accuracy(counts))
	}
	return ratio(p.f1[0].value(counts), p.f1[1].value(counts))
}

// ratio returns after/before; NaN where there was nothing.
func ratio(before, after float64) float64 {
	if before <= 0 {
		return math.NaN()
	}
	return after / before
}

// rankPair compares two models' ranks with the human scores.
type rankPair struct {
	*apart
	human  *ranking
	judged [2]*ranking
}

func (p *rankPair) samples() int { return len(p.human.values) }

func (p *rankPair) report(*Kept) {
	for i, s := range p.scorers {
		r := s.(*ranks)
		p.human, p.judged[i] = newRanking(r.scores), newRanking(r.judged)
	}
}

func (p *rankPair) retention(counts []int32) float64 {
	human := p.human.ranks(counts)
	rho := func(r *ranking) float64 { return pearson(human, r.ranks(counts), counts) }
	return ratio(rho(p.judged[0]), rho(p.judged[1]))
}
