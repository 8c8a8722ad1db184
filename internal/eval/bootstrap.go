package eval

import (
	"math"
	"math/rand/v2"
	"slices"

	"optim/internal/measure"
	"optim/internal/tensor"
)

// Interval bounds a figure with 95 % confidence.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

const (
	// resamples is how many sets the bootstrap draws: enough that the ends of a 95 %
	// interval are steady to about a hundredth of its width. Of very many samples it
	// draws fewer sets, as drawing would take longer than the models: they are as
	// steady, the interval being narrow.
	resamples      = 2000
	resamplesLeast = 400
	drawsMost      = 200e6 // samples drawn in all
)

// bootstrap returns the 95 % interval of a statistic over n samples by the
// percentile bootstrap (Efron 1979): sets of n samples are drawn with replacement,
// and the statistic is computed from how often each sample was drawn. It is a
// paired method where the statistic compares two models on the same samples. The
// same seed gives the same interval, whatever the number of processors.
//
// The interval is widened to hold the estimate, which a skewed statistic may leave
// outside. It is nil where there are fewer than two samples, or where the
// statistic has no value (NaN) for half of the sets.
func bootstrap(n int, seed uint64, estimate float64, statistic func(counts []int32) float64) *Interval {
	if n < 2 {
		return nil
	}
	sets := min(resamples, max(resamplesLeast, int(drawsMost/float64(n))))
	values := make([]float64, sets)
	tensor.Parallel(sets, 0, func(lo, hi int) {
		counts := make([]int32, n)
		for k := lo; k < hi; k++ {
			draw(counts, rand.New(rand.NewPCG(seed, uint64(k))))
			values[k] = statistic(counts)
		}
	})
	values = slices.DeleteFunc(values, math.IsNaN)
	if len(values) < sets/2 {
		return nil
	}
	slices.Sort(values)
	low, high := measure.Quantile(values, 0.025), measure.Quantile(values, 0.975)
	return &Interval{min(low, estimate), max(high, estimate)}
}

// draw sets counts to how often each of len(counts) samples occurs among as many
// that are drawn with replacement.
func draw(counts []int32, rng *rand.Rand) {
	clear(counts)
	n := uint32(len(counts))
	for range counts {
		counts[rng.Uint32N(n)]++
	}
}
