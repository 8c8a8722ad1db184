package eval

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// comparison measures how close the outputs of a model are to those of a reference
// on the same samples: cosine, mse or agreement.
//
// All outputs of real numbers that both have are compared, except caches
// ("present…"). Per sample and output the elements are taken as one vector;
// where the output has one row per position, without the positions that are
// padding.
//   - cosine: mean over samples and outputs; "worst_cosine" is the least.
//   - mse: mean over all elements; "sqnr_db" is 10·log10(Σ source² / Σ error²).
//   - agreement: fraction of equal decisions (the greatest element) of the first
//     output ("logits", if it is there): one per sample, or one per position.
type comparison struct {
	metric     string
	shared     []string
	decision   string // output that agreement looks at
	byPosition bool   // its decisions are one per position

	list          []closeness // by sample
	worst         float64     // the least cosine
	signal, noise float64     // sums of squares of the reference, and of the error
	elements      int
}

// closeness is what the outputs of one sample add up to.
type closeness struct {
	cosines          float64 // sum
	vectors          int
	agreed, disputed int
}

func (c *comparison) outputs(models []named) (_ [][]string, err error) {
	if c.shared, err = sharedOutputs(models[0].Outputs(), models[1].Outputs()); err != nil {
		return nil, err
	}
	first := func(o ort.Info) bool { return slices.Contains(c.shared, o.Name) }
	c.decision, _ = pick(models[0].Outputs(), first, "logits")
	return [][]string{c.shared, c.shared}, nil
}

// sharedOutputs returns the outputs that are compared, in the reference's order.
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

// add compares the outputs of one batch, and of its pairs.
func (c *comparison) add(s *step) error {
	list := make([]closeness, len(s.batch.Samples))
	err := c.addBatch(list, s.batch, s.views[0], s.views[1])
	if err == nil && s.pair != nil {
		err = c.addBatch(list, s.pair, s.pairViews[0], s.pairViews[1])
	}
	c.list = append(c.list, list...)
	return err
}

// addBatch adds the outputs of a batch to those of its samples.
func (c *comparison) addBatch(list []closeness, b *dataset.Batch, source, result map[string]view) error {
	for _, name := range c.shared {
		x, y := source[name], result[name]
		for i, v := range []view{x, y} {
			if err := v.checkNaN(b); err != nil {
				return blame(pairNames[i], err)
			}
		}
		if !x.shape.Equal(y.shape) {
			return fmt.Errorf("output %q has shape %v in the source and %v in the result for %s", name, x.shape, y.shape, b.Samples[0].Name)
		}
		if name == c.decision {
			_, c.byPosition = x.positions(b)
		}
		parts := make([]products, len(list))
		tensor.Parallel(len(list), 0, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				u, v := x.real(b, i), y.real(b, i)
				parts[i] = multiply(u, v)
				if name == c.decision {
					list[i].decide(u, v, x, b)
				}
			}
		})
		for i, p := range parts { // in order, so that threads do not change the sums
			c.count(&list[i], p)
		}
	}
	return nil
}

// products are the sums over two vectors x and y.
type products struct {
	n              int
	xy, xx, yy, dd float64 // dd: (x−y)²
}

func multiply(x, y []float32) products {
	p := products{n: len(x)}
	for i := range x {
		a, b := float64(x[i]), float64(y[i])
		p.xy += a * b
		p.xx += a * a
		p.yy += b * b
		if a != b { // equal infinities are no error
			p.dd += (a - b) * (a - b)
		}
	}
	return p
}

// cosine returns that of the angle: 1 of two zeros, 0 of one, NaN with infinite
// elements, which have no direction.
func (p products) cosine() float64 {
	switch {
	case math.IsInf(p.xx+p.yy, 0):
		return math.NaN()
	case p.xx == 0 && p.yy == 0:
		return 1
	case p.xx > 0 && p.yy > 0:
		return min(p.xy/(math.Sqrt(p.xx)*math.Sqrt(p.yy)), 1)
	}
	return 0
}

// count adds the output of one sample to the sums.
func (c *comparison) count(of *closeness, p products) {
	if p.n == 0 {
		return
	}
	cos := p.cosine()
	of.cosines += cos
	of.vectors++
	c.worst = min(c.worst, cos) // NaN stays
	c.signal += p.xx
	c.noise += p.dd
	c.elements += p.n
}

// decide compares the decisions of one sample: one per real position, or one.
func (c *closeness) decide(u, v []float32, x view, b *dataset.Batch) {
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

// sums adds up what the samples drawn add up to.
func (c *comparison) sums(counts []int32) (cosines, vectors, agreed, disputed float64) {
	for i, s := range c.list {
		w := weight(counts, i)
		cosines += w * s.cosines
		vectors += w * float64(s.vectors)
		agreed += w * float64(s.agreed)
		disputed += w * float64(s.disputed)
	}
	return cosines, vectors, agreed, disputed
}

// values returns all figures; those without a base are absent.
func (c *comparison) values() map[string]float64 {
	out := map[string]float64{}
	cosines, vectors, agreed, disputed := c.sums(nil)
	if vectors > 0 {
		out[Cosine] = cosines / vectors
		out["worst_cosine"] = c.worst
		out[MSE] = c.noise / float64(c.elements)
		out["sqnr_db"] = 10 * math.Log10(c.signal/c.noise)
	}
	if disputed > 0 {
		out[Agreement] = agreed / disputed
	}
	return out
}

func (c *comparison) results() ([]Result, error) {
	values := c.values()
	value, ok := values[c.metric]
	if !ok || math.IsNaN(value) || math.IsInf(value, 0) {
		return nil, fmt.Errorf("metric %s: no value, as the outputs are empty or infinite", c.metric)
	}
	delete(values, c.metric)
	return []Result{{Metric: c.metric, Value: value, Extras: values}}, nil
}

func (c *comparison) samples() int { return len(c.list) }

// retention is the metric itself, of a resample.
func (c *comparison) retention(counts []int32) float64 {
	cosines, vectors, agreed, disputed := c.sums(counts)
	if c.metric == Agreement {
		return agreed / disputed
	}
	return cosines / vectors
}

func (c *comparison) report(k *Kept) {
	a := &Decisions{Unit: Samples}
	if c.byPosition {
		a.Unit = Positions
	}
	for _, s := range c.list {
		a.Same += s.agreed
		a.Of += s.disputed
	}
	if a.Of > 0 {
		k.Agreement = a
	}
}
