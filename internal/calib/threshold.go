package calib

import "math"

// MinMax returns the exact extremes.
func (h *Histogram) MinMax() (lo, hi float32) { return h.Min, h.Max }

// DefaultPercentile is the share of values, in percent, that ONNX Runtime's
// tools keep.
const DefaultPercentile = 99.999

// Percentile returns a range for an asymmetric quantizer that keeps p percent
// of the values: (100−p)/2 percent are cut off at each end. Where all values
// lie on one side of zero the other end has nothing to cut, and the whole
// 100−p percent are cut off at the far end. Inside a bin values are taken as
// evenly spread. Percentages from 100 give MinMax, as does a range that would
// keep nothing but zeros.
func (h *Histogram) Percentile(p float64) (lo, hi float32) {
	drop := h.dropped(p) / 2
	if h.Min >= 0 || h.Max <= 0 {
		drop *= 2
	}
	up := h.cutOff(drop, func(i int) int64 { return h.counts[h.bins+i] })
	down := h.cutOff(drop, func(i int) int64 { return h.counts[h.bins-1-i] })
	return h.limit(-down, up)
}

// PercentileAbs is Percentile for a symmetric quantizer: p percent of the
// values have a magnitude of at most T. It returns −T and T, or Min and Max
// where these are nearer to zero.
func (h *Histogram) PercentileAbs(p float64) (lo, hi float32) {
	t := h.cutOff(h.dropped(p), h.magnitude)
	return h.limit(-t, t)
}

// magnitude returns the number of values with |x| in the i-th bin from zero.
func (h *Histogram) magnitude(i int) int64 {
	return h.counts[h.bins+i] + h.counts[h.bins-1-i]
}

// dropped returns how many values lie outside p percent; p below 0 or NaN
// counts as 0.
func (h *Histogram) dropped(p float64) float64 {
	if !(p > 0) {
		p = 0
	}
	return float64(h.Count) * (1 - min(p, 100)/100)
}

// cutOff returns the magnitude beyond which drop values lie, counting inwards
// over bins of magnitude given by count.
func (h *Histogram) cutOff(drop float64, count func(i int) int64) float64 {
	for i := h.bins - 1; i >= 0; i-- {
		n := float64(count(i))
		if n > drop {
			return (float64(i+1) - drop/n) * h.width()
		}
		drop -= n
	}
	return 0
}

// limit clips a range to the extremes, which are exact where bins are not; an
// empty range becomes the extremes.
func (h *Histogram) limit(lo, hi float64) (float32, float32) {
	if lo == 0 && hi == 0 {
		return h.Min, h.Max
	}
	return h.clip(float32(lo)), h.clip(float32(hi))
}

// clip moves x into the extremes.
func (h *Histogram) clip(x float32) float32 { return min(max(x, h.Min), h.Max) }

// EntropyLevelsInt8 is the number of magnitudes that int8 tells apart.
const EntropyLevelsInt8 = 128

// Entropy is EntropyLevels for int8.
func (h *Histogram) Entropy() (lo, hi float32) { return h.EntropyLevels(EntropyLevelsInt8) }

// EntropyLevels returns −T and T, or Min and Max where these are nearer to
// zero, for the T at which quantizing magnitudes to that many levels loses the
// least information (Migacz, "8-bit inference with TensorRT", 2017). Candidates
// are the edges of bins from levels upwards. For each, P is the histogram up to
// there with everything beyond added to its last bin, and Q the histogram
// without that tail, merged into equal groups of bins and spread again evenly
// over those bins of a group that are not empty; T has the least
// Kullback-Leibler divergence of P from Q, the smallest T if several do. Exact
// zeros are left out, for every candidate keeps them. A bin that only P fills
// has entropyEps values in Q.
func (h *Histogram) EntropyLevels(levels int) (lo, hi float32) {
	top := h.bins
	for top > 0 && h.magnitude(top-1) == 0 {
		top--
	}
	if levels < 1 || top <= levels {
		return h.Min, h.Max
	}
	e := newEntropy(h, top, levels)
	best, least := top, math.Inf(1)
	for i := levels; i <= top; i++ {
		if d := e.divergence(i); d < least {
			best, least = i, d
		}
	}
	t := float64(best) * h.width()
	return h.limit(-t, t)
}

// entropyEps stands for a count of zero where a logarithm is needed.
const entropyEps = 1e-4

// entropy holds running sums over the bins of magnitude, which make a candidate
// cost as many steps as there are levels, not bins.
type entropy struct {
	levels         int
	sum, full, log []float64 // over bins before i: Σc, how many c > 0, Σc·ln c
}

func newEntropy(h *Histogram, top, levels int) *entropy {
	e := &entropy{levels: levels, sum: make([]float64, top+1), full: make([]float64, top+1), log: make([]float64, top+1)}
	for i := range top {
		c := float64(h.magnitude(i))
		e.sum[i+1], e.full[i+1], e.log[i+1] = e.sum[i]+c, e.full[i], e.log[i]
		if c > 0 {
			e.full[i+1]++
			e.log[i+1] += c * math.Log(c)
		}
	}
	return e
}

// divergence returns the divergence for the first i bins: with N = ΣP and
// M = ΣQ it is (ΣP·ln P − ΣP·ln Q)/N − ln N + ln M. Inside a group Q is one
// number, so that P, but for its last bin, is only needed as a sum.
func (e *entropy) divergence(i int) float64 {
	all := e.sum[len(e.sum)-1]
	last := e.sum[i] - e.sum[i-1]
	pLast := last + all - e.sum[i]
	m := e.sum[i]
	if m == 0 {
		return math.Inf(1)
	}
	plogp, plogq := e.log[i-1], 0.0
	if pLast > 0 {
		plogp += pLast * math.Log(pLast)
	}
	for k := range e.levels {
		from, to := k*i/e.levels, (k+1)*i/e.levels
		s := e.sum[to] - e.sum[from]
		q := 0.0
		if s > 0 {
			q = math.Log(s / (e.full[to] - e.full[from]))
		}
		if to == i {
			s += pLast - last
			if last == 0 { // q is not this bin's
				s -= pLast
			}
		}
		plogq += s * q
	}
	if last == 0 && pLast > 0 {
		plogq += pLast * math.Log(entropyEps)
		m += entropyEps
	}
	return (plogp-plogq)/all - math.Log(all) + math.Log(m)
}
