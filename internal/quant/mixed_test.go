package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestUpgrades compares every assignment on the way with the best of its size,
// found by trying all.
func TestUpgrades(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		var nodes []Candidate
		for i := range 1 + r.IntN(6) {
			c := Candidate{Node: fmt.Sprint("n", i)}
			for _, f := range []string{"int4", "int8", Float} {
				c.Choices = append(c.Choices, Choice{f, int64(1 + r.IntN(50)), float64(r.IntN(40))})
			}
			nodes = append(nodes, c)
		}
		steps := Upgrades(nodes)
		for n := range len(steps) + 1 {
			bytes, loss := total(Assign(nodes, steps, n))
			if best := bruteForce(nodes, bytes, 0); loss > best+1e-9 {
				t.Fatalf("%v: after %d of %v: loss %g with %d bytes, %g is possible", nodes, n, steps, loss, bytes, best)
			}
		}
		_, loss := total(Assign(nodes, steps, len(steps)))
		if best := bruteForce(nodes, math.MaxInt64, 0); loss != best {
			t.Fatalf("%v: all steps leave %g, the best is %g", nodes, loss, best)
		}
	}
}

func total(m map[string]Choice) (bytes int64, loss float64) {
	for _, c := range m {
		bytes, loss = bytes+c.Bytes, loss+c.Loss
	}
	return bytes, loss
}

// bruteForce returns the least loss of nodes from i on within so many bytes.
func bruteForce(nodes []Candidate, bytes int64, i int) float64 {
	if i == len(nodes) {
		return 0
	}
	best := math.Inf(1)
	for _, c := range nodes[i].Choices {
		if c.Bytes <= bytes {
			best = min(best, c.Loss+bruteForce(nodes, bytes-c.Bytes, i+1))
		}
	}
	return best
}
