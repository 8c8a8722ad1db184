package eval

import (
	"math"
	"math/rand/v2"
	"testing"
)

// forms runs a test with every form of the loops that this build and processor
// have.
func forms(t *testing.T, f func(t *testing.T)) {
	for _, form := range vectorForms() {
		t.Run(form.name, func(t *testing.T) {
			defer form.use()()
			f(t)
		})
	}
}

// row makes up logits.
func row(r *rand.Rand, n int, spread float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(spread * r.NormFloat64())
	}
	return v
}

// TestSums compares with sums by math.Exp, around every multiple of the widths.
func TestSums(t *testing.T) {
	forms(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for n := 1; n < 140; n++ {
			for _, spread := range []float64{0, 0.1, 3, 200, 1e30} {
				x, y := row(r, n, spread), row(r, n, min(spread, 1e6))
				topX, topY := extentOf(x).top, extentOf(y).top
				sum, diff, size := 0.0, 0.0, 0.0
				for i := range x {
					u, w := float64(x[i])-float64(topX), float64(y[i])-float64(topY)
					sum += math.Exp(u)
					diff += math.Exp(u) * (u - w)
					size += math.Exp(u) * math.Abs(u-w)
				}
				wantNear(t, "sum", sumExp(x, topX), sum, 1e-11*sum)
				if spread > 1e6 {
					continue // u − w would have no digits left
				}
				s, d := sumExpDiff(x, y, topX, topY)
				wantNear(t, "sum beside a difference", s, sum, 1e-11*sum)
				wantNear(t, "difference", d, diff, 1e-11*(size+1e-300))
			}
		}
	})
}

// TestSumInfinite: elements that are ruled out add nothing.
func TestSumInfinite(t *testing.T) {
	forms(t, func(t *testing.T) {
		x := make([]float32, 100)
		for i := range x {
			x[i] = float32(math.Inf(-1))
		}
		x[37], x[70] = 2, 2
		wantNear(t, "sum", sumExp(x, 2), 2, 1e-11)
	})
}

// TestExtent: the greatest element, NaN and infinities, wherever they are.
func TestExtent(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	forms(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for n := 1; n < 100; n++ {
			v := row(r, n, 5)
			top := v[argmax(v)]
			if e := extentOf(v); e.top != top || e.nan() || !e.finite() {
				t.Fatalf("%d elements: %+v, top %v", n, e, top)
			}
			if at := index(v, top); at != argmax(v) {
				t.Fatalf("%d elements: the greatest at %d, not %d", n, at, argmax(v))
			}
			at := r.IntN(n)
			for _, c := range []struct {
				x           float32
				nan, finite bool
			}{{nan, true, false}, {-nan, true, false}, {inf, false, false}, {-inf, false, false}} {
				w := append([]float32(nil), v...)
				w[at] = c.x
				if e := extentOf(w); e.nan() != c.nan || e.finite() != c.finite || c.x == inf && e.top != inf {
					t.Fatalf("%v at %d of %d: %+v", c.x, at, n, e)
				}
			}
		}
		if at := index([]float32{1, 2, 3}, 9); at >= 0 {
			t.Errorf("what is not there is at %d", at)
		}
	})
}

// TestExp holds the error that the comment states.
func TestExp(t *testing.T) {
	for x := -707.9; x < 0; x += 0.0137 {
		if got, want := exp(x), math.Exp(x); math.Abs(got/want-1) > 1e-11 {
			t.Fatalf("e^%v = %v, not %v", x, got, want)
		}
	}
	if exp(-1e300) > 1e-300 || exp(0) != 1 {
		t.Errorf("e^-1e300 = %v, e^0 = %v", exp(-1e300), exp(0))
	}
}

func BenchmarkSumExp(b *testing.B) {
	x := row(rand.New(rand.NewPCG(1, 1)), 2048, 3)
	b.SetBytes(4 * 2048)
	for b.Loop() {
		sumExp(x, extentOf(x).top)
	}
}
