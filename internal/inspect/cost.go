package inspect

import (
	"math/bits"
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Cost is the multiply-accumulates of one run, those of convolutions and matrix
// products, which are all that count. Integer is what runs on integers:
// operators of quantized models, and products whose data and weight both come
// from a DequantizeLinear, which ONNX Runtime computes so where it can. Float
// is the rest.
type Cost struct {
	Float   uint64 `json:"float"`
	Integer uint64 `json:"integer"`
}

// Total returns all multiply-accumulates; at most 2⁶².
func (c Cost) Total() uint64 { return c.Float + c.Integer }

// maxCost bounds a Cost, so that its sums and an int64 can hold it.
const maxCost = 1 << 62

// add returns the sum; ok is false where it is above 2⁶².
func (c Cost) add(d Cost) (sum Cost, ok bool) {
	f, over1 := bits.Add64(c.Float, d.Float, 0)
	i, over2 := bits.Add64(c.Integer, d.Integer, 0)
	total, over3 := bits.Add64(f, i, 0)
	if over1|over2|over3 != 0 || total > maxCost {
		return Cost{}, false
	}
	return Cost{f, i}, true
}

// CostAt returns the multiply-accumulates of a run on inputs of these shapes.
// An input that is not named has the shape that the model declares, its symbols
// of the size that they have in the others. ok is false where the shapes
// contradict the model, where the size of a product does not follow from them,
// and where nodes have bodies or are functions of the model's own, whose number
// of runs is not known.
func CostAt(m *onnx.Model, inputs map[string]tensor.Shape) (c Cost, ok bool) {
	g, ok := givenShapes(m.Graph, inputs)
	if !ok {
		return Cost{}, false
	}
	return costOf(m, newShapes(m.Graph, g))
}

// MACs is the sum of CostAt with all symbolic dimensions 1; nil where CostAt fails.
func MACs(m *onnx.Model) *int64 {
	c, ok := costOf(m, newShapes(m.Graph, symbolsAsOne))
	if !ok {
		return nil
	}
	total := int64(c.Total())
	return &total
}

// costOf follows the shapes s through the graph and sums up.
func costOf(m *onnx.Model, s *shapes) (sum Cost, ok bool) {
	for _, n := range m.Graph.Nodes {
		inside := false
		n.Graphs(func(*onnx.Graph, string) { inside = true })
		if inside || isFunction(m, n) {
			return Cost{}, false
		}
		s.node(n)
		c, ok := s.cost(n)
		if !ok {
			return Cost{}, false
		}
		if sum, ok = sum.add(c); !ok {
			return Cost{}, false
		}
	}
	return sum, true
}

func isFunction(m *onnx.Model, n *onnx.Node) bool {
	return slices.ContainsFunc(m.Functions, func(f *onnx.Function) bool {
		return f.Name == n.OpType && canonical(f.Domain) == canonical(n.Domain)
	})
}
