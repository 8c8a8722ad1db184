package quant

import (
	"math/rand/v2"
	"testing"
)

// bruteCut is the capacity of the cheapest cut, by trying all.
func bruteCut(n int, edges [][3]int64) int64 {
	best := int64(unlimited)
	for set := range 1 << n {
		if set&1 == 0 || set&2 != 0 { // node 0 is the source, node 1 the sink
			continue
		}
		var c int64
		for _, e := range edges {
			if set>>e[0]&1 == 1 && set>>e[1]&1 == 0 {
				c += e[2]
			}
		}
		best = min(best, c)
	}
	return best
}

func TestCutIsMinimal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for trial := range 300 {
		n := 3 + r.IntN(6)
		g := newNetwork(n)
		var edges [][3]int64
		for range r.IntN(3 * n) {
			a, b, c := r.IntN(n), r.IntN(n), int64(r.IntN(20))
			if a == b {
				continue
			}
			edges = append(edges, [3]int64{int64(a), int64(b), c})
			g.edge(a, b, c)
		}
		side := g.cut(0, 1)
		if !side[0] || side[1] {
			t.Fatalf("trial %d: source or sink on the wrong side", trial)
		}
		var got int64
		for _, e := range edges {
			if side[e[0]] && !side[e[1]] {
				got += e[2]
			}
		}
		if want := bruteCut(n, edges); got != want {
			t.Fatalf("trial %d: cut of %d, want %d", trial, got, want)
		}
	}
}

func TestCutOfLongChain(t *testing.T) {
	const n = 20000
	g := newNetwork(n)
	for i := range n - 1 {
		g.edge(i, i+1, int64(i%7+2))
	}
	g.edge(n/2, n/2+1, 0)
	if side := g.cut(0, n-1); !side[0] || side[n-1] {
		t.Fatal("source or sink on the wrong side")
	}
}
