package knapsack_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/knapsack"
)

// TestSolve compares with the best of all combinations, where costs are small
// enough to be counted exactly.
func TestSolve(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	for range 500 {
		groups := make([][]knapsack.Choice, r.IntN(7))
		for i := range groups {
			for range 1 + r.IntN(4) {
				groups[i] = append(groups[i], knapsack.Choice{Cost: int64(r.IntN(50)), Loss: float64(r.IntN(40)) - 5})
			}
		}
		budget := int64(r.IntN(200))
		chosen, ok := knapsack.Solve(groups, budget)
		cost, loss := sums(groups, chosen)
		best := bruteForce(groups, budget)
		switch {
		case ok != !math.IsInf(best, 1):
			t.Fatalf("%v within %d: ok %v, the best is %g", groups, budget, ok, best)
		case ok && (cost > budget || loss != best):
			t.Fatalf("%v within %d: %v costs %d and loses %g, %g is possible", groups, budget, chosen, cost, loss, best)
		}
	}
}

// TestSolveLarge keeps to budgets whose units are rounded.
func TestSolveLarge(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	groups := make([][]knapsack.Choice, 300)
	for i := range groups {
		n := 1 + r.Int64N(1<<30)
		groups[i] = []knapsack.Choice{{n, r.Float64()}, {2 * n, r.Float64() / 10}, {8 * n, 0}}
	}
	most, _ := sums(groups, repeat(2, len(groups)))
	for _, part := range []float64{0.2, 0.5, 0.9} {
		budget := int64(part * float64(most))
		chosen, ok := knapsack.Solve(groups, budget)
		if cost, _ := sums(groups, chosen); !ok || cost > budget || float64(cost) < 0.97*float64(budget) {
			t.Errorf("%d of a budget of %d are used", cost, budget)
		}
	}
	if chosen, ok := knapsack.Solve(groups, math.MaxInt64/2); !ok || chosen[0] != 2 || chosen[299] != 2 {
		t.Error("with room for all, not the best of each are chosen")
	}
}

func repeat(k, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = k
	}
	return out
}

func sums(groups [][]knapsack.Choice, chosen []int) (cost int64, loss float64) {
	for i, g := range groups {
		cost, loss = cost+g[chosen[i]].Cost, loss+g[chosen[i]].Loss
	}
	return cost, loss
}

func bruteForce(groups [][]knapsack.Choice, budget int64) float64 {
	if budget < 0 {
		return math.Inf(1)
	}
	if len(groups) == 0 {
		return 0
	}
	best := math.Inf(1)
	for _, c := range groups[0] {
		best = min(best, c.Loss+bruteForce(groups[1:], budget-c.Cost))
	}
	return best
}
