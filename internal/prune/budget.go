package prune

import (
	"math"

	"optim/internal/knapsack"
)

// Cut is what may go of a group, and what the model is then, if this alone goes: the cost
// that a budget bounds (bytes, or a share of the time of a run), and the loss of the
// outputs.
type Cut struct {
	Units []int
	Cost  float64
	Loss  float64
}

// Ratios are the sparsities at which groups are weighed.
var Ratios = []float64{0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875}

// Straighten puts the costs of a group's cuts, the first of which removes nothing, on a line
// through that first one, by least squares: a unit saves as much time as the next, and what
// times of single cuts show beyond that is noise. More units always cost less.
func Straighten(cuts []Cut) {
	var xy, xx float64
	for _, c := range cuts[1:] {
		n := float64(len(c.Units))
		xy, xx = xy+n*(cuts[0].Cost-c.Cost), xx+n*n
	}
	if xx == 0 {
		return
	}
	each := max(xy/xx, 1e-6*cuts[0].Cost/math.Sqrt(xx))
	for i := range cuts[1:] {
		cuts[i+1].Cost = cuts[0].Cost - each*float64(len(cuts[i+1].Units))
	}
}

// costUnits is the number of units in which costs are counted as whole numbers.
const costUnits = 1 << 40

// halvings bounds the search of Fit.
const halvings = 12

// closeTo is the share of a budget that is good enough to have been used.
const closeTo = 0.98

// Fit chooses a cut of each group, so that the model costs at most the budget and, if the
// losses of cuts add up, loses least. What cuts save does not add up: groups that share a
// weight save its bytes once. So what a choice really costs is asked, and the sum that the
// costs of single cuts may have found by halving, until the real cost is just below the
// budget. full is the cost of the whole model, whose cut is the first of each group. ok is
// false where even the largest cuts cost more; these are returned then.
func Fit(groups [][]Cut, full, budget float64, real func(chosen []int) (float64, error)) (chosen []int, ok bool, err error) {
	scale := costUnits / max(full, math.SmallestNonzeroFloat64)
	list := make([][]knapsack.Choice, len(groups))
	low, high := int64(0), int64(0) // sums with the largest cuts and with none
	for i, g := range groups {
		least := int64(math.MaxInt64)
		for _, c := range g {
			cost := int64(max(c.Cost, 0) * scale)
			list[i], least = append(list[i], knapsack.Choice{Cost: cost, Loss: c.Loss}), min(least, cost)
		}
		low, high = low+least, high+list[i][0].Cost
	}
	best, _ := knapsack.Solve(list, low)
	bestCost, err := real(best)
	if err != nil || bestCost > budget {
		return best, false, err
	}
	for n := 0; n < halvings && bestCost < closeTo*budget; n++ {
		middle := low + (high-low)/2
		next, _ := knapsack.Solve(list, middle)
		cost, err := real(next)
		switch {
		case err != nil:
			return nil, false, err
		case cost > budget:
			high = middle
		default:
			low, best, bestCost = middle, next, cost
		}
	}
	return best, true, nil
}
