package eval

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"optim/internal/dataset"
	"optim/internal/ort"
)

// ranks is Spearman's correlation between human scores and what the model makes
// of a pair: the cosine of its two embeddings, or, from a model that reads both
// texts together, its one number.
type ranks struct {
	source         string
	scores, judged []float64
}

func (r *ranks) output(outs []ort.Info) (string, error) {
	fits := func(o ort.Info) bool { return o.DType.IsFloat() && (len(o.Dims) == 2 || len(o.Dims) == 3) }
	if name, ok := pick(outs, fits, "sentence_embedding"); ok {
		return name, nil
	}
	return "", errors.New("no output [batch, width] or [batch, sequence, width]")
}

func (r *ranks) add(a, b answer) error {
	for _, x := range []answer{a, b} {
		if x.batch == nil {
			continue
		}
		if err := x.out.checkNaN(x.batch); err != nil {
			return err
		}
	}
	for i, s := range a.batch.Samples {
		if s.Score == nil {
			return &dataset.Error{File: r.source, Err: fmt.Errorf("%s: no score", s.Name)}
		}
		judged := 0.0
		if b.batch != nil {
			x, y := embedding(a, i), embedding(b, i)
			if len(x) != len(y) {
				return fmt.Errorf("output %q: embeddings of %d and %d elements", a.out.name, len(x), len(y))
			}
			judged = cosine64(x, y)
		} else {
			one := a.out.sample(a.batch, i)
			if len(one) != 1 {
				return &dataset.Error{File: r.source, Err: fmt.Errorf("%s: a score, but no pair of texts", s.Name)}
			}
			judged = float64(one[0])
		}
		r.scores = append(r.scores, *s.Score)
		r.judged = append(r.judged, judged)
	}
	return nil
}

// embedding is the mean of the rows of all real positions, or the one row there
// is.
func embedding(a answer, i int) []float64 {
	rows := a.out.real(a.batch, i)
	width, ok := a.out.positions(a.batch)
	if !ok || width == 0 {
		width = len(rows)
	}
	mean := make([]float64, width)
	if width == 0 || len(rows) == 0 {
		return mean
	}
	for k, x := range rows {
		mean[k%width] += float64(x)
	}
	n := float64(len(rows) / width)
	for k := range mean {
		mean[k] /= n
	}
	return mean
}

// cosine64 returns the cosine of the angle between two vectors; 0 if one is
// zero.
func cosine64(x, y []float64) float64 {
	var xy, xx, yy float64
	for i := range x {
		xy += x[i] * y[i]
		xx += x[i] * x[i]
		yy += y[i] * y[i]
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / (math.Sqrt(xx) * math.Sqrt(yy))
}

func (r *ranks) result() (Result, error) {
	if len(r.scores) < 2 {
		return Result{}, &dataset.Error{File: r.source, Err: fmt.Errorf("%d pairs: a correlation needs two", len(r.scores))}
	}
	rho := newRanking(r.scores).correlation(newRanking(r.judged), nil)
	if math.IsNaN(rho) {
		return Result{}, &dataset.Error{File: r.source, Err: errors.New("no correlation: all scores, or all answers of the model, are equal")}
	}
	return Result{Metric: Spearman, Value: rho}, nil
}

// ranking is a list of values with their order, so that the ranks of a resample need
// no sorting.
type ranking struct {
	values []float64
	order  []int // indices of the values, the least first
}

func newRanking(values []float64) *ranking {
	r := &ranking{values, make([]int, len(values))}
	for i := range r.order {
		r.order[i] = i
	}
	slices.SortFunc(r.order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	return r
}

// ranks returns the ranks from 1 among the values drawn (counts nil: each once); equal
// values share their mean rank.
func (r *ranking) ranks(counts []int32) []float64 {
	out := make([]float64, len(r.values))
	seen := 0.0
	for from := 0; from < len(r.order); {
		to, n := from, 0.0
		for ; to < len(r.order) && r.values[r.order[to]] == r.values[r.order[from]]; to++ {
			n += weight(counts, r.order[to])
		}
		for _, i := range r.order[from:to] {
			out[i] = seen + (n+1)/2
		}
		seen += n
		from = to
	}
	return out
}

// correlation returns Spearman's correlation with another ranking of the same samples,
// NaN where one side is constant.
func (r *ranking) correlation(o *ranking, counts []int32) float64 {
	return pearson(r.ranks(counts), o.ranks(counts), counts)
}

// pearson returns the correlation coefficient; NaN where one side is constant.
func pearson(x, y []float64, counts []int32) float64 {
	var n, mx, my float64
	for i := range x {
		w := weight(counts, i)
		n += w
		mx += w * x[i]
		my += w * y[i]
	}
	mx, my = mx/n, my/n
	var xy, xx, yy float64
	for i := range x {
		w, dx, dy := weight(counts, i), x[i]-mx, y[i]-my
		xy += w * dx * dy
		xx += w * dx * dx
		yy += w * dy * dy
	}
	if xx == 0 || yy == 0 {
		return math.NaN()
	}
	return xy / math.Sqrt(xx*yy)
}
