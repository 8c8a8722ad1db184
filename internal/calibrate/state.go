package calibrate

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"optim/internal/calib"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// state is what has been observed so far; its JSON form is the cache.
type state struct {
	Done    bool
	Samples int
	Values  map[string]*entry

	mu sync.Mutex
}

// entry is the running observation of one value.
type entry struct {
	Shape    tensor.Shape
	Min, Max number
	Squares  number // sum, of Count values
	Count    float64
	Hist     *calib.Histogram `json:",omitempty"`

	// Per channel; Mean and Square are sums, weighted by the values seen.
	// Extremes start at 0, which every code represents.
	Mean, Low, High, Square channels `json:",omitempty"`
}

func (s *state) entry(v string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.Values[v]
	if e == nil {
		e = &entry{}
		s.Values[v] = e
	}
	return e
}

// add takes in one run's outputs.
func (e *entry) add(p probes, out map[string]tensor.Tensor) error {
	n, err := e.addValues(p, out)
	if err != nil || n == 0 {
		return err
	}
	e.Count += n
	if p.mean != "" {
		if err := e.Mean.add(out[p.mean], func(sum, v float64) float64 { return sum + v*n }); err != nil {
			return err
		}
	}
	if p.low == "" {
		return nil
	}
	return errors.Join(
		e.Low.add(out[p.low], math.Min),
		e.High.add(out[p.high], math.Max),
		e.Square.add(out[p.square], func(sum, v float64) float64 { return sum + v }))
}

// channels is one number per channel.
type channels []number

// add merges the numbers of one run.
func (c *channels) add(t tensor.Tensor, merge func(old, v float64) float64) error {
	v, err := t.Float32s()
	if err != nil {
		return err
	}
	if *c == nil {
		*c = make(channels, len(v))
	}
	if len(*c) != len(v) {
		return fmt.Errorf("%d channels, %d before", len(v), len(*c))
	}
	for i, x := range v {
		(*c)[i] = number(merge(float64((*c)[i]), float64(x)))
	}
	return nil
}

// addValues takes in the values themselves, or their reductions, and returns
// how many values there were.
func (e *entry) addValues(p probes, out map[string]tensor.Tensor) (float64, error) {
	if p.min == "" {
		t := out[p.shape]
		v, err := t.Float32s()
		if err != nil {
			return 0, err
		}
		if e.Hist == nil {
			e.Shape = t.Shape.Clone()
			e.Hist = calib.New(0)
		}
		e.Hist.Add(v)
		if e.Hist.NaNs > 0 {
			return 0, errNaN
		}
		return float64(len(v)), nil
	}
	dims, err := out[p.shape].Int64s()
	if err != nil {
		return 0, err
	}
	n, err := tensor.Shape(dims).Elements()
	if err != nil || n == 0 {
		return 0, err
	}
	if e.Shape == nil {
		e.Shape = tensor.Shape(dims)
	}
	lo, hi, power := reduce(out[p.min], least), reduce(out[p.max], greatest), reduce(out[p.power], sum)
	if lo != lo || hi != hi {
		return 0, errNaN
	}
	if e.Count == 0 {
		e.Min, e.Max = lo, hi
	}
	e.Min, e.Max = min(e.Min, lo), max(e.Max, hi)
	e.Squares += power
	return float64(n), nil
}

// errNaN says that a value cannot be calibrated. Infinite ones are fine: they
// stay in float.
var errNaN = errors.New("some of it is NaN")

// reduce joins the numbers of a reduction, one or one per channel; NaN where
// there is none.
func reduce(t tensor.Tensor, join func(a, b number) number) number {
	v, err := t.Float32s()
	if err != nil || len(v) == 0 {
		return number(math.NaN())
	}
	out := number(v[0])
	for _, x := range v[1:] {
		out = join(out, number(x))
	}
	return out
}

func least(a, b number) number    { return min(a, b) }
func greatest(a, b number) number { return max(a, b) }
func sum(a, b number) number      { return a + b }

// result converts the state into observations.
func (s *state) result(resumed int) *Result {
	obs := quant.Observations{}
	for name, e := range s.Values {
		if e.Count == 0 {
			continue
		}
		o := &quant.Observation{Shape: e.Shape, Min: float32(e.Min), Max: float32(e.Max), Power: float64(e.Squares) / e.Count, Hist: e.Hist}
		if e.Hist != nil {
			o.Min, o.Max = e.Hist.MinMax()
		}
		for _, v := range e.Mean {
			o.Mean = append(o.Mean, float64(v)/e.Count)
		}
		if e.Low != nil {
			o.Channels = e.perChannel()
		}
		obs[name] = o
	}
	return &Result{Observations: obs, Samples: s.Samples, Resumed: resumed}
}

func (e *entry) perChannel() *quant.Channels {
	c := &quant.Channels{}
	rows := e.Count / float64(len(e.Low))
	for j := range e.Low {
		c.Min = append(c.Min, float32(e.Low[j]))
		c.Max = append(c.Max, float32(e.High[j]))
		c.Square = append(c.Square, float64(e.Square[j])/rows)
	}
	return c
}
