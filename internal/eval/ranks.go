package eval

import (
	"errors"
	"fmt"
	"math"
	"sort"

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

func (r *ranks) result() (float64, map[string]float64, error) {
	if len(r.scores) < 2 {
		return 0, nil, &dataset.Error{File: r.source, Err: fmt.Errorf("%d pairs: a correlation needs two", len(r.scores))}
	}
	rho, ok := pearson(averageRanks(r.scores), averageRanks(r.judged))
	if !ok {
		return 0, nil, &dataset.Error{File: r.source, Err: errors.New("no correlation: all scores, or all answers of the model, are equal")}
	}
	return rho, nil, nil
}

// averageRanks returns the ranks from 1; equal values share their mean rank.
func averageRanks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return v[order[a]] < v[order[b]] })
	out := make([]float64, len(v))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && v[order[to]] == v[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			out[i] = float64(from+to+1) / 2
		}
		from = to
	}
	return out
}

// pearson returns the correlation coefficient; not ok where one side is
// constant.
func pearson(x, y []float64) (r float64, ok bool) {
	var mx, my float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(y))
	}
	var xy, xx, yy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		xy += dx * dy
		xx += dx * dx
		yy += dy * dy
	}
	if xx == 0 || yy == 0 {
		return 0, false
	}
	return xy / math.Sqrt(xx*yy), true
}
