package eval

import (
	"errors"
	"fmt"

	"optim/internal/dataset"
	"optim/internal/ort"
)

// classes collects the decisions of a classifier and the labels, for accuracy and
// F1.
type classes struct {
	metric string
	source string
	n      int // classes of the logits; 0: the model answers with the class itself
	labels []int64
	said   []int64 // the decisions
}

func (c *classes) output(outs []ort.Info) (string, error) {
	logits := func(o ort.Info) bool { return o.DType.IsFloat() && len(o.Dims) >= 2 }
	if name, ok := pick(outs, logits, "logits"); ok {
		return name, nil
	}
	// Exported classical models answer with the class.
	class := func(o ort.Info) bool { return o.DType.IsInteger() && len(o.Dims) >= 1 && len(o.Dims) <= 2 }
	if name, ok := pick(outs, class, "label", "output_label"); ok {
		return name, nil
	}
	return "", errors.New("no output [batch, classes]")
}

func (c *classes) add(a, _ answer) error {
	if err := a.out.checkNaN(a.batch); err != nil {
		return err
	}
	for i, s := range a.batch.Samples {
		if s.Label == nil {
			return &dataset.Error{File: c.source, Err: fmt.Errorf("%s: no label", s.Name)}
		}
		class, err := c.decide(a, i)
		if err != nil {
			return err
		}
		if c.n > 0 && *s.Label >= int64(c.n) {
			return &dataset.Error{File: c.source, Err: fmt.Errorf("%s: label %d, the model knows classes 0 to %d", s.Name, *s.Label, c.n-1)}
		}
		c.labels, c.said = append(c.labels, *s.Label), append(c.said, class)
	}
	return nil
}

// decide returns the class of the greatest logit. Axes of length 1 after the
// classes, as convolutional heads leave, do not matter.
func (c *classes) decide(a answer, i int) (int64, error) {
	per := a.out.perSample(a.batch)
	if a.out.ints != nil {
		if per != 1 {
			return 0, fmt.Errorf("output %q has shape %v: want one class per sample", a.out.name, a.out.shape)
		}
		return a.out.ints[i], nil
	}
	if len(a.out.shape) < 2 || int64(per) != a.out.shape[1] || per < 2 {
		return 0, fmt.Errorf("output %q has shape %v: want [batch, classes] with two classes or more", a.out.name, a.out.shape)
	}
	c.n = per
	return int64(argmax(a.out.sample(a.batch, i))), nil
}

// right reports whether sample i is decided as its label says.
func (c *classes) right(i int) bool { return c.said[i] == c.labels[i] }

func (c *classes) result() (Result, error) {
	if len(c.said) == 0 {
		return Result{}, errNoSamples
	}
	accuracy := c.accuracy(nil)
	if c.metric == Accuracy {
		return Result{Metric: Accuracy, Value: accuracy}, nil
	}
	return Result{Metric: F1, Value: newF1(c).value(nil), Extras: map[string]float64{"accuracy": accuracy}}, nil
}

// accuracy returns the share of right decisions.
func (c *classes) accuracy(counts []int32) float64 {
	right, n := 0.0, 0.0
	for i := range c.said {
		w := weight(counts, i)
		n += w
		if c.right(i) {
			right += w
		}
	}
	return right / n
}

// weight returns how often sample i is drawn; without counts, once.
func weight(counts []int32, i int) float64 {
	if counts == nil {
		return 1
	}
	return float64(counts[i])
}

var errNoSamples = errors.New("no samples")
