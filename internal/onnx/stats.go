package onnx

import "optim/internal/tensor"

// OpCounts returns how many nodes of each operator the model has, bodies and
// functions included. Operators outside the default domain are named
// "domain:Operator".
func (m *Model) OpCounts() map[string]int {
	counts := map[string]int{}
	m.WalkNodes(func(n *Node) {
		op := n.OpType
		if d := plainDomain(n.Domain); d != "" {
			op = d + ":" + op
		}
		counts[op]++
	})
	return counts
}

// WeightCount is a number of tensors of one type, their elements and bytes.
type WeightCount struct {
	Count    int
	Elements int64
	Bytes    int64
}

// WalkWeights calls f for every tensor that the model holds as a constant:
// initializers, dense or sparse, and values of Constant nodes, in all graphs
// and functions.
func (m *Model) WalkWeights(f func(t *Tensor)) {
	m.WalkGraphs(func(g *Graph, _ string) {
		for _, t := range g.Initializers {
			f(t)
		}
		for _, s := range g.Sparse {
			f(s.Values)
		}
	})
	m.WalkNodes(func(n *Node) {
		if n.Is("Constant") {
			if t := n.AttrTensor("value"); t != nil {
				f(t)
			}
		}
	})
}

// Weights returns the model's weights by element type.
func (m *Model) Weights() map[tensor.DType]WeightCount {
	out := map[tensor.DType]WeightCount{}
	m.WalkWeights(func(t *Tensor) {
		c := out[t.DType]
		c.Count++
		c.Elements += t.Elements()
		c.Bytes += t.Size()
		out[t.DType] = c
	})
	return out
}

// Parameters returns the number of elements of all weights that are numbers:
// floats, and integers of at most 8 bits, which quantized weights are. Wider
// integers are shapes and indices.
func (m *Model) Parameters() int64 {
	var n int64
	for d, c := range m.Weights() {
		if d.IsFloat() || d.IsInteger() && d.Bits() <= 8 {
			n += c.Elements
		}
	}
	return n
}

// Bytes returns the bytes of the files that the model was read from, external
// data included; 0 if it was not read.
func (m *Model) Bytes() int64 {
	var n int64
	if m.files != nil {
		for _, src := range m.files.maps {
			n += int64(len(src.data))
		}
	}
	return n
}
