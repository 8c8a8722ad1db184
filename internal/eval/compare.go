package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"optim/internal/dataset"
	"optim/internal/ort"
)

// Compare measures how close the outputs of result are to those of source on
// the same samples: cosine, mse or agreement.
//
// All outputs of real numbers that both have are compared, except caches
// ("present…"). Per sample and output the elements are taken as one vector;
// where the output has one row per position, without the positions that are
// padding.
//   - cosine: mean over samples and outputs; "worst_cosine" is the least.
//   - mse: mean over all elements; "sqnr_db" is 10·log10(Σ source² / Σ error²).
//   - agreement: fraction of equal decisions (the greatest element) of the first
//     output ("logits", if it is there): one per sample, or one per position.
func Compare(ctx context.Context, source, result Model, set *dataset.Set, o Options) (Result, error) {
	metric := o.Metric
	if metric == "" || metric == Auto {
		metric = Cosine
	}
	if err := checkMetric(metric); err != nil {
		return Result{}, err
	}
	if !NeedsReference(metric) {
		return Result{}, fmt.Errorf("metric %s is not one of two models", metric)
	}
	c := comparison{worst: math.Inf(1)}
	var err error
	if c.names, err = sharedOutputs(source.Outputs(), result.Outputs()); err != nil {
		return Result{}, err
	}
	first := func(o ort.Info) bool { return slices.Contains(c.names, o.Name) }
	c.decision, _ = pick(source.Outputs(), first, "logits")
	p := pass{ctx: ctx, set: set, o: o, names: [][]string{c.names, c.names},
		models: []named{{"the source", source}, {"the result", result}}}
	samples, err := p.each(c.add)
	if err != nil {
		return Result{}, err
	}
	values := c.values()
	value, ok := values[metric]
	if !ok || math.IsNaN(value) || math.IsInf(value, 0) {
		return Result{}, fmt.Errorf("metric %s: no value, as the outputs are empty or infinite", metric)
	}
	delete(values, metric)
	return Result{metric, value, samples, finite(values)}, nil
}

// sharedOutputs returns the outputs that are compared, in the source's order.
func sharedOutputs(source, result []ort.Info) ([]string, error) {
	var names []string
	for _, o := range source {
		other := func(r ort.Info) bool { return r.Name == o.Name && r.DType.IsFloat() }
		if o.DType.IsFloat() && !strings.HasPrefix(o.Name, "present") && slices.ContainsFunc(result, other) {
			names = append(names, o.Name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("source and result share no output of real numbers")
	}
	return names, nil
}

// comparison adds up the differences of two models.
type comparison struct {
	names    []string
	decision string // output that agreement looks at

	cosines, worst   float64
	vectors          int
	signal, noise    float64 // sums of squares of the source, and of the error
	elements         int
	agreed, disputed int
}

// add compares the outputs of one batch, and of its pairs.
func (c *comparison) add(s step) error {
	if err := c.addBatch(s.batch, s.views[0], s.views[1]); err != nil || s.pair == nil {
		return err
	}
	return c.addBatch(s.pair, s.pairViews[0], s.pairViews[1])
}

func (c *comparison) addBatch(b *dataset.Batch, source, result map[string]view) error {
	for _, name := range c.names {
		x, y := source[name], result[name]
		if !x.shape.Equal(y.shape) {
			return fmt.Errorf("output %q has shape %v in the source and %v in the result for %s", name, x.shape, y.shape, b.Samples[0].Name)
		}
		for i := range b.Samples {
			c.addVectors(x.real(b, i), y.real(b, i))
			if name == c.decision {
				c.decide(x, y, b, i)
			}
		}
	}
	return nil
}

// addVectors compares the output of one sample.
func (c *comparison) addVectors(x, y []float32) {
	if len(x) == 0 {
		return
	}
	var xy, xx, yy, dd float64
	for i := range x {
		a, b := float64(x[i]), float64(y[i])
		xy += a * b
		xx += a * a
		yy += b * b
		if a != b { // equal infinities are no error
			dd += (a - b) * (a - b)
		}
	}
	cos := 0.0
	switch {
	case math.IsInf(xx+yy, 0): // infinite elements have no direction
		cos = math.NaN()
	case xx == 0 && yy == 0:
		cos = 1
	case xx > 0 && yy > 0:
		cos = min(xy/(math.Sqrt(xx)*math.Sqrt(yy)), 1)
	}
	c.cosines += cos
	c.worst = min(c.worst, cos) // NaN stays
	c.vectors++
	c.signal += xx
	c.noise += dd
	c.elements += len(x)
}

// decide compares the decisions of one sample: one per real position, or one.
func (c *comparison) decide(x, y view, b *dataset.Batch, i int) {
	u, v := x.real(b, i), y.real(b, i)
	width, ok := x.positions(b)
	if !ok {
		width = len(u)
	}
	if width == 0 {
		return
	}
	for at := 0; at+width <= len(u); at += width {
		c.disputed++
		if argmax(u[at:at+width]) == argmax(v[at:at+width]) {
			c.agreed++
		}
	}
}

// values returns all figures; those without a base are absent.
func (c *comparison) values() map[string]float64 {
	out := map[string]float64{}
	if c.vectors > 0 {
		out[Cosine] = c.cosines / float64(c.vectors)
		out["worst_cosine"] = c.worst
		out[MSE] = c.noise / float64(c.elements)
		out["sqnr_db"] = 10 * math.Log10(c.signal/c.noise)
	}
	if c.disputed > 0 {
		out[Agreement] = float64(c.agreed) / float64(c.disputed)
	}
	return out
}
