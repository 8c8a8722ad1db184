// Package knapsack chooses one of several forms for each of many parts, so that
// all together keep to a budget and lose least.
package knapsack

import "math"

// Choice is a form that a part may have.
type Choice struct {
	Cost int64   // what it takes of the budget, ≥ 0
	Loss float64 // what it costs in quality; may be negative
}

// grain is the number of units that a budget is counted in.
const grain = 1 << 15

// Solve returns the index of the choice of each group (of at most 256) with which the sum of the
// costs is at most budget and the sum of the losses least: the multiple-choice
// knapsack problem, by dynamic programming over the budget (Kellerer, Pferschy and
// Pisinger, "Knapsack Problems", 2004, section 11.5). What a choice costs beyond
// the cheapest of its group is rounded up to 1/32768 of what the cheapest leave of
// the budget, so that the answer keeps to the budget always, and is the best but
// for that rounding. ok is false where the cheapest choices are too much together;
// then they are what is returned.
func Solve(groups [][]Choice, budget int64) (chosen []int, ok bool) {
	chosen = make([]int, len(groups))
	room := budget
	for i, g := range groups {
		chosen[i] = cheapest(g)
		room -= g[chosen[i]].Cost
	}
	if room < 0 {
		return chosen, false
	}
	unit := max((room+grain-1)/grain, 1)
	width := int(room/unit) + 1
	least, taken := make([]float64, width), make([][]uint8, len(groups)) // least[u]: with at most u units
	for i, g := range groups {
		least, taken[i] = extend(least, g, g[chosen[i]].Cost, unit)
	}
	u := width - 1
	for i := len(groups) - 1; i >= 0; i-- {
		g, base := groups[i], groups[i][chosen[i]].Cost
		chosen[i] = int(taken[i][u])
		u -= units(g[chosen[i]].Cost-base, unit)
	}
	return chosen, true
}

// cheapest is the index of the choice that costs least, of equal ones that which
// loses least.
func cheapest(g []Choice) int {
	best := 0
	for i, c := range g {
		if b := g[best]; c.Cost < b.Cost || c.Cost == b.Cost && c.Loss < b.Loss {
			best = i
		}
	}
	return best
}

// extend adds a group: for each number of units the least loss, and the choice
// that gives it.
func extend(least []float64, g []Choice, base, unit int64) ([]float64, []uint8) {
	next, taken := make([]float64, len(least)), make([]uint8, len(least))
	for u := range next {
		next[u] = math.Inf(1)
	}
	for k, c := range g {
		need := units(c.Cost-base, unit)
		for u := need; u < len(least); u++ {
			if loss := least[u-need] + c.Loss; loss < next[u] {
				next[u], taken[u] = loss, uint8(k)
			}
		}
	}
	return next, taken
}

// units is a cost in whole units.
func units(cost, unit int64) int { return int((cost + unit - 1) / unit) }
