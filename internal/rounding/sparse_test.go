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

// TestPruneThenRound: GPTQ leaves zeros zero, and after pruning loses no more than the
// published sweep that prunes and rounds at once, whose grid is that of all weights.
func TestPruneThenRound(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 3))
	ratio, cases := 0.0, 0.0
	for _, pattern := range []Pattern{{Share: 0.5}, {Share: 0.8}, {N: 2, M: 4}} {
		for _, k := range []int{32, 64, 100, 130, 200} {
			const rows = 6
			x, h := inputs(r, 3*k, k)
			w := normal(r, rows*k)
			f, err := NewFactor(h, k, 0.01, false, Plain)
			if err != nil {
				t.Fatal(err)
			}
			fit := func(w []float32) *Grid {
				g, err := Scheme{Bits: 4, Block: 32, Search: true}.Fit(w, k, nil)
				if err != nil {
					t.Fatal(err)
				}
				return &g
			}
			both := newRounder(f, fit(w))
			f.prune(w, rows, pattern, both.round)

			pruned := f.Prune(w, rows, pattern)
			g := fit(pruned)
			codes := f.Round(pruned, g)
			ratio += math.Log(outputError(g, w, codes, x) / outputError(both.grid, w, both.codes, x))
			cases++
			kept := make([]float32, len(w))
			g.Restore(kept, codes)
			for i, v := range pruned {
				if v == 0 && kept[i] != 0 {
					t.Fatalf("%v, %d: GPTQ made %g of the zero at %d", pattern, k, kept[i], i)
				}
			}
		}
	}
	t.Logf("one after the other has %.3f of the error of both at once", math.Exp(ratio/cases))
	if ratio > 0 {
		t.Error("one after the other is worse")
	}
}

// TestPruneDead: weights of inputs that are always 0 go first, however many there are, and
// the others are pruned as without them; in all exactly the share is zero.
func TestPruneDead(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 6))
	const rows, k = 3, 300
	for name, dead := range map[string]func(c int) bool{
		"one": func(c int) bool { return c == 5 }, "first": func(c int) bool { return c < 140 }, "last": func(c int) bool { return c >= 160 },
		"even": func(c int) bool { return c%2 == 0 }, "most": func(c int) bool { return c%10 != 3 },
	} {
		_, h := inputs(r, 2*k, k)
		count := 0
		for c := range k {
			if dead(c) {
				count += rows
				for i := range k {
					h[c*k+i], h[i*k+c] = 0, 0
				}
			}
		}
		f, err := NewFactor(h, k, 0.01, false, Plain)
		if err != nil {
			t.Fatal(err)
		}
		for _, share := range []float64{0.05, 0.25, 0.5, 0.77, 0.97} {
			w := normal(r, rows*k)
			zeros, ofDead := 0, 0
			for i, v := range f.Prune(w, rows, Pattern{Share: share}) {
				switch {
				case v == 0 && dead(i%k):
					ofDead++
					fallthrough
				case v == 0:
					zeros++
				case math.IsNaN(float64(v)) || dead(i%k) && v != w[i]:
					t.Fatalf("%s, %g: weight %d of row %d was %g and is %g", name, share, i%k, i/k, w[i], v)
				}
			}
			if want := int(math.Round(share * rows * k)); zeros != want || ofDead != min(want, count) {
				t.Errorf("%s, %g: %d zeros, not %d; %d of %d without input", name, share, zeros, want, ofDead, count)
			}
		}
	}
}

// TestPruneDeadApart: weights of other columns are what they are without the dead ones.
func TestPruneDeadApart(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 6))
	const rows, k = 4, 40
	_, h := inputs(r, 3*k, k)
	w := normal(r, rows*k)
	wide, wider := make([]float32, rows*2*k), make([]float32, 4*k*k) // every second column is dead
	for i := range k {
		for j := range k {
			wider[2*i*2*k+2*j] = h[i*k+j]
		}
		for row := range rows {
			wide[row*2*k+2*i], wide[row*2*k+2*i+1] = w[row*k+i], 1
		}
	}
	for _, c := range []struct{ apart, with Pattern }{{Pattern{Share: 0.5}, Pattern{Share: 0.75}}, {Pattern{N: 1, M: 2}, Pattern{N: 1, M: 4}}} {
		f, err := NewFactor(h, k, 0.02, false, Plain)
		if err != nil {
			t.Fatal(err)
		}
		g, err := NewFactor(wider, 2*k, 0.04, false, Plain) // of a mean that is half as large
		if err != nil {
			t.Fatal(err)
		}
		want, got := f.Prune(w, rows, c.apart), g.Prune(wide, rows, c.with)
		for i, x := range want {
			if y := got[i/k*2*k+i%k*2]; math.Abs(float64(x-y)) > 1e-5 {
				t.Fatalf("%v: weight %d of row %d is %g, without dead columns %g", c.with, i%k, i/k, y, x)
			}
		}
	}
}
