package rounding

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

// publishedSparse is SparseGPT as its authors wrote it, in float64: the upper Cholesky
// factor of the inverse, a mask for each block of 128 columns (or at every M-th column), and
// after each column the update of those to come.
func publishedSparse(w []float32, h []float32, rows, k int, p Pattern, damp float64) []float64 {
	m := make([][]float64, k)
	mean := 0.0
	for i := range k {
		mean += float64(h[i*k+i]) / float64(k)
	}
	for i := range m {
		m[i] = make([]float64, k)
		for j := range m[i] {
			m[i][j] = float64(h[i*k+j])
		}
		m[i][i] += damp * mean
	}
	u := upperCholesky(inverse(m))
	v := make([]float64, len(w))
	for i, x := range w {
		v[i] = float64(x)
	}
	gone := make([]bool, len(w))
	mark := func(cells []int, count int) {
		sort.SliceStable(cells, func(a, b int) bool {
			x, y := v[cells[a]]/u[cells[a]%k][cells[a]%k], v[cells[b]]/u[cells[b]%k][cells[b]%k]
			return x*x < y*y
		})
		for _, c := range cells[:count] {
			gone[c] = true
		}
	}
	zeros := 0
	for from := 0; from < k; from += 128 {
		to := min(from+128, k)
		if p.M == 0 {
			var cells []int
			for r := range rows {
				for c := from; c < to; c++ {
					cells = append(cells, r*k+c)
				}
			}
			count := int(math.Round(p.Share*float64(rows*to))) - zeros
			zeros += count
			mark(cells, count)
		}
		for c := from; c < to; c++ {
			if p.M > 0 && c%p.M == 0 {
				for r := range rows {
					var cells []int
					for i := c; i < min(c+p.M, k); i++ {
						cells = append(cells, r*k+i)
					}
					mark(cells, len(cells)-(len(cells)*p.N+p.M-1)/p.M)
				}
			}
			for r := range rows {
				q := v[r*k+c]
				if gone[r*k+c] {
					q = 0
				}
				e := (v[r*k+c] - q) / u[c][c]
				for j := c; j < k; j++ {
					v[r*k+j] -= e * u[c][j]
				}
				v[r*k+c] = q
			}
		}
	}
	return v
}

// TestPrune compares with the published sweep, which costs more and inverts the Hessian.
func TestPrune(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 3))
	for _, c := range []struct {
		rows, k int
		pattern Pattern
	}{
		{1, 1, Pattern{Share: 0}}, {5, 16, Pattern{Share: 0.5}}, {12, 130, Pattern{Share: 0.7}}, {6, 300, Pattern{Share: 0.5}}, {3, 17, Pattern{Share: 0.999}},
		{4, 64, Pattern{N: 2, M: 4}}, {7, 264, Pattern{N: 4, M: 8}}, {3, 21, Pattern{N: 2, M: 4}},
	} {
		t.Run(fmt.Sprint(c.rows, c.k, c.pattern), func(t *testing.T) {
			_, h := inputs(r, 3*c.k, c.k)
			w := normal(r, c.rows*c.k)
			f, err := NewFactor(h, c.k, 0.01, false, Plain)
			if err != nil {
				t.Fatal(err)
			}
			got, want := f.Prune(w, c.rows, c.pattern), publishedSparse(w, h, c.rows, c.k, c.pattern, 0.01)
			zeros := 0
			for i, x := range got {
				if x == 0 {
					zeros++
				}
				if math.Abs(float64(x)-want[i]) > 1e-5 {
					t.Fatalf("weight %d of row %d is %g, as published %g", i%c.k, i/c.k, x, want[i])
				}
			}
			if exact := int(math.Round(c.pattern.Share * float64(len(w)))); c.pattern.M == 0 && zeros != exact {
				t.Errorf("%d zeros, not %d", zeros, exact)
			}
		})
	}
}

// TestPruneDead: inputs that are always 0 need no weights; the rest is pruned as before.
func TestPruneDead(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 6))
	_, h := inputs(r, 100, 24)
	for i := range 24 {
		h[5*24+i], h[i*24+5] = 0, 0
	}
	f, err := NewFactor(h, 24, 0.01, false, Plain)
	if err != nil {
		t.Fatal(err)
	}
	got := f.Prune(normal(r, 4*24), 4, Pattern{Share: 0.25})
	zeros := 0
	for i, x := range got {
		if i%24 == 5 && x != 0 || math.IsNaN(float64(x)) {
			t.Errorf("weight %d of row %d is %g", i%24, i/24, x)
		}
		if x == 0 {
			zeros++
		}
	}
	if zeros != 24 {
		t.Errorf("%d zeros, not 24", zeros)
	}
}
