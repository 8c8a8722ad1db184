package eval

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"optim/internal/dataset"
	"optim/internal/ort"
)

// classes counts decisions of a classifier against labels, for accuracy and F1.
type classes struct {
	metric  string
	source  string
	n       int // classes of the logits; 0: the model answers with the class itself
	samples int
	right   int
	// By class: decided and true, decided in all, true in all.
	hits, decided, actual map[int64]int
}

func newClasses(metric, source string) *classes {
	return &classes{metric: metric, source: source, hits: map[int64]int{}, decided: map[int64]int{}, actual: map[int64]int{}}
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
		c.count(class, *s.Label)
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

func (c *classes) count(class, label int64) {
	c.samples++
	c.decided[class]++
	c.actual[label]++
	if class == label {
		c.right++
		c.hits[class]++
	}
}

func (c *classes) result() (float64, map[string]float64, error) {
	if c.samples == 0 {
		return 0, nil, errNoSamples
	}
	accuracy := float64(c.right) / float64(c.samples)
	if c.metric == Accuracy {
		return accuracy, nil, nil
	}
	return c.f1(), map[string]float64{"accuracy": accuracy}, nil
}

// f1 is 2·hits/(decided + actual) of class 1 for a model with two classes, else
// the plain mean over all classes that occur among labels or decisions (macro
// F1).
func (c *classes) f1() float64 {
	of := func(k int64) float64 {
		if sum := c.decided[k] + c.actual[k]; sum > 0 {
			return 2 * float64(c.hits[k]) / float64(sum)
		}
		return 0
	}
	if c.n == 2 {
		return of(1)
	}
	all := maps.Clone(c.decided)
	maps.Copy(all, c.actual)
	sum := 0.0
	for _, k := range slices.Sorted(maps.Keys(all)) { // sorted: the same sum every time
		sum += of(k)
	}
	return sum / float64(len(all))
}

var errNoSamples = errors.New("no samples")
