package quant

import (
	"cmp"
	"slices"
)

// Change is one node whose computation or storage becomes smaller.
type Change struct {
	Node        string
	Op          string
	Action      string // dynamic, static, weight-only, integer (data stays in integers)
	Format      string // int8, uint8, …
	BytesBefore int64  // of its weights; 0: it has none
	BytesAfter  int64  // of integers and scales
}

// Unchanged is one node that could have been quantized, and the reason why it
// was not.
type Unchanged struct {
	Node   string
	Op     string
	Reason string
}

// Plan is what a run decided, in graph order.
type Plan struct {
	Changes   []Change
	Unchanged []Unchanged
	Prepared  []string      // what was done to the graph beforehand
	Notes     []string      // what users of the result should know
	Integer   []IntegerUnit // what static placement runs on integers, for whom wants to compare

	// Codes are those of activations that became integers, by value.
	Codes map[string]Code
	// Grids are the weights that became 8-bit integers.
	Grids []WeightGrid
}

// WeightGrid is the grid of a weight in 8-bit storage: integers from −Max to Max times
// the scale of their index along Axis (-1: one scale for all).
type WeightGrid struct {
	Weight string
	Axis   int
	Max    int64
	Scales []float32
}

// IntegerUnit is an operator that runs on integers, with its activations. They
// have the same names in the float model.
type IntegerUnit struct {
	Node            string // its label
	Inputs, Outputs []string
	Moves           bool // moves values, and so adds no noise
}

func (p *Plan) change(c Change) { p.Changes = append(p.Changes, c) }
func (p *Plan) leave(node, op, reason string) {
	p.Unchanged = append(p.Unchanged, Unchanged{node, op, reason})
}

// weighty counts the changes that concern a node with weights: where there are
// none, nothing worth a new file was done.
func (p *Plan) weighty() int {
	n := 0
	for _, c := range p.Changes {
		if c.BytesBefore > 0 {
			n++
		}
	}
	return n
}

// Reasons returns the reasons of the unchanged nodes with their counts, most
// frequent first, ties by text.
func (p *Plan) Reasons() []ReasonCount {
	count := map[string]int{}
	for _, u := range p.Unchanged {
		count[u.Reason]++
	}
	out := make([]ReasonCount, 0, len(count))
	for r, n := range count {
		out = append(out, ReasonCount{r, n})
	}
	slices.SortFunc(out, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// ReasonCount is a reason and the number of nodes that it holds for.
type ReasonCount struct {
	Reason string
	Count  int
}
