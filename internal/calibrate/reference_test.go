package calibrate_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"optim/internal/calib"
	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// activations runs a model over a set and returns every activation of every
// sample, by value.
func activations(t testing.TB, m *onnx.Model, set *dataset.Set) map[string][]tensor.Tensor {
	t.Helper()
	before := m.Graph.Outputs
	m.Graph.Outputs = []*onnx.ValueInfo{{Name: "c"}, {Name: "r"}, {Name: "y"}}
	b, err := m.Marshal()
	m.Graph.Outputs = before
	if err != nil {
		t.Fatal(err)
	}
	s, err := orttest.Runtime(t).OpenBytes(b, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out := map[string][]tensor.Tensor{}
	for {
		sample, err := set.Next()
		if err != nil {
			break
		}
		got, err := s.Run(sample.Inputs)
		if err != nil {
			t.Fatal(err)
		}
		got["x"] = sample.Inputs["x"]
		for name, v := range got {
			out[name] = append(out[name], v)
		}
	}
	if err := set.Rewind(); err != nil {
		t.Fatal(err)
	}
	return out
}

// slow is what an observation of the given tensors must be.
type slow struct {
	min, max  float32
	power     float64
	mean      []float64
	low, high []float32
	square    []float64
	hist      *calib.Histogram
}

func observe(list []tensor.Tensor, axis int) slow {
	s := slow{min: float32(math.Inf(1)), max: float32(math.Inf(-1)), hist: calib.New(0)}
	rank := len(list[0].Shape)
	if axis < 0 {
		axis += rank
	}
	channels := int(list[0].Shape[axis])
	s.mean, s.square = make([]float64, channels), make([]float64, channels)
	s.low, s.high = make([]float32, channels), make([]float32, channels)
	total := 0.0
	for _, x := range list {
		stride := 1
		for _, d := range x.Shape[axis+1:] {
			stride *= int(d)
		}
		v := tensor.As[float32](x.Data)
		s.hist.Add(v)
		for i, f := range v {
			c := i / stride % channels
			s.min, s.max = min(s.min, f), max(s.max, f)
			s.low[c], s.high[c] = min(s.low[c], f), max(s.high[c], f)
			s.power += float64(f) * float64(f)
			s.mean[c] += float64(f)
			s.square[c] += float64(f) * float64(f)
		}
		total += float64(len(v))
	}
	s.power /= total
	for c := range s.mean {
		s.mean[c] /= total / float64(channels)
		s.square[c] /= total / float64(channels)
	}
	return s
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-4*(1e-2+math.Abs(b)) }

// check compares an observation with the definition.
func check(t *testing.T, name string, o *quant.Observation, want slow, histograms bool, axis int, channels bool) {
	t.Helper()
	if o == nil {
		t.Fatalf("%s was not observed", name)
	}
	if o.Min != want.min || o.Max != want.max {
		t.Errorf("%s: range %g to %g, want %g to %g", name, o.Min, o.Max, want.min, want.max)
	}
	if histograms {
		got, err1 := json.Marshal(o.Hist)
		exp, err2 := json.Marshal(want.hist)
		if err1 != nil || err2 != nil || string(got) != string(exp) {
			t.Errorf("%s: other histogram (%v, %v)", name, err1, err2)
		}
	} else if !near(o.Power, want.power) || o.Hist != nil {
		t.Errorf("%s: power %g, want %g; histogram %v", name, o.Power, want.power, o.Hist != nil)
	}
	if !channels {
		if o.Mean != nil || o.Channels != nil {
			t.Errorf("%s: statistics per channel that nobody asked for", name)
		}
		return
	}
	if !slices.EqualFunc(o.Mean, want.mean, near) {
		t.Errorf("%s: means %v, want %v", name, o.Mean, want.mean)
	}
	if axis >= 0 {
		return
	}
	if c := o.Channels; c == nil || !slices.Equal(c.Min, want.low) || !slices.Equal(c.Max, want.high) || !slices.EqualFunc(c.Square, want.square, near) {
		t.Errorf("%s: channels %+v, want %v %v %v", name, c, want.low, want.high, want.square)
	}
}
