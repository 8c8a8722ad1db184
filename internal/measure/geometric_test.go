package measure

import (
	"math"
	"math/rand/v2"
	"testing"
)

func nearly(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance*math.Abs(b) }

// TestGeometricMeanValues compares with R: exp(t.test(log(x))$conf.int).
func TestGeometricMeanValues(t *testing.T) {
	mean, low, high := GeometricMean([]float64{1, 2, 4})
	// log2: 0, 1, 2; sd 1, standard error 1/√3, t(0.975, 2) = 4.302653.
	half := 4.302653 / math.Sqrt(3)
	if !nearly(mean, 2, 1e-12) || !nearly(low, math.Exp2(1-half), 1e-6) || !nearly(high, math.Exp2(1+half), 1e-6) {
		t.Errorf("%v (%v to %v)", mean, low, high)
	}
	if mean, low, high := GeometricMean([]float64{3}); mean != 3 || low != 0 || !math.IsInf(high, 1) {
		t.Errorf("one value: %v (%v to %v)", mean, low, high)
	}
	if mean, _, _ := GeometricMean(nil); !math.IsNaN(mean) {
		t.Errorf("none: %v", mean)
	}
}

// TestGeometricRatioValues: for sets of equal variance and size Welch's test is Student's.
func TestGeometricRatioValues(t *testing.T) {
	ratio, low, high := GeometricRatio([]float64{2, 4, 8}, []float64{1, 2, 4})
	half := 2.776445 * math.Sqrt(2.0/3) // t(0.975, 4)
	if !nearly(ratio, 2, 1e-12) || !nearly(low, math.Exp2(1-half), 1e-6) || !nearly(high, math.Exp2(1+half), 1e-6) {
		t.Errorf("%v (%v to %v)", ratio, low, high)
	}
	if r, low, high := GeometricRatio([]float64{1, 1}, []float64{2, 2}); !nearly(r, 0.5, 1e-12) || low != r || high != r {
		t.Errorf("without spread: %v (%v to %v)", r, low, high)
	}
	if _, low, high := GeometricRatio([]float64{1}, []float64{1, 2}); low != 0 || !math.IsInf(high, 1) {
		t.Errorf("of one value: %v to %v", low, high)
	}
}

// TestGeometricCoverage: of intervals of equal sets about one in twenty misses.
func TestGeometricCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = math.Exp(0.02 * rng.NormFloat64())
		}
		return out
	}
	const trials = 4000
	missed, apart := 0, 0
	for range trials {
		if _, low, high := GeometricMean(draw(5)); low > 1 || high < 1 {
			missed++
		}
		if _, low, high := GeometricRatio(draw(5), draw(7)); low > 1 || high < 1 {
			apart++
		}
	}
	for name, n := range map[string]int{"mean": missed, "ratio": apart} {
		if share := float64(n) / trials; share < 0.035 || share > 0.065 { // four standard errors about 0.05
			t.Errorf("%s: %.3f of the intervals miss", name, share)
		}
	}
}
