package eval

import (
	"errors"
	"math"

	"optim/internal/dataset"
	"optim/internal/ort"
)

// perplexity is e to the mean negative log likelihood of each id given those
// before it in its window. Positions that are padding, or that an earlier window
// predicted, do not count.
type perplexity struct {
	set    *dataset.Set
	sum    likelihood
	scores []score // of one batch
}

func (p *perplexity) output(outs []ort.Info) (string, error) { return vocabularyOutput(outs) }

func (p *perplexity) add(a, _ answer) error {
	next, err := nextIDs(p.set, a.batch)
	if err != nil {
		return err
	}
	rows, err := newLogits(p.set.Source, a, next)
	if err != nil {
		return err
	}
	p.scores = resize(p.scores, len(next))
	rows.each(func(i int) { p.scores[i] = rows.score(i) })
	for i, s := range p.scores { // in order, so that threads do not change the sum
		if err := rows.check(i, s); err != nil {
			return err
		}
		if next[i] != nothing {
			p.sum.add(s)
		}
	}
	return nil
}

func (p *perplexity) result() (Result, error) { return p.sum.result(p.set.Source) }

// likelihood sums up negative log likelihoods, in nats.
type likelihood struct {
	moments
	right int // the greatest logit was the next id
}

func (l *likelihood) add(s score) {
	l.moments.add(s.nll)
	if s.right {
		l.right++
	}
}

// result returns the perplexity, and what else is known of it.
func (l *likelihood) result(source string) (Result, error) {
	if l.n == 0 {
		return Result{}, &dataset.Error{File: source, Err: errors.New("nothing to predict: every text has fewer than two ids")}
	}
	n := float64(l.n)
	mean := l.mean()
	ppl := math.Exp(mean.Value)
	return Result{
		Metric: Perplexity, Value: ppl, StdErr: ppl * mean.StdErr,
		Extras: map[string]float64{"top1": float64(l.right) / n, "predictions": n, "nll": mean.Value},
	}, nil
}
