// Package calib chooses the range of an activation from histograms of it. A
// histogram has a fixed size whatever goes into it, so that calibration needs
// no more memory for more samples.
package calib

import (
	"errors"
	"fmt"
	"math"

	"optim/internal/tensor"
)

// DefaultBins is the number of bins on each side of zero.
const DefaultBins = 2048

const (
	minBins, maxBins = 128, 1 << 16
	// minExponent bounds the width from below: numbers that are smaller than
	// 2^-80 all through are as good as zero, and the inverse stays finite.
	minExponent = -80
)

// Histogram counts float32 values in equal bins over (-R, R), R a power of two
// above every magnitude seen. When a greater value comes, R doubles and
// neighbouring bins merge, so that the result does not depend on the order of
// the values nor on how they are cut into calls. Exact zeros, of which
// activations are full, are counted apart, since every quantizer keeps them.
//
// The zero value is not ready for use; see New. A Histogram must not be used by
// several goroutines at once: give each its own, and Merge them.
type Histogram struct {
	// Min and Max are exact, over the finite values; 0 and 0 before any.
	Min, Max float32
	// Count is the number of finite values, zeros included.
	Count int64
	// Zeros, NaNs and Infs are the numbers of exact zeros, of NaN and of
	// infinities; the last two are in nothing else.
	Zeros, NaNs, Infs int64

	bins   int     // on each side
	exp    int     // R = 2^exp
	counts []int64 // 2·bins: negative side, then positive; without zeros
}

// New returns an empty histogram with the given number of bins on each side of
// zero, 0 meaning DefaultBins. It panics unless that is a power of two from 128
// to 65536.
func New(bins int) *Histogram {
	if bins == 0 {
		bins = DefaultBins
	}
	if err := checkBins(bins); err != nil {
		panic("calib: " + err.Error())
	}
	return &Histogram{bins: bins, exp: minExponent, counts: make([]int64, 2*bins)}
}

func checkBins(bins int) error {
	if bins < minBins || bins > maxBins || bins&(bins-1) != 0 {
		return fmt.Errorf("%d bins: need a power of two from %d to %d", bins, minBins, maxBins)
	}
	return nil
}

// Bins returns the number of bins on each side of zero.
func (h *Histogram) Bins() int { return h.bins }

// width returns the width of a bin.
func (h *Histogram) width() float64 { return math.Ldexp(1, h.exp) / float64(h.bins) }

// edge returns the lower edge of bin i; edge(2·bins) is R.
func (h *Histogram) edge(i int) float64 { return float64(i-h.bins) * h.width() }

// chunk is the number of values that are scanned for their extremes and then
// counted while they are still in the first-level cache.
const chunk = 4096

// Add counts the values of v.
func (h *Histogram) Add(v []float32) {
	var c *counters
	if len(v) >= 4*h.bins { // else clearing and adding up costs more than it saves
		c = borrow(h.bins)
		defer release(c)
	}
	for len(v) > 0 {
		part := v[:min(chunk, len(v))]
		v = v[len(part):]
		lo, hi, finite := tensor.MinMax(part)
		if !finite {
			part = h.dropNonFinite(part)
			if len(part) == 0 {
				continue
			}
		}
		h.widen(lo, hi, c)
		if c == nil {
			h.countSlow(part)
		} else {
			c.count(part, h.inverse())
			h.Count += int64(len(part))
			if c.pending += len(part); c.pending > math.MaxUint32/2 {
				h.flush(c)
			}
		}
	}
	if c != nil {
		h.flush(c)
	}
}

// dropNonFinite counts NaN and infinities, and returns the other values.
func (h *Histogram) dropNonFinite(v []float32) []float32 {
	finite := make([]float32, 0, len(v))
	for _, x := range v {
		switch {
		case x != x:
			h.NaNs++
		case x-x != 0:
			h.Infs++
		default:
			finite = append(finite, x)
		}
	}
	return finite
}

// widen takes lo and hi into Min and Max, and doubles R until both lie inside.
// Bins change their meaning then: c, unless nil, is emptied first.
func (h *Histogram) widen(lo, hi float32, c *counters) {
	if h.Count == 0 {
		h.Min, h.Max = lo, hi
	}
	h.Min, h.Max = min(h.Min, lo), max(h.Max, hi)
	far := max(-lo, hi)
	_, e := math.Frexp(float64(far)) // far < 2^e
	if far == 0 || e <= h.exp {
		return
	}
	if c != nil {
		h.flush(c)
	}
	h.grow(e)
}

// grow merges bins such that R becomes 2^exp; exp is not below h.exp.
func (h *Histogram) grow(exp int) {
	shift := min(exp-h.exp, 31) // beyond, all of a side is in one bin anyway
	h.exp = exp
	if h.Count == h.Zeros {
		return
	}
	merged := make([]int64, len(h.counts))
	for i := range h.bins {
		merged[h.bins+i>>shift] += h.counts[h.bins+i]
		merged[h.bins-1-i>>shift] += h.counts[h.bins-1-i]
	}
	h.counts = merged
}

// inverse returns bins/R: exact, so that a product with it is, too.
func (h *Histogram) inverse() float32 { return float32(1 / h.width()) }

// countSlow is counters.count for few values, straight into the bins.
func (h *Histogram) countSlow(v []float32) {
	inv := h.inverse()
	var zeros uint64
	for _, x := range v {
		i, zero := place(x, inv)
		h.counts[h.bins+i/lanes]++
		zeros += zero
	}
	h.counts[h.bins] -= int64(zeros) // exact zeros are counted apart
	h.Zeros += int64(zeros)
	h.Count += int64(len(v))
}

// Merge adds the counts of o, which must have as many bins.
func (h *Histogram) Merge(o *Histogram) error {
	if o.bins != h.bins {
		return fmt.Errorf("histograms of %d and %d bins do not merge", h.bins, o.bins)
	}
	h.NaNs += o.NaNs
	h.Infs += o.Infs
	if o.Count == 0 {
		return nil
	}
	h.widen(o.Min, o.Max, nil)
	if o.exp < h.exp {
		other := *o // grow replaces its counts, and leaves o's alone
		other.grow(h.exp)
		o = &other
	}
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.Count += o.Count
	h.Zeros += o.Zeros
	return nil
}

// Err returns an error if values were not numbers: their range is not to be
// trusted.
func (h *Histogram) Err() error {
	switch {
	case h.NaNs+h.Infs > 0:
		return fmt.Errorf("%d of %d values are NaN and %d infinite", h.NaNs, h.NaNs+h.Infs+h.Count, h.Infs)
	case h.Count == 0:
		return errors.New("no values")
	}
	return nil
}
