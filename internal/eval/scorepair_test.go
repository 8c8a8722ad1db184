package eval

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A model and itself: nothing diverges, to the last bit, whatever the width of a row
// and the form of the loops.
func TestEqualModelsDivergeNowhere(t *testing.T) {
	m := language(lentVocab)
	list := randomTexts(rand.New(rand.NewPCG(2, 7)), 20, 20, 20)
	forms(t, func(t *testing.T) {
		k, err := Against(bg, m, m, records(t, m, list...), Options{})
		if err != nil {
			t.Fatal(err)
		}
		d := k.Divergence
		if *k.Retention != 1 || *k.Interval != (Interval{1, 1}) || d.SameTop != (Estimate{1, 0}) || d.LogRatio != (Estimate{}) ||
			d.RMS != (Estimate{}) || *d.KL != (Spread{}) || d.DeltaP != (Spread{}) {
			t.Errorf("%v, %+v, %+v, %+v", *k.Retention, k.Interval, d, d.KL)
		}
		r := rand.New(rand.NewPCG(3, 3))
		for n := 1; n < 70; n++ {
			x, y := row(r, n, 3), row(r, n, 3)
			ex, ey := extentOf(x), extentOf(y)
			if sum, _ := sumExpDiff(x, y, ex.top, ey.top); sum != sumExp(x, ex.top) {
				t.Errorf("%d elements: %v beside another row, %v alone", n, sum, sumExp(x, ex.top))
			}
		}
	})
}

// Whoever has NaN, or logits without a likelihood, is named, not the other.
func TestDivergenceBlamesTheRightModel(t *testing.T) {
	m := language(lentVocab)
	set := records(t, m, map[string]any{"input_ids": []int{1, 2, 3}})
	third := func(to float64) function {
		return logitsWith(func(id int, x float32) float32 {
			if id == 3 {
				return float32(to)
			}
			return x
		})
	}
	nan, inf, never := third(math.NaN()), third(math.Inf(1)), third(math.Inf(-1))
	for _, tt := range []struct {
		a, b  function
		words []string
	}{
		{nan, m, []string{"the source", "NaN"}}, {m, nan, []string{"the result", "NaN"}},
		{inf, m, []string{"the source", "infinite logits"}}, {m, inf, []string{"the result", "infinite logits"}},
		{inf, nan, []string{"the source", "infinite logits"}}, {m, never, []string{"the result", "the value is +Inf"}},
	} {
		_, err := Against(bg, tt.a, tt.b, set, Options{})
		wantError(t, err, false, tt.words...)
	}
}

// Terms that come to 0 in float64 are 0, also where the model rules the id out.
func TestMaskedDiff(t *testing.T) {
	inf := float32(math.Inf(-1))
	x, y := []float32{3, 2, inf, inf, -1e4}, []float32{5, 3, inf, 1, inf}
	wantNear(t, "sum", maskedDiff(x, y, 3, 5), math.Exp(-1)*(-1+2), 1e-12)
	y[1] = inf
	if d := maskedDiff(x, y, 3, 5); !math.IsInf(d, 1) {
		t.Errorf("possible here and ruled out there: %v", d)
	}
}
