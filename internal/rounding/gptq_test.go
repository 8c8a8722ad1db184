package rounding

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// inputs returns n correlated inputs of k columns and their Σ x·xᵀ.
func inputs(r *rand.Rand, n, k int) (x []float64, h []float32) {
	x = make([]float64, n*k)
	mix := make([]float64, k*k)
	for i := range mix {
		mix[i] = r.NormFloat64() * math.Exp(r.NormFloat64()) / math.Sqrt(float64(k))
	}
	for i := range n {
		z := make([]float64, k)
		for j := range z {
			z[j] = r.NormFloat64()
		}
		for j := range k {
			for t := range k {
				x[i*k+j] += z[t] * mix[t*k+j]
			}
		}
	}
	h = make([]float32, k*k)
	for i := range k {
		for j := range k {
			s := 0.0
			for t := range n {
				s += x[t*k+i] * x[t*k+j]
			}
			h[i*k+j] = float32(s)
		}
	}
	return x, h
}

func normal(r *rand.Rand, n int) []float32 {
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(r.NormFloat64() * 0.05)
	}
	return w
}

// published is GPTQ as its authors wrote it: the upper Cholesky factor of the
// inverse, and after each column the update of those to come; in float64.
func published(w []float32, g *Grid, h []float32, order []int, damp float64) []byte {
	k := g.K
	m := make([][]float64, k)
	mean := 0.0
	for i := range k {
		mean += float64(h[i*k+i]) / float64(k)
	}
	for i := range m {
		m[i] = make([]float64, k)
		for j := range m[i] {
			m[i][j] = float64(h[order[i]*k+order[j]])
		}
		m[i][i] += damp * mean
	}
	u := upperCholesky(inverse(m))
	lo, hi, _ := g.bounds()
	codes := make([]byte, len(w))
	for r := range g.Rows {
		v := make([]float64, k)
		for i, c := range order {
			v[i] = float64(w[r*k+c])
		}
		scales, zeros := g.row(r)
		for i, c := range order {
			s, z := float64(scales[c/g.Block]), float64(zeros[c/g.Block])
			q := math.RoundToEven(min(max(v[i]/s, float64(lo)-z), float64(hi)-z))
			codes[r*k+c] = byte(q + z)
			e := (v[i] - q*s) / u[i][i]
			for j := i; j < k; j++ {
				v[j] -= e * u[i][j]
			}
		}
	}
	return codes
}

func inverse(m [][]float64) [][]float64 {
	n := len(m)
	a := make([][]float64, n)
	for i := range a {
		a[i] = append(append([]float64{}, m[i]...), make([]float64, n)...)
		a[i][n+i] = 1
	}
	for i := range n {
		p := i
		for j := i; j < n; j++ {
			if math.Abs(a[j][i]) > math.Abs(a[p][i]) {
				p = j
			}
		}
		a[i], a[p] = a[p], a[i]
		d := a[i][i]
		for t := range a[i] {
			a[i][t] /= d
		}
		for j := range n {
			if f := a[j][i]; j != i && f != 0 {
				for t := range a[j] {
					a[j][t] -= f * a[i][t]
				}
			}
		}
	}
	for i := range a {
		a[i] = a[i][n:]
	}
	return a
}

// upperCholesky returns U of m = Uᵀ·U.
func upperCholesky(m [][]float64) [][]float64 {
	n := len(m)
	u := make([][]float64, n)
	for i := range u {
		u[i] = make([]float64, n)
	}
	for i := range n {
		d := m[i][i]
		for t := range i {
			d -= u[t][i] * u[t][i]
		}
		u[i][i] = math.Sqrt(d)
		for j := i + 1; j < n; j++ {
			s := m[i][j]
			for t := range i {
				s -= u[t][i] * u[t][j]
			}
			u[i][j] = s / u[i][i]
		}
	}
	return u
}

// TestGPTQ: the nearest plane gives the codes of the published sweep, but for
// values that lie on the border of two codes, and the same output error.
func TestGPTQ(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range []int{16, 31, 64, 127, 128, 129, 200} {
		for _, order := range []bool{false, true} {
			t.Run(fmt.Sprint(k, order), func(t *testing.T) {
				const rows = 9
				w := normal(r, rows*k)
				x, h := inputs(r, 2*k, k)
				g, err := Scheme{Bits: 4, Block: 32}.Fit(w, k, nil)
				if err != nil {
					t.Fatal(err)
				}
				f, err := NewFactor(h, k, 0.01, order, Plain)
				if err != nil {
					t.Fatal(err)
				}
				got := f.Round(w, &g)
				columns := make([]int, k)
				for i, c := range f.order {
					columns[k-1-i] = c
				}
				want := published(w, &g, h, columns, 0.01)
				other := 0
				for i := range got {
					if got[i] != want[i] {
						other++
					}
				}
				a, b := outputError(&g, w, got, x), outputError(&g, w, want, x)
				if other > len(got)/50 || math.Abs(a/b-1) > 0.02 || other == 0 && math.Abs(a/b-1) > 1e-5 {
					t.Errorf("%d of %d codes differ, error %g and %g", other, len(got), a, b)
				}
				nearest := make([]byte, len(w))
				g.Round(nearest, w)
				if c := outputError(&g, w, nearest, x); a > c {
					t.Errorf("GPTQ's error is %g, that of rounding to nearest %g", a, c)
				}
			})
		}
	}
}

// outputError is Σ |(w − restored)·x|².
func outputError(g *Grid, w []float32, codes []byte, x []float64) float64 {
	v := make([]float32, len(w))
	g.Restore(v, codes)
	sum := 0.0
	for r := range g.Rows {
		for t := 0; t < len(x); t += g.K {
			d := 0.0
			for j := range g.K {
				d += float64(w[r*g.K+j]-v[r*g.K+j]) * x[t+j]
			}
			sum += d * d
		}
	}
	return sum
}

// TestGPTQBruteForce: on a layer that is small enough to try all codes.
func TestGPTQBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	better := 0
	const rounds, k = 60, 4
	for range rounds {
		w := normal(r, k)
		x, h := inputs(r, 12, k)
		g, err := Scheme{Bits: 2, Block: 16}.Fit(w, k, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := NewFactor(h, k, 1e-6, true, Plain)
		if err != nil {
			t.Fatal(err)
		}
		got := outputError(&g, w, f.Round(w, &g), x)
		best := math.Inf(1)
		for all := range 1 << (2 * k) {
			codes := make([]byte, k)
			for j := range codes {
				codes[j] = byte(all >> (2 * j) & 3)
			}
			best = min(best, outputError(&g, w, codes, x))
		}
		nearest := make([]byte, k)
		g.Round(nearest, w)
		if got < best*(1-1e-5) {
			t.Fatalf("error %g is below the least possible, %g", got, best)
		}
		if got <= outputError(&g, w, nearest, x)*(1+1e-6) {
			better++
		}
	}
	if better < rounds*8/10 {
		t.Errorf("as good as rounding to nearest in %d of %d only", better, rounds)
	}
}

func TestFactorRefuses(t *testing.T) {
	const k = 20
	r := rand.New(rand.NewPCG(5, 6))
	if _, err := NewFactor(make([]float32, k*k), k, 0.01, true, Plain); err == nil {
		t.Error("a Hessian of zeros")
	}
	_, h := inputs(r, 3, k) // rank 3
	if _, err := NewFactor(h, k, 0.01, true, Plain); err != nil {
		t.Fatal("a singular Hessian that damping makes regular:", err)
	}
	h[3*k+3] = float32(math.NaN())
	if _, err := NewFactor(h, k, 0.01, true, Plain); err == nil {
		t.Error("NaN on the diagonal")
	}
	_, h = inputs(r, 40, k)
	for j := range k { // column 7 is never reached
		h[7*k+j], h[j*k+7] = 0, 0
	}
	f, err := NewFactor(h, k, 0.01, true, Plain)
	if err != nil {
		t.Fatal(err)
	}
	w := normal(r, k)
	g, err := Scheme{Bits: 4, Block: 16}.Fit(w, k, nil)
	if err != nil {
		t.Fatal(err)
	}
	if codes := f.Round(w, &g); codes[7] != g.Zeros[0] {
		t.Errorf("a dead column has code %d, zero is %d", codes[7], g.Zeros[0])
	}
}
