package calib

import (
	"math"

	"optim/internal/tensor"
)

// Noise returns the mean squared error to expect when the values are stored as
// clip(round(x/scale) + zero, lo, hi), values being spread evenly inside a bin.
// Zeros cost nothing (zero must lie in lo to hi). scale must be positive.
func (h *Histogram) Noise(scale float32, zero int32, lo, hi int64) float64 {
	first, last := h.span()
	if h.Count == 0 || first > last {
		return 0
	}
	q := quantizer{lo: float64(lo - int64(zero)), hi: float64(hi - int64(zero))}
	inv := 1 / float64(scale)
	step := h.width() * inv
	sum := 0.0
	a := max(h.edge(first), float64(h.Min)) * inv
	ga := q.integral(a)
	for i := first; i <= last; i++ {
		b := float64(i+1-h.bins) * step
		if i == last {
			b = min(b, float64(h.Max)*inv)
		}
		gb := q.integral(b)
		if c := h.counts[i]; c > 0 {
			sum += float64(c) * q.mean(a, b, ga, gb)
		}
		a, ga = b, gb
	}
	return sum * float64(scale) * float64(scale) / float64(h.Count)
}

// Signal returns the mean of x².
func (h *Histogram) Signal() float64 {
	first, last := h.span()
	if h.Count == 0 || first > last {
		return 0
	}
	sum := 0.0
	for i := first; i <= last; i++ {
		if c := h.counts[i]; c > 0 {
			a := max(h.edge(i), float64(h.Min))
			b := min(h.edge(i+1), float64(h.Max))
			sum += float64(c) * (a*a + a*b + b*b) / 3
		}
	}
	return sum / float64(h.Count)
}

// SQNR returns the signal-to-quantization-noise ratio to expect, in decibels:
// 10·log10(Signal/Noise), with the arguments of Noise. It is +Inf without noise.
func (h *Histogram) SQNR(scale float32, zero int32, lo, hi int64) float64 {
	noise := h.Noise(scale, zero, lo, hi)
	if noise == 0 {
		return math.Inf(1)
	}
	return 10 * math.Log10(h.Signal()/noise)
}

// span returns the first and the last bin that is not empty; first > last if
// all are.
func (h *Histogram) span() (first, last int) {
	last = len(h.counts) - 1
	for first <= last && h.counts[first] == 0 {
		first++
	}
	for first <= last && h.counts[last] == 0 {
		last--
	}
	return first, last
}

// quantizer rounds to a whole number and clips to lo and hi.
type quantizer struct{ lo, hi float64 }

func (q quantizer) round(u float64) float64 {
	return min(max(math.RoundToEven(u), q.lo), q.hi)
}

// integral is an antiderivative of (u − round(u))²: each whole step adds 1/12,
// and clipping at the ends falls out of rounding there.
func (q quantizer) integral(u float64) float64 {
	n := q.round(u)
	d := u - n
	return n/12 + d*d*d/3
}

// mean returns the mean of (u − round(u))² from a to b, whose integrals are
// given; over a width that rounding errors would swamp, its value in the middle.
func (q quantizer) mean(a, b, ga, gb float64) float64 {
	if b-a > 1e-6 {
		return max((gb-ga)/(b-a), 0)
	}
	u := (a + b) / 2
	d := u - q.round(u)
	return d * d
}

// MSE returns the range with which tensor.ChooseAffine, given the same further
// arguments, makes the least squared error (Noise). It shrinks both ends of the
// extremes together, then each by itself, over factors that fall to 1/256, and
// refines the best of each. It panics where ChooseAffine does.
func (h *Histogram) MSE(d tensor.DType, lo, hi int64, symmetric bool) (low, high float32) {
	first, last := h.span()
	if first > last {
		return h.Min, h.Max
	}
	s := search{h: h, d: d, lo: lo, hi: hi, symmetric: symmetric, least: math.Inf(1)}
	s.line(h.Min, h.Max, true, true)
	if !symmetric && h.Min < 0 && h.Max > 0 {
		for range 2 {
			s.line(s.low, s.high, true, false)
			s.line(s.low, s.high, false, true)
		}
	}
	return h.clip(s.low), h.clip(s.high)
}

// search looks for the best range; low, high and least are the best so far.
type search struct {
	h         *Histogram
	d         tensor.DType
	lo, hi    int64
	symmetric bool
	low, high float32
	least     float64
}

// The grid of factors: four to an octave, over eight octaves, and eight steps
// from the best to either of its neighbours.
const (
	perOctave = 4
	octaves   = 8
	fineSteps = 8
)

// line tries the range from low to high with either or both ends moved towards
// zero.
func (s *search) line(low, high float32, moveLow, moveHigh bool) {
	best := 1.0
	try := func(k float64) {
		l, u := low, high
		if moveLow {
			l *= float32(k)
		}
		if moveHigh {
			u *= float32(k)
		}
		if s.try(l, u) {
			best = k
		}
	}
	for j := range perOctave*octaves + 1 {
		try(math.Exp2(-float64(j) / perOctave))
	}
	mid, ratio := best, math.Exp2(1.0/perOctave)
	for j := 1; j < fineSteps; j++ {
		f := math.Pow(ratio, float64(j)/fineSteps)
		try(mid / f)
		try(min(mid*f, 1))
	}
}

// try takes a range if it is better than the best so far.
func (s *search) try(low, high float32) bool {
	scale, zero := tensor.ChooseAffine(low, high, s.d, s.lo, s.hi, s.symmetric)
	lo, hi, _, err := tensor.Scheme{DType: s.d, Lo: s.lo, Hi: s.hi, Symmetric: s.symmetric}.Bounds()
	if err != nil {
		panic("calib: MSE: " + err.Error()) // ChooseAffine panicked already
	}
	noise := s.h.Noise(scale, zero, lo, hi)
	if noise < s.least {
		s.low, s.high, s.least = low, high, noise
		return true
	}
	return false
}
