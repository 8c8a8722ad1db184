package quant

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/tensor"
)

// Derived is what is known of an activation without running the model: see
// Derive. All slices have one entry per channel.
type Derived struct {
	Mean, Power []float64 // means of the values and of their squares
	Low, High   []float64 // bounds that few values pass
}

// tail is the number of standard deviations within which a normal value is taken
// to lie. Nagel et al. take 6, which costs a bit of the code and saves values
// that one in a billion has; with scales for whole tensors the widest channel
// covers the others' tails.
const tail = 4.5

// sumTail is the same for sums of products, which are not quite normal.
const sumTail = 6

// Derive tells how the activations of a model with batch normalization are
// distributed, without data (Nagel et al., "Data-Free Quantization Through
// Weight Equalization and Bias Correction", 2019, section 4.1.3): what a
// BatchNormalization gives is normal in every channel, with its shift as mean and
// its scale as deviation. From there on distributions are followed through the
// graph as long as operators are known. Values that depend on the model's
// inputs other than through a normalization are not in the result. The model
// is changed: its constants are gathered.
func Derive(m *onnx.Model) (map[string]Derived, error) {
	if _, err := fold.Simplify(m); err != nil {
		return nil, err
	}
	d := &deriver{scope: scopes(m.Graph)[0], known: map[string]channels{}}
	for _, n := range m.Graph.Nodes {
		rule, ok := deriveRules[n.OpType]
		if !ok || n.Domain != "" || n.Output(0) == "" {
			continue
		}
		if s, ok := rule(d, n); ok && s.finite() {
			d.known[n.Outputs[0]] = s
		}
	}
	out := make(map[string]Derived, len(d.known))
	for name, s := range d.known {
		out[name] = s.derived()
	}
	return out, nil
}

// points is the number of quantiles that stand for a channel's distribution.
const points = 64

// channels is a distribution in each channel: equally likely values, and bounds.
type channels []channel

type channel struct {
	v         [points]float64
	low, high float64
}

// quantiles are those of the standard normal distribution.
var quantiles = func() (z [points]float64) {
	for i := range z {
		z[i] = math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/points-1)
	}
	scale := 0.0 // so that the deviation is 1 in spite of the tails that are cut off
	for _, x := range z {
		scale += x * x / points
	}
	for i := range z {
		z[i] /= math.Sqrt(scale)
	}
	return z
}()

// normal is a normal channel, within so many deviations.
func normal(mean, deviation, tail float64) channel {
	c := channel{low: mean - tail*deviation, high: mean + tail*deviation}
	for i, z := range quantiles {
		c.v[i] = mean + deviation*z
	}
	return c
}

// moments returns mean and variance.
func (c *channel) moments() (mean, variance float64) {
	for _, x := range c.v {
		mean += x / points
	}
	for _, x := range c.v {
		variance += (x - mean) * (x - mean) / points
	}
	return mean, variance
}

// each applies a function to all values; the bounds are what it gives on a grid
// between them, as it need not be monotone.
func (s channels) each(f func(x float64) float64) channels {
	out := make(channels, len(s))
	for i, c := range s {
		o := &out[i]
		o.low, o.high = math.Inf(1), math.Inf(-1)
		for j, x := range c.v {
			o.v[j] = f(x)
		}
		const steps = 512
		for j := range steps + 1 {
			y := f(c.low + (c.high-c.low)*float64(j)/steps)
			o.low, o.high = min(o.low, y), max(o.high, y)
		}
	}
	return out
}

// pair combines values of two spreads that do not depend on each other: every
// value of one meets another of the other, in an order that mixes them.
func (s channels) pair(t channels, f func(x, y float64) float64) (channels, bool) {
	if len(s) != len(t) {
		return nil, false
	}
	out := make(channels, len(s))
	for i := range s {
		a, b, o := &s[i], &t[i], &out[i]
		for j := range points {
			o.v[j] = f(a.v[j], b.v[(j*mixing+mixing/2)%points])
		}
		o.low, o.high = math.Inf(1), math.Inf(-1)
		for _, x := range []float64{a.low, a.high} {
			for _, y := range []float64{b.low, b.high} {
				o.low, o.high = min(o.low, f(x, y)), max(o.high, f(x, y))
			}
		}
	}
	return out, true
}

// mixing has no factor in common with points, and neighbours far apart.
const mixing = 39

func (s channels) finite() bool {
	for i := range s {
		mean, variance := s[i].moments()
		if !(variance >= 0) || math.IsInf(variance, 0) || mean-mean != 0 || s[i].low-s[i].low != 0 || s[i].high-s[i].high != 0 {
			return false
		}
	}
	return len(s) > 0
}

func (s channels) derived() Derived {
	var d Derived
	for i := range s {
		mean, variance := s[i].moments()
		d.Mean = append(d.Mean, mean)
		d.Power = append(d.Power, mean*mean+variance)
		d.Low, d.High = append(d.Low, s[i].low), append(d.High, s[i].high)
	}
	return d
}

// Divided is what is known after the channels were divided; nil: they were not.
func (d Derived) Divided(by []float64) Derived {
	if len(by) != len(d.Mean) {
		return d
	}
	out := Derived{}
	for i, f := range by {
		out.Mean, out.Power = append(out.Mean, d.Mean[i]/f), append(out.Power, d.Power[i]/f/f)
		out.Low, out.High = append(out.Low, d.Low[i]/f), append(out.High, d.High[i]/f)
	}
	return out
}

// Observe makes an observation of what was derived, for a value of that shape
// with its channels along axis 1; ok is false where they do not fit.
func (d Derived) Observe(shape tensor.Shape) (*Observation, bool) {
	if len(shape) < 2 || shape[1] != int64(len(d.Mean)) {
		return nil, false
	}
	o := &Observation{Shape: shape, Mean: d.Mean}
	for i := range d.Mean {
		o.Min, o.Max = min(o.Min, float32(d.Low[i])), max(o.Max, float32(d.High[i]))
		o.Power += d.Power[i] / float64(len(d.Power))
	}
	return o, true
}
