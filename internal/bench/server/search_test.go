package server

import (
	"errors"
	"math"
	"testing"
)

// TestSearchFinds the limit of a rate from starts below, at and above it, within
// the precision, in few probes.
func TestSearchFinds(t *testing.T) {
	for _, start := range []float64{1, 20, 79, 80, 99, 100, 101, 130, 400, 5000} {
		probes := 0
		got, err := search(start, func(rate float64) (bool, error) {
			probes++
			return rate <= 100, nil
		})
		if err != nil || got > 100 || got < 100/precision {
			t.Errorf("from %g: %g, %v, want 97 to 100", start, got, err)
		}
		if probes > maxProbes || start >= 79 && start <= 130 && probes > 8 {
			t.Errorf("from %g: %d probes", start, probes)
		}
	}
}

// TestSearchBounds: there is an end where nothing holds, or everything.
func TestSearchBounds(t *testing.T) {
	probes, low := 0, math.Inf(1)
	never := func(rate float64) (bool, error) {
		probes, low = probes+1, min(low, rate)
		return false, nil
	}
	if got, err := search(100, never); got != 0 || err != nil || low != 1 || probes > 8 {
		t.Errorf("nothing holds: %g, %v after %d probes down to %g", got, err, probes, low)
	}
	probes = 0
	always := func(float64) (bool, error) { probes++; return true, nil }
	if got, err := search(100, always); !(got > 100) || math.IsInf(got, 1) || err != nil || probes != maxProbes {
		t.Errorf("everything holds: %g, %v after %d probes", got, err, probes)
	}
	if got, _ := search(100, func(rate float64) (bool, error) { return rate < 1.5, nil }); got < 1 || got >= 1.5 {
		t.Errorf("%g, want the lowest rate that is tried, or a little more", got)
	}
}

// TestSearchError: the best so far comes with the error.
func TestSearchError(t *testing.T) {
	boom := errors.New("boom")
	probes := 0
	got, err := search(100, func(rate float64) (bool, error) {
		if probes++; probes == 3 {
			return false, boom
		}
		return true, nil
	})
	if !errors.Is(err, boom) || got != 125 {
		t.Errorf("%g, %v", got, err)
	}
}

func TestSettle(t *testing.T) {
	below := func(limit float64) func(float64) (bool, error) {
		return func(rate float64) (bool, error) { return rate <= limit, nil }
	}
	for limit, least := range map[float64]float64{200: 100, 100: 100, 99: 97, 96: 91, 50: 38, 3: 2} {
		if got, err := settle(100, below(limit)); err != nil || got > limit || got < least {
			t.Errorf("limit %g: %g, %v, want at least %g", limit, got, err, least)
		}
	}
	for _, rate := range []float64{100, 0} {
		if got, err := settle(rate, below(-1)); got != 0 || err != nil {
			t.Errorf("%g that never holds: %g, %v", rate, got, err)
		}
	}
	boom := errors.New("boom")
	if _, err := settle(1, func(float64) (bool, error) { return false, boom }); !errors.Is(err, boom) {
		t.Error(err)
	}
}
