package quant

import (
	"cmp"
	"slices"

	"optim/internal/knapsack"
)

// Choice is a format that a node may have, with what it costs.
type Choice struct {
	Format string // int4, int8; Float: the node is left alone
	Bytes  int64  // of its weight
	Loss   float64
}

// Float stands for a node that is left alone.
const Float = "float"

// Candidate is a node with its choices, smallest first.
type Candidate struct {
	Node    string // label
	Choices []Choice
}

// Upgrade is one step of mixed precision: a node gets more bytes for less loss.
type Upgrade struct {
	Node string
	To   Choice
	Cost int64   // bytes more
	Gain float64 // loss less
}

// Upgrades orders the steps from all nodes at their smallest format to all at
// their best, most loss saved per byte first. After every step the assignment
// is the one of least total loss for its size, if losses of single nodes add
// up: of each node only the choices on the lower convex hull of (bytes, loss)
// count, and then the greedy order solves the linear relaxation of the
// multiple-choice knapsack problem exactly (Sinha and Zoltners, "The
// Multiple-Choice Knapsack Problem", 1979).
func Upgrades(nodes []Candidate) []Upgrade {
	var steps []Upgrade
	for _, n := range nodes {
		hull := lowerHull(n.Choices)
		for i := 1; i < len(hull); i++ {
			a, b := hull[i-1], hull[i]
			steps = append(steps, Upgrade{Node: n.Node, To: b, Cost: b.Bytes - a.Bytes, Gain: a.Loss - b.Loss})
		}
	}
	slices.SortStableFunc(steps, func(a, b Upgrade) int {
		return cmp.Compare(b.Gain*float64(a.Cost), a.Gain*float64(b.Cost))
	})
	return steps
}

// lowerHull returns the choices of which none other is as small and as good,
// nor a mixture of two others; the smallest is always there.
func lowerHull(choices []Choice) []Choice {
	list := slices.Clone(choices)
	slices.SortStableFunc(list, func(a, b Choice) int {
		return cmp.Or(cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Loss, b.Loss))
	})
	var hull []Choice
	for _, c := range list {
		if len(hull) > 0 && (c.Bytes == hull[len(hull)-1].Bytes || c.Loss >= hull[len(hull)-1].Loss) {
			continue
		}
		for len(hull) > 1 && !turnsUp(hull[len(hull)-2], hull[len(hull)-1], c) {
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, c)
	}
	return hull
}

// turnsUp reports whether b lies below the line from a to c.
func turnsUp(a, b, c Choice) bool {
	return (a.Loss-b.Loss)*float64(c.Bytes-b.Bytes) > (b.Loss-c.Loss)*float64(b.Bytes-a.Bytes)
}

// Assign returns the formats of the nodes after the first n steps, by label.
func Assign(nodes []Candidate, steps []Upgrade, n int) map[string]Choice {
	out := make(map[string]Choice, len(nodes))
	for _, c := range nodes {
		out[c.Node] = lowerHull(c.Choices)[0]
	}
	for _, s := range steps[:n] {
		out[s.Node] = s.To
	}
	return out
}

// Within returns the formats of the nodes, by label, whose weights take at most so
// many bytes together and lose least, if losses of single nodes add up; where that
// is impossible, the smallest.
func Within(nodes []Candidate, bytes int64) map[string]Choice {
	groups := make([][]knapsack.Choice, len(nodes))
	for i, n := range nodes {
		for _, c := range n.Choices {
			groups[i] = append(groups[i], knapsack.Choice{Cost: c.Bytes, Loss: c.Loss})
		}
	}
	chosen, _ := knapsack.Solve(groups, bytes)
	out := make(map[string]Choice, len(nodes))
	for i, n := range nodes {
		out[n.Node] = n.Choices[chosen[i]]
	}
	return out
}
