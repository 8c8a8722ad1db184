package eval

import (
	"math"
	"slices"

	"optim/internal/measure"
)

// Spread describes the values of a figure: mean with standard error, extremes and
// quantiles.
type Spread struct {
	Mean   float64 `json:"mean"`
	StdErr float64 `json:"stderr"` // of the mean
	Max    float64 `json:"max"`
	P99_9  float64 `json:"p99_9"`
	P99    float64 `json:"p99"`
	P95    float64 `json:"p95"`
	P90    float64 `json:"p90"`
	P75    float64 `json:"p75"`
	Median float64 `json:"median"`
	P25    float64 `json:"p25"`
	P10    float64 `json:"p10"`
	P5     float64 `json:"p5"`
	P1     float64 `json:"p1"`
	P0_1   float64 `json:"p0_1"`
	Min    float64 `json:"min"`
}

// keptMost is how many values a spread keeps at most.
const keptMost = 1 << 22

// spread collects values. Memory is bounded: when there are too many, every other
// one is forgotten, and from then on every other one is kept. Mean and extremes
// are of all values.
type spread struct {
	moments
	min, max float64
	kept     []float32
	every    int // one of so many values is kept
	most     int // as keptMost, which 0 stands for
}

func (s *spread) add(x float64) {
	if s.n == 0 {
		s.min, s.max, s.every = x, x, 1
		if s.most == 0 {
			s.most = keptMost
		}
	}
	if s.n%s.every == 0 {
		if len(s.kept) == s.most {
			s.halve()
		}
		if s.n%s.every == 0 {
			s.kept = append(s.kept, float32(x))
		}
	}
	s.moments.add(x)
	s.min, s.max = math.Min(s.min, x), math.Max(s.max, x)
}

// halve forgets every other value.
func (s *spread) halve() {
	for i := 0; 2*i < len(s.kept); i++ {
		s.kept[i] = s.kept[2*i]
	}
	s.kept = s.kept[:(len(s.kept)+1)/2]
	s.every *= 2
}

// result returns the figures. There has to be a value.
func (s *spread) result() Spread {
	sorted := make([]float64, len(s.kept))
	for i, x := range s.kept {
		sorted[i] = float64(x)
	}
	slices.Sort(sorted)
	q := func(p float64) float64 { // float32 may have rounded beyond the extremes
		return min(max(measure.Quantile(sorted, p), s.min), s.max)
	}
	mean := s.mean()
	return Spread{
		Mean: mean.Value, StdErr: mean.StdErr, Max: s.max,
		P99_9: q(0.999), P99: q(0.99), P95: q(0.95), P90: q(0.9), P75: q(0.75), Median: q(0.5),
		P25: q(0.25), P10: q(0.1), P5: q(0.05), P1: q(0.01), P0_1: q(0.001), Min: s.min,
	}
}
