package measure

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Summary describes a set of measurements, in their unit.
type Summary struct {
	N      int     `json:"n"`
	Mean   float64 `json:"mean"`
	StdDev float64 `json:"stddev"` // of the sample, with n-1; 0 for one value
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Summarize describes v, which it leaves as it is. No values give the zero
// Summary.
func Summarize(v []float64) Summary {
	if len(v) == 0 {
		return Summary{}
	}
	s := slices.Sorted(slices.Values(v))
	mean := 0.0
	for i, x := range s { // running mean: no overflow, less rounding
		mean += (x - mean) / float64(i+1)
	}
	var ss float64
	for _, x := range s {
		ss += (x - mean) * (x - mean)
	}
	sd := 0.0
	if len(s) > 1 {
		sd = math.Sqrt(ss / float64(len(s)-1))
	}
	return Summary{
		N: len(s), Mean: mean, StdDev: sd,
		Min: s[0], Max: s[len(s)-1],
		Median: Quantile(s, 0.5), P90: Quantile(s, 0.9), P95: Quantile(s, 0.95), P99: Quantile(s, 0.99),
	}
}

// Seconds turns times into seconds, for Summarize.
func Seconds(d []time.Duration) []float64 {
	out := make([]float64, len(d))
	for i, x := range d {
		out[i] = x.Seconds()
	}
	return out
}

// Quantile returns the q-quantile of sorted values, with linear interpolation
// between neighbours (type 7 of Hyndman and Fan, as in R and NumPy). It panics
// if there are none or q is outside 0 to 1.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 || !(q >= 0 && q <= 1) {
		panic("measure: Quantile of nothing, or outside 0 to 1")
	}
	h := q * float64(len(sorted)-1)
	i := int(h)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}

// Median returns the median of v, which it leaves as it is; NaN for none.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	return Quantile(slices.Sorted(slices.Values(v)), 0.5)
}

// MedianDuration returns the median of times, 0 for none.
func MedianDuration(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	lo, hi := s[(len(s)-1)/2], s[len(s)/2]
	return lo + (hi-lo)/2
}

// resamples is how many sets the bootstrap draws: enough that the ends of a
// 95 % interval are steady to about a hundredth of its width.
const resamples = 2000

// MedianInterval returns the 95 % confidence interval of the median of v by the
// percentile bootstrap (Efron 1979). The same seed gives the same interval. Of
// no values it is NaN, of one that value.
func MedianInterval(v []float64, seed uint64) (low, high float64) {
	if len(v) == 0 {
		return math.NaN(), math.NaN()
	}
	sorted := slices.Sorted(slices.Values(v))
	rng := rand.New(rand.NewPCG(seed, uint64(len(v))))
	medians := make([]float64, resamples)
	counts := make([]int, len(sorted))
	for i := range medians {
		clear(counts)
		for range sorted {
			counts[rng.IntN(len(sorted))]++
		}
		medians[i] = medianOfCounts(sorted, counts)
	}
	slices.Sort(medians)
	return Quantile(medians, 0.025), Quantile(medians, 0.975)
}

// medianOfCounts is the median of sorted values of which the i-th occurs
// counts[i] times, len(sorted) in all; it spares sorting each resample.
func medianOfCounts(sorted []float64, counts []int) float64 {
	lowRank, highRank := (len(sorted)-1)/2, len(sorted)/2
	seen, low := 0, math.NaN()
	for i, n := range counts {
		if n == 0 {
			continue
		}
		if seen <= lowRank && lowRank < seen+n {
			low = sorted[i]
		}
		if highRank < seen+n {
			return low + (sorted[i]-low)/2
		}
		seen += n
	}
	panic("measure: counts do not add up")
}
