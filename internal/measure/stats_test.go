package measure

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// near compares with a relative tolerance for sums of a thousand terms.
func near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-12*math.Max(math.Abs(a), math.Abs(b))
}

func randoms(rng *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = rng.NormFloat64()*3 + 10
	}
	return v
}

func TestSummarizeAgainstDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 10, 99, 100, 101, 1000} {
		v := randoms(rng, n)
		before := slices.Clone(v)
		got := Summarize(v)
		if !slices.Equal(v, before) {
			t.Fatal("the values were changed")
		}
		sum := 0.0
		for _, x := range v {
			sum += x
		}
		mean, ss := sum/float64(n), 0.0
		for _, x := range v {
			ss += (x - mean) * (x - mean)
		}
		sd := 0.0
		if n > 1 {
			sd = math.Sqrt(ss / float64(n-1))
		}
		if got.N != n || !near(got.Mean, mean) || !near(got.StdDev, sd) {
			t.Errorf("n=%d: %+v, want mean %v, deviation %v", n, got, mean, sd)
		}
		if got.Min != slices.Min(v) || got.Max != slices.Max(v) || got.Median != Median(v) {
			t.Errorf("n=%d: %+v", n, got)
		}
		order := []float64{got.Min, got.Median, got.P90, got.P95, got.P99, got.Max}
		if !slices.IsSorted(order) {
			t.Errorf("n=%d: out of order %v", n, order)
		}
	}
	if got := Summarize(nil); got != (Summary{}) {
		t.Errorf("of nothing: %+v", got)
	}
	if got := Summarize([]float64{math.MaxFloat64, math.MaxFloat64}); got.Mean != math.MaxFloat64 {
		t.Errorf("of the greatest numbers: mean %v", got.Mean)
	}
}

// TestQuantile has the values that R's quantile(x, type = 7) gives.
func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		q    float64
		want float64
	}{
		{[]float64{7}, 0.3, 7},
		{[]float64{1, 2}, 0.5, 1.5},
		{[]float64{1, 2, 3, 4}, 0, 1},
		{[]float64{1, 2, 3, 4}, 1, 4},
		{[]float64{1, 2, 3, 4}, 0.25, 1.75},
		{[]float64{1, 2, 4, 8, 16}, 0.9, 12.8},
	} {
		if got := Quantile(c.v, c.q); !near(got, c.want) {
			t.Errorf("%v at %v: %v, want %v", c.v, c.q, got, c.want)
		}
	}
	for _, q := range []float64{-0.1, 1.1, math.NaN()} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic at %v", q)
				}
			}()
			Quantile([]float64{1}, q)
		}()
	}
}

func TestMedianDuration(t *testing.T) {
	for _, c := range []struct {
		v    []time.Duration
		want time.Duration
	}{{nil, 0}, {[]time.Duration{5}, 5}, {[]time.Duration{9, 1}, 5}, {[]time.Duration{9, 1, 2}, 2}, {[]time.Duration{4, 1, 9, 2}, 3}} {
		if got := MedianDuration(c.v); got != c.want {
			t.Errorf("%v: %v, want %v", c.v, got, c.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("a median of nothing")
	}
}

// TestMedianOfCounts writes each resample out and sorts it.
func TestMedianOfCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := 1; n <= 12; n++ {
		for range 200 {
			v := slices.Sorted(slices.Values(randoms(rng, n)))
			counts := make([]int, n)
			var drawn []float64
			for range n {
				i := rng.IntN(n)
				counts[i]++
				drawn = append(drawn, v[i])
			}
			if got, want := medianOfCounts(v, counts), Median(drawn); !near(got, want) {
				t.Fatalf("%v by %v: %v, want %v", v, counts, got, want)
			}
		}
	}
}

// TestMedianIntervalCovers draws many samples of a known distribution: the
// interval must hold the true median about as often as it says.
func TestMedianIntervalCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const trials = 60
	hits := 0
	for i := range trials {
		low, high := MedianInterval(randoms(rng, 31), uint64(i))
		if low > high {
			t.Fatalf("[%v, %v]", low, high)
		}
		if low <= 10 && 10 <= high {
			hits++
		}
	}
	if hits < 52 || hits == trials { // 95 %, give or take its own error
		t.Errorf("%d of %d intervals hold the median", hits, trials)
	}
}

func TestMedianIntervalIsSeeded(t *testing.T) {
	v := randoms(rand.New(rand.NewPCG(7, 8)), 20)
	low, high := MedianInterval(v, 1)
	if l, h := MedianInterval(v, 1); l != low || h != high {
		t.Error("the same seed gave another interval")
	}
	if l, h := MedianInterval([]float64{4}, 1); l != 4 || h != 4 {
		t.Errorf("of one value: [%v, %v]", l, h)
	}
	if l, h := MedianInterval(nil, 1); !math.IsNaN(l) || !math.IsNaN(h) {
		t.Errorf("of nothing: [%v, %v]", l, h)
	}
}

func TestSeconds(t *testing.T) {
	if got := Seconds([]time.Duration{time.Second, 250 * time.Millisecond}); !slices.Equal(got, []float64{1, 0.25}) {
		t.Errorf("%v", got)
	}
}
