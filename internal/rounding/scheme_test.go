package rounding

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/tensor"
)

// schemes are all widths, symmetric or not, searched or not.
func schemes() []Scheme {
	var out []Scheme
	for bits := 2; bits <= 8; bits++ {
		for i := range 4 {
			out = append(out, Scheme{Bits: bits, Block: 16 << (bits % 3), Symmetric: i&1 > 0, Search: i&2 > 0})
		}
	}
	return out
}

// weights are rows of k numbers with outliers, a block of zeros, one that is
// constant and one of subnormal numbers.
func weights(r *rand.Rand, rows, k int) []float32 {
	w := normal(r, rows*k)
	for i := range w {
		if r.IntN(50) == 0 {
			w[i] *= 8
		}
	}
	for i := range min(16, k) {
		w[i] = 0
		if rows > 2 {
			w[k+i], w[2*k+i] = -0.25, 1e-41
		}
	}
	return w
}

// TestFit: codes stay in their range, restored values within half a step where
// nothing is cut off, and searching is never worse than not.
func TestFit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range schemes() {
		for _, k := range []int{1, s.Block - 1, s.Block, s.Block + 1, 3*s.Block + 5} {
			w := weights(r, 4, k)
			g, err := s.Fit(w, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			codes := make([]byte, len(w))
			g.Round(codes, w)
			lo, hi, middle := s.bounds()
			for i, c := range codes {
				if int(c) < lo || int(c) > hi || int(c)>>s.Storage() != 0 {
					t.Fatalf("%+v: code %d at %d", s, c, i)
				}
			}
			if s.Symmetric && slices.ContainsFunc(g.Zeros, func(z uint8) bool { return int(z) != middle }) {
				t.Fatalf("%+v: zero points % d", s, g.Zeros)
			}
			restored := make([]float32, len(w))
			g.Restore(restored, codes)
			plain := s
			plain.Search = false
			p, err := plain.Fit(w, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range w {
				step := math.Abs(float64(p.Scales[i/k*s.Blocks(k)+i%k/s.Block]))
				if d := math.Abs(float64(restored[i] - x)); !s.Search && d > step*0.5001 {
					zero := i%k/s.Block*s.Block == 0 && i < k
					if !s.Symmetric && !zero && d <= step*1.0001 {
						continue // an end may be cut off where the zero point was rounded
					}
					if s.Symmetric && d <= step*1.0001 {
						continue // the positive end has one code less
					}
					t.Fatalf("%+v k %d: element %d, %g, restored as %g with steps of %g", s, k, i, x, restored[i], step)
				}
			}
			nearest := make([]byte, len(w))
			p.Round(nearest, w)
			if a, b := g.Error(w, codes, nil), p.Error(w, nearest, nil); a > b*(1+1e-6) {
				t.Errorf("%+v k %d: searched %g, plain %g", s, k, a, b)
			}
		}
	}
}

// TestPlain: with 8, 4 and 2 bits a plain grid is that of tensor.QuantizeNBits.
func TestPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, bits := range []int{2, 4, 8} {
		for _, symmetric := range []bool{false, true} {
			const rows, k, block = 5, 70, 32
			w := weights(r, rows, k)
			s := Scheme{Bits: bits, Block: block, Symmetric: symmetric}
			g, err := s.Fit(w, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			want, err := tensor.QuantizeNBits(w, rows, k, tensor.NBitsScheme{Bits: bits, Block: block, Symmetric: symmetric})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(g.Scales, want.Scales) {
				t.Errorf("%d bits, symmetric %v: other scales", bits, symmetric)
			}
			codes := make([]byte, len(w))
			g.Round(codes, w)
			b, _, err := tensor.PackNBits(codes, g.Zeros, rows, k, bits, block)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(b, want.B) {
				t.Errorf("%d bits, symmetric %v: other codes", bits, symmetric)
			}
		}
	}
}

// TestSearchBest: on small blocks the search is near the best of a fine grid over
// scales and all zero points.
func TestSearchBest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	sum, best := 0.0, 0.0
	for range 40 {
		w := normal(r, 16)
		c := make([]float32, 16)
		for i := range c {
			c[i] = float32(r.ExpFloat64())
		}
		s := Scheme{Bits: 3, Block: 16, Search: true}
		g, err := s.Fit(w, 16, c)
		if err != nil {
			t.Fatal(err)
		}
		codes := make([]byte, 16)
		g.Round(codes, w)
		sum += g.Error(w, codes, c)
		least := math.Inf(1)
		f := newFitter(s)
		lo, hi, _ := tensor.MinMax(w)
		for step := range 400 {
			scale := (hi - lo) / 7 * (0.4 + 0.002*float32(step))
			for z := range 8 {
				least = min(least, f.exact(w, c, scale, z))
			}
		}
		best += least
	}
	if sum > 1.08*best {
		t.Errorf("searched error %g, the best is %g", sum, best)
	}
}

// TestPanels: rows do not depend on each other.
func TestPanels(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	const rows, k = 6, 50
	w := weights(r, rows, k)
	for _, s := range schemes() {
		for name, fit := range map[string]func([]float32, int, []float32) (Grid, error){"fit": s.Fit, "hqq": s.HQQ} {
			all, err := fit(w, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			for r := range rows {
				one, err := fit(w[r*k:(r+1)*k], k, nil)
				if err != nil {
					t.Fatal(err)
				}
				scales, zeros := all.row(r)
				if !slices.Equal(one.Scales, scales) || !slices.Equal(one.Zeros, zeros) {
					t.Fatalf("%s %+v: row %d alone has another grid", name, s, r)
				}
			}
		}
	}
}

func TestFitRefuses(t *testing.T) {
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		w := make([]float32, 40)
		w[33] = float32(x)
		_, err := Scheme{Bits: 4, Block: 16}.Fit(w, 20, nil)
		if !errors.Is(err, tensor.ErrNotFinite) || err.Error()[:10] != "element 33" {
			t.Errorf("%v: %v", x, err)
		}
	}
	for _, s := range []Scheme{{Bits: 1, Block: 16}, {Bits: 9, Block: 16}, {Bits: 4, Block: 8}, {Bits: 4, Block: 48}} {
		if _, err := s.Fit(make([]float32, 16), 16, nil); err == nil {
			t.Errorf("%+v: no error", s)
		}
	}
	if _, err := (Scheme{Bits: 4, Block: 16}).Fit(make([]float32, 15), 16, nil); err == nil {
		t.Error("15 values in rows of 16")
	}
}

// proximal is HQQ's loop as its authors wrote it, in float64: w, its inverse
// scale and its zero point; it returns the fitted zero point, and how far every decision on
// the way was from going the other way: values between two codes, and the end of the loop.
func proximal(w []float64, s, z float64, top float64) (zero, clear float64) {
	beta, best := 10.0, math.Inf(1)
	kept := z
	clear = 1
	for range 20 {
		sum, err := 0.0, 0.0
		for _, x := range w {
			q := min(max(math.RoundToEven(x*s+z), 0), top)
			if at := x*s + z; at > -0.5 && at < top+0.5 {
				clear = min(clear, math.Abs(at-math.Floor(at)-0.5))
			}
			d := x - (q-z)/s
			err += math.Abs(d) / float64(len(w))
			e := math.Max(math.Abs(d)-math.Pow(math.Abs(d), -0.3)/beta, 0)
			sum += q - (x-math.Copysign(e, d))*s
		}
		if !math.IsInf(best, 1) {
			clear = min(clear, math.Abs(err/best-1))
		}
		if err >= best {
			break
		}
		best, kept = err, z
		z = sum / float64(len(w))
		beta *= 1.01
	}
	return kept, clear
}

// TestHQQ: the fitted zero points are those of the published loop, and no block
// is worse than what Fit gives.
func TestHQQ(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	better, compared := 0, 0
	for i := range 200 {
		w := normal(r, 32)
		for j := range w {
			w[j] = w[j]*float32(1+i%40) + 0.03*float32(i%7) // also where errors are large enough to shrink
		}
		s := Scheme{Bits: 2 + i%3, Block: 32}
		f := newFitter(s)
		lo, hi, _ := tensor.MinMax(w)
		scale, zero := s.plain(lo, hi)
		wide := make([]float64, len(w))
		for j, x := range w {
			wide[j] = float64(x)
		}
		got := float64(f.halfQuadratic(w, scale, float32(zero)))
		want, clear := proximal(wide, 1/float64(scale), float64(zero), float64(f.hi))
		if clear > 1e-4 { // else float32 may decide otherwise than float64
			compared++
			if math.Abs(got-want) > 1e-5*max(1, math.Abs(want)) {
				t.Fatalf("%d: zero point %g, want %g", i, got, want)
			}
		}
		fit, err := s.Fit(w, 32, nil)
		if err != nil {
			t.Fatal(err)
		}
		hqq, err := s.HQQ(w, 32, nil)
		if err != nil {
			t.Fatal(err)
		}
		codes := make([]byte, 32)
		fit.Round(codes, w)
		a := fit.Error(w, codes, nil)
		hqq.Round(codes, w)
		b := hqq.Error(w, codes, nil)
		if b > a*(1+1e-6) {
			t.Fatalf("%d: HQQ's error %g, rounding to nearest %g", i, b, a)
		}
		if b < a {
			better++
		}
	}
	if compared < 20 {
		t.Errorf("only %d of 200 were compared", compared)
	}
	if better < 20 {
		t.Errorf("better in %d of 200 only", better)
	}
}

// TestFactors compares with the published formula on numbers that are easily
// checked.
func TestFactors(t *testing.T) {
	list := Factors([]float32{1, 4, 16, 0})
	for i, f := range list[0] {
		if f != 1 && i < 3 {
			t.Errorf("factor %d of r = 0 is %v", i, f)
		}
	}
	half := list[10] // r = 0.5: 1, 2, 4, 1e-4 over √(4·1e-4)
	for i, want := range []float64{50, 100, 200, 0.005} {
		if math.Abs(float64(half[i])/want-1) > 1e-5 {
			t.Errorf("factor %d of r = 0.5 is %v, want %v", i, half[i], want)
		}
	}
}

// TestOutputError compares the trace with the outputs themselves.
func TestOutputError(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	const rows, k = 3, 10
	w, v := normal(r, rows*k), normal(r, rows*k)
	x, h := inputs(r, 30, k)
	want := 0.0
	for i := range rows {
		for t := 0; t < len(x); t += k {
			d := 0.0
			for j := range k {
				d += float64(w[i*k+j]-v[i*k+j]) * x[t+j]
			}
			want += d * d
		}
	}
	if got := OutputError(w, v, h, k, Plain); math.Abs(got/want-1) > 1e-4 {
		t.Errorf("%g, want %g", got, want)
	}
}

func BenchmarkFit(b *testing.B) {
	w := normal(rand.New(rand.NewPCG(7, 7)), 64*1024)
	for _, s := range []Scheme{{Bits: 4, Block: 128}, {Bits: 4, Block: 128, Search: true}, {Bits: 4, Block: 128, Symmetric: true, Search: true}} {
		b.Run(fmt.Sprint(s.Symmetric, s.Search), func(b *testing.B) {
			b.SetBytes(int64(4 * len(w)))
			for b.Loop() {
				if _, err := s.Fit(w, 1024, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("hqq", func(b *testing.B) {
		b.SetBytes(int64(4 * len(w)))
		for b.Loop() {
			if _, err := (Scheme{Bits: 4, Block: 128, Search: true}).HQQ(w, 1024, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Error returns Σ importance·(w − restored)² over all rows; nil importance
// counts every column once.
func (g *Grid) Error(w []float32, codes []byte, importance []float32) float64 {
	v := make([]float32, len(w))
	g.Restore(v, codes)
	sum := 0.0
	for i, x := range w {
		d := float64(x - v[i])
		if importance != nil {
			d *= d * float64(importance[i%g.K])
		} else {
			d *= d
		}
		sum += d
	}
	return sum
}

// TestAWQBruteForce: of AWQ's factors the one of least error is that which the published
// search finds by running the layer: inputs divided, weights multiplied and rounded, outputs
// compared in float64.
func TestAWQBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	const rows, k, samples = 4, 16, 40
	s := Scheme{Bits: 3, Block: 16}
	for round := range 20 {
		w := normal(r, rows*k)
		x, h := inputs(r, samples, k)
		mean := make([]float32, k)
		for i, v := range x {
			mean[i%k] += float32(math.Abs(v) / samples)
		}
		best, want := -1, -1
		least, smallest := math.Inf(1), math.Inf(1)
		for i, factors := range Factors(mean) {
			scaled := Multiply(w, factors)
			g, err := s.Fit(scaled, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			codes, restored := make([]byte, len(w)), make([]float32, len(w))
			g.Round(codes, scaled)
			g.Restore(restored, codes)
			exact := 0.0
			for row := range rows {
				for at := 0; at < len(x); at += k {
					before, after := 0.0, 0.0
					for j := range k {
						before += float64(w[row*k+j]) * x[at+j]
						after += float64(restored[row*k+j]) * (x[at+j] / float64(factors[j]))
					}
					exact += (after - before) * (after - before)
				}
			}
			for j := range restored {
				restored[j] /= factors[j%k]
			}
			got := OutputError(w, restored, h, k, Plain)
			if math.Abs(got/exact-1) > 1e-4 {
				t.Fatalf("%d, factors %d: error %g, not %g", round, i, got, exact)
			}
			if got < least {
				best, least = i, got
			}
			if exact < smallest {
				want, smallest = i, exact
			}
		}
		if best != want {
			t.Errorf("%d: factors %d, not %d", round, best, want)
		}
	}
}
