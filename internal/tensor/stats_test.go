package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestMinMax(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	negNaN := math.Float32frombits(0xffc00001)
	for _, c := range []struct {
		v      []float32
		lo, hi float32
		finite bool
	}{
		{nil, 0, 0, true},
		{[]float32{3}, 3, 3, true},
		{[]float32{-1, -2, -3, -4, -5}, -5, -1, true},
		{[]float32{1e-45, -1e-45}, -1e-45, 1e-45, true},
		{[]float32{math.MaxFloat32, -math.MaxFloat32}, -math.MaxFloat32, math.MaxFloat32, true},
		{[]float32{1, nan, 2, 0, 5}, 0, 5, false},
		{[]float32{1, negNaN}, 1, 1, false},
		{[]float32{1, inf, -inf, -2}, -2, 1, false},
		{[]float32{nan, inf}, 0, 0, false},
	} {
		lo, hi, finite := MinMax(c.v)
		if lo != c.lo || hi != c.hi || finite != c.finite {
			t.Errorf("MinMax(%v) = %g, %g, %v; want %g, %g, %v", c.v, lo, hi, finite, c.lo, c.hi, c.finite)
		}
	}
	if a := AbsMax([]float32{1, -7, 3, 2, -8}); a != 8 {
		t.Errorf("AbsMax = %g", a)
	}
	if a := AbsMax([]float32{1, negNaN, inf}); a == a {
		t.Errorf("AbsMax with NaN = %g", a)
	}
}

func TestAxisStatistics(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, s := range append(affineShapes[1:], Shape{300, 301}) {
		n, _ := s.Elements()
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		for axis := range s {
			size := int(s[axis])
			low, high := make([]float32, size), make([]float32, size)
			n1, n2 := make([]float64, size), make([]float64, size)
			for i := range low {
				low[i], high[i] = math.MaxFloat32, -math.MaxFloat32
			}
			for i, x := range v {
				p := paramOf(s, axis, 0, i)
				low[p], high[p] = min(low[p], x), max(high[p], x)
				n1[p] += math.Abs(float64(x))
				n2[p] += float64(x) * float64(x)
			}
			lo, hi, finite := MinMaxAxis(v, s, axis-len(s)) // counted from the end
			abs := AbsMaxAxis(v, s, axis)
			l1, l2 := NormsAxis(v, s, axis)
			for p := range low {
				if lo[p] != low[p] || hi[p] != high[p] || !finite || abs[p] != max(-low[p], high[p]) {
					t.Fatalf("%v, axis %d, index %d: %g to %g, |%g|", s, axis, p, lo[p], hi[p], abs[p])
				}
				if !near(l1[p], n1[p]) || !near(l2[p], math.Sqrt(n2[p])) {
					t.Fatalf("%v, axis %d, index %d: norms %g, %g; want %g, %g", s, axis, p, l1[p], l2[p], n1[p], math.Sqrt(n2[p]))
				}
			}
		}
	}
	v := []float32{1, 2, float32(math.NaN()), 4}
	abs := AbsMaxAxis(v, Shape{2, 2}, 0)
	if _, _, finite := MinMaxAxis(v, Shape{2, 2}, 0); finite || abs[0] != 2 || abs[1] == abs[1] {
		t.Errorf("with NaN: %v, finite %v", abs, finite)
	}
}

// near allows for another order of summation.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-10*(1+math.Abs(b)) }

func TestCompare(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{1, 2, 3, reduceLen - 1, reduceLen, 3*reduceLen + 1} {
		a, b := make([]float32, n), make([]float32, n)
		var noise, signal, ab, bb float64
		for i := range a {
			a[i] = float32(r.NormFloat64())
			b[i] = a[i] + float32(r.NormFloat64())*0.01
			x, y := float64(a[i]), float64(b[i])
			noise += (x - y) * (x - y)
			signal += x * x
			ab += x * y
			bb += y * y
		}
		if got, want := MSE(a, b), noise/float64(n); !near(got, want) {
			t.Errorf("n %d: MSE %g, want %g", n, got, want)
		}
		if got, want := SQNR(a, b), 10*math.Log10(signal/noise); !near(got, want) {
			t.Errorf("n %d: SQNR %g, want %g", n, got, want)
		}
		if got, want := Cosine(a, b), ab/math.Sqrt(signal*bb); !near(got, want) {
			t.Errorf("n %d: Cosine %g, want %g", n, got, want)
		}
	}
	zero, one := []float32{0, 0}, []float32{1, 0}
	if c := Cosine(zero, zero); c != 1 {
		t.Errorf("cosine of zeros: %g", c)
	}
	if c := Cosine(zero, one); c != 0 {
		t.Errorf("cosine with zero: %g", c)
	}
	if s := SQNR(one, one); !math.IsInf(s, 1) {
		t.Errorf("SQNR without noise: %g", s)
	}
	if m := MSE(nil, nil); m != 0 {
		t.Errorf("MSE of nothing: %g", m)
	}
	if c := Cosine(one, []float32{float32(math.NaN()), 0}); c == c {
		t.Errorf("cosine with NaN: %g", c)
	}
}

// A single subnormal is found wherever it stands, and neither zeros nor the
// numbers around the least normal one are taken for it.
func TestHasSubnormal(t *testing.T) {
	near := []float32{0, float32(math.Copysign(0, -1)), 0x1p-126, -0x1p-126, 1, -1, math.MaxFloat32,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}
	subnormal := []float32{1e-45, -1e-45, 0x1p-127, -0x1p-127, 0x1.fffffcp-127, -0x1.fffffcp-127}
	for _, n := range []int{0, 1, 7, 31, 32, 33, 65, blockLen, blockLen + 40} {
		v := make([]float32, n)
		for i := range v {
			v[i] = near[i%len(near)]
		}
		if HasSubnormal(v) {
			t.Errorf("found one in %d elements without", n)
		}
		for place := 0; place < n; place += 1 + place/50 {
			old := v[place]
			v[place] = subnormal[place%len(subnormal)]
			if !HasSubnormal(v) {
				t.Errorf("%g at %d of %d was not found", v[place], place, n)
			}
			v[place] = old
		}
	}
}
