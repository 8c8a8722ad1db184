package calib

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// stored is the form of a histogram in a calibration cache: bins outside the
// first and the last that is not empty are left out.
type stored struct {
	Bins   int     `json:"bins"`
	Exp    int     `json:"exp"` // bins cover (-2^exp, 2^exp)
	Min    float32 `json:"min"`
	Max    float32 `json:"max"`
	Count  int64   `json:"count"`
	Zeros  int64   `json:"zeros"`
	NaNs   int64   `json:"nans,omitempty"`
	Infs   int64   `json:"infs,omitempty"`
	First  int     `json:"first"`
	Counts []int64 `json:"counts"`
}

// MarshalJSON writes everything that the histogram knows.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	first, last := h.span()
	if first > last {
		first, last = 0, -1
	}
	return json.Marshal(stored{
		Bins: h.bins, Exp: h.exp, Min: h.Min, Max: h.Max, Count: h.Count,
		Zeros: h.Zeros, NaNs: h.NaNs, Infs: h.Infs, First: first, Counts: h.counts[first : last+1],
	})
}

// UnmarshalJSON reads what MarshalJSON wrote; it fails for numbers that no
// values can have led to, and leaves the histogram as it was then.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	counts := make([]int64, 2*s.Bins)
	copy(counts[s.First:], s.Counts)
	*h = Histogram{
		Min: s.Min, Max: s.Max, Count: s.Count, Zeros: s.Zeros, NaNs: s.NaNs, Infs: s.Infs,
		bins: s.Bins, exp: s.Exp, counts: counts,
	}
	return nil
}

func (s *stored) check() error {
	if err := checkBins(s.Bins); err != nil {
		return err
	}
	bound := math.Ldexp(1, s.Exp)
	switch {
	case s.Exp < minExponent || s.Exp > 128:
		return fmt.Errorf("exponent %d", s.Exp)
	case s.First < 0 || s.First > 2*s.Bins || len(s.Counts) > 2*s.Bins-s.First:
		return fmt.Errorf("%d counts from bin %d of %d", len(s.Counts), s.First, 2*s.Bins)
	case !(s.Min <= s.Max) || float64(s.Max) >= bound || float64(s.Min) <= -bound:
		return fmt.Errorf("range %g to %g in a histogram up to %g", s.Min, s.Max, bound)
	case s.Zeros < 0 || s.NaNs < 0 || s.Infs < 0:
		return errors.New("negative count")
	case s.Count == 0 && (s.Min != 0 || s.Max != 0):
		return errors.New("extremes without values")
	}
	sum := s.Zeros
	for _, c := range s.Counts {
		if c < 0 || c > math.MaxInt64-sum {
			return errors.New("negative or huge count")
		}
		sum += c
	}
	if sum != s.Count {
		return fmt.Errorf("bins hold %d of %d values", sum, s.Count)
	}
	return s.checkEnds()
}

// checkEnds tests that the outermost values lie in bins that are not empty.
func (s *stored) checkEnds() error {
	h := Histogram{bins: s.Bins, exp: s.Exp, counts: make([]int64, 2*s.Bins)}
	copy(h.counts[s.First:], s.Counts)
	first, last := h.span()
	if first > last {
		if s.Min != 0 || s.Max != 0 {
			return errors.New("extremes that no bin holds")
		}
		return nil
	}
	low, high := h.edge(first), h.edge(last+1)
	if s.Zeros > 0 {
		low, high = min(low, 0), max(high, 0)
	}
	if float64(s.Min) < low || float64(s.Max) > high || (first < s.Bins && float64(s.Min) > h.edge(first+1)) ||
		(last >= s.Bins && float64(s.Max) < h.edge(last)) {
		return fmt.Errorf("range %g to %g in bins from %g to %g", s.Min, s.Max, low, high)
	}
	return nil
}
