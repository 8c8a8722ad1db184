package eval

import (
	"errors"
	"fmt"
	"math"

	"optim/internal/dataset"
	"optim/internal/ort"
)

// vocabularyOutput names the output with logits over a vocabulary.
func vocabularyOutput(outs []ort.Info) (string, error) {
	fits := func(o ort.Info) bool { return o.DType.IsFloat() && len(o.Dims) == 3 }
	if name, ok := pick(outs, fits, "logits"); ok {
		return name, nil
	}
	return "", errors.New("no output [batch, sequence, vocabulary]")
}

// nothing marks a position from which no id is predicted that counts.
const nothing = -1

// nextIDs returns for each position of a batch, sample by sample, the id that came
// next, or nothing: for the last one, for padding, and for what an earlier window
// predicted.
func nextIDs(set *dataset.Set, b *dataset.Batch) ([]int64, error) {
	ids, err := b.Inputs[set.IDs()].Int64s()
	if err != nil {
		return nil, err
	}
	next := make([]int64, len(b.Samples)*b.Length)
	for i, s := range b.Samples {
		row, mask := ids[i*b.Length:(i+1)*b.Length], b.Masks[i]
		for at := range row {
			to := &next[i*b.Length+at]
			switch {
			case at < s.First || at+1 == len(row) || mask != nil && !(mask[at] && mask[at+1]):
				*to = nothing
			case row[at+1] < 0:
				return nil, &dataset.Error{File: set.Source, Err: fmt.Errorf("%s: id %d is negative", s.Name, row[at+1])}
			default:
				*to = row[at+1]
			}
		}
	}
	return next, nil
}

// logits are the rows of an output over a vocabulary, one per position.
type logits struct {
	view
	batch *dataset.Batch
	width int
	next  []int64 // by row
}

// newLogits checks the output against the ids that it is to predict.
func newLogits(source string, a answer, next []int64) (logits, error) {
	width, ok := a.out.positions(a.batch)
	if !ok {
		return logits{}, fmt.Errorf("output %q has shape %v for %d ids per sample: want [batch, sequence, vocabulary]", a.out.name, a.out.shape, a.batch.Length)
	}
	for i, id := range next {
		if id >= int64(width) {
			return logits{}, &dataset.Error{File: source, Err: fmt.Errorf("%s: id %d is beyond the model's vocabulary of %d", a.batch.Samples[i/a.batch.Length].Name, id, width)}
		}
	}
	return logits{a.out, a.batch, width, next}, nil
}

// row returns the logits of a position.
func (l logits) row(i int) []float32 { return l.v[i*l.width : (i+1)*l.width] }

// score is what a row of logits says about the id that came next.
type score struct {
	extent
	nll   float64 // −ln softmax(logits)[next]
	right bool    // next has the greatest logit, as the first of equals
}

// begin finds the extent of a row. The likelihood is NaN, and that is final, where
// there is none: with NaN, with +Inf, where all are −Inf, and where nothing is
// predicted.
func (l logits) begin(i int) (s score, counts bool) {
	s = score{extent: extentOf(l.row(i)), nll: math.NaN()}
	return s, l.next[i] != nothing && !s.nan() && !math.IsInf(float64(s.top), 0)
}

// finish judges a row by the sum of its exponentials.
func (l logits) finish(i int, s *score, sum float64) {
	v, next := l.row(i), l.next[i]
	// The difference first: top may be so great that the logarithm would vanish.
	s.nll = math.Log(sum) + (float64(s.top) - float64(v[next]))
	s.right = v[next] == s.top && index(v[:next], s.top) < 0
}

// score judges a row.
func (l logits) score(i int) score {
	s, counts := l.begin(i)
	if counts {
		l.finish(i, &s, sumExp(l.row(i), s.top))
	}
	return s
}

// check refuses what cannot be counted. A NaN does not count even where nothing is
// predicted.
func (l logits) check(i int, s score) error {
	sample := l.batch.Samples[i/l.batch.Length].Name
	switch {
	case s.nan():
		return &OutputError{Output: l.name, Sample: sample, What: "NaN"}
	case l.next[i] != nothing && math.IsNaN(s.nll):
		return &OutputError{Output: l.name, Sample: sample, What: "infinite logits"}
	}
	return nil
}

// each calls f for all rows, on all processors.
func (l logits) each(f func(i int)) { parallel(len(l.next), max(1, rowsAtOnce/l.width), f) }

// rowsAtOnce is how many logits are taken at a time: some 10 µs.
const rowsAtOnce = 1 << 15

// resize returns a slice of n elements in the memory of v, where that is enough.
func resize[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}
