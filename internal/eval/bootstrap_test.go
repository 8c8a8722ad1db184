package eval

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestBootstrapOfMean: the interval is that of the mean, and shrinks with √n.
func TestBootstrapOfMean(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	width := map[int]float64{}
	for _, n := range []int{100, 1600} {
		v, sum, square := make([]float64, n), 0.0, 0.0
		for i := range v {
			v[i] = 5 + r.NormFloat64()
			sum += v[i]
			square += v[i] * v[i]
		}
		mean := sum / float64(n)
		statistic := func(counts []int32) float64 {
			s := 0.0
			for i, c := range counts {
				s += float64(c) * v[i]
			}
			return s / float64(n)
		}
		a, b := bootstrap(n, 3, mean, statistic), bootstrap(n, 3, mean, statistic)
		if *a != *b {
			t.Errorf("%d values: the same seed gives %+v and %+v", n, a, b)
		}
		half := 1.96 * math.Sqrt((square/float64(n)-mean*mean)/float64(n))
		wantNear(t, "low", a.Low, mean-half, 0.15*half)
		wantNear(t, "high", a.High, mean+half, 0.15*half)
		width[n] = a.High - a.Low
	}
	if ratio := width[100] / width[1600]; ratio < 3 || ratio > 5 {
		t.Errorf("16 times the values make the interval %.2f times as narrow, not 4", ratio)
	}
}

// TestBootstrapEdges: nothing of fewer than two samples, nor where there is mostly
// no value; the estimate is always inside.
func TestBootstrapEdges(t *testing.T) {
	one := func([]int32) float64 { return 1 }
	if i := bootstrap(1, 0, 1, one); i != nil {
		t.Errorf("of one sample: %+v", i)
	}
	if i := bootstrap(9, 0, 1, func([]int32) float64 { return math.NaN() }); i != nil {
		t.Errorf("of no values: %+v", i)
	}
	if i := bootstrap(9, 0, 3, one); i == nil || i.Low != 1 || i.High != 3 {
		t.Errorf("an estimate outside: %+v", i)
	}
}

// TestDraw: as many samples as there are, each as likely as the others.
func TestDraw(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	total, counts := make([]int, 5), make([]int32, 5)
	for range 20_000 {
		draw(counts, rng)
		sum := int32(0)
		for i, c := range counts {
			total[i] += int(c)
			sum += c
		}
		if sum != 5 {
			t.Fatalf("%d samples were drawn", sum)
		}
	}
	for i, n := range total {
		if n < 19_400 || n > 20_600 { // more than four standard errors
			t.Errorf("sample %d was drawn %d times", i, n)
		}
	}
}

// TestMcNemar compares with the sums of binomials.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		lost, gained int
		p            float64
	}{
		{0, 0, 1}, {1, 0, 1}, {3, 3, 1}, {1, 5, 14.0 / 64}, {5, 1, 14.0 / 64}, {0, 10, 2.0 / 1024}, {2, 8, 2 * 56.0 / 1024},
	} {
		if got := newMcNemar(c.lost, c.gained); math.Abs(got.P-c.p) > 1e-12 || got.Lost != c.lost || got.Gained != c.gained {
			t.Errorf("%d and %d: %+v, want %v", c.lost, c.gained, got, c.p)
		}
	}
	if p := newMcNemar(100_000, 110_000).P; !(p > 0 && p < 1e-90) {
		t.Errorf("of many: %v", p)
	}
}

// TestPairedFigures: what two classifiers decide alike, and the interval of what
// is kept.
func TestPairedFigures(t *testing.T) {
	m := echo(-1, 2)
	rows, labels := [][]float32{}, []int{}
	for i := range 40 {
		rows, labels = append(rows, []float32{float32(i % 2), 0.5}), append(labels, 1-i%2)
	}
	other := m.with(func(v []float32) { // wrong for every row that begins with 1
		for i := 0; i < len(v); i += 2 {
			if v[i] == 1 {
				v[i] = 0
			}
		}
	})
	k, err := Against(bg, m, other, labelled(t, m, rows, labels), Options{Batch: 7})
	if err != nil {
		t.Fatal(err)
	}
	if *k.Retention != 0.5 || k.Agreement.Same != 20 || k.Agreement.Of != 40 || k.Agreement.Share() != 0.5 || k.McNemar.Lost != 20 || k.McNemar.Gained != 0 {
		t.Errorf("%+v, %+v, %+v", *k.Retention, k.Agreement, k.McNemar)
	}
	// A share of 40: ± 1.96 · √(0.25/40).
	wantNear(t, "low", k.Interval.Low, 0.345, 0.04)
	wantNear(t, "high", k.Interval.High, 0.655, 0.04)
}
