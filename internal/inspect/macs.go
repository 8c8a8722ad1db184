package inspect

import (
	"math/bits"

	"optim/internal/onnx"
)

// macs returns the multiply-accumulates of one run with symbolic dimensions 1:
// those of convolutions and matrix products, which are all that count. It
// returns nil where one of them has shapes that do not follow from the graph,
// and where nodes have bodies or are functions of the model's own, whose
// number of runs is not known.
func macs(m *onnx.Model) *int64 {
	for _, n := range m.Graph.Nodes {
		inside := false
		n.Graphs(func(*onnx.Graph, string) { inside = true })
		if inside || isFunction(m, n) {
			return nil
		}
	}
	s := newShapes(m.Graph)
	var sum uint64
	for _, n := range m.Graph.Nodes {
		s.node(n)
		cost, ok := s.cost(n)
		if !ok {
			return nil
		}
		var over uint64
		if sum, over = bits.Add64(sum, cost, 0); over != 0 || sum > 1<<62 {
			return nil
		}
	}
	total := int64(sum)
	return &total
}

func isFunction(m *onnx.Model, n *onnx.Node) bool {
	for _, f := range m.Functions {
		if f.Name == n.OpType && canonical(f.Domain) == canonical(n.Domain) {
			return true
		}
	}
	return false
}

// product returns the product of all numbers; ok is false if it overflows or
// one is negative.
func product(factors ...int64) (uint64, bool) {
	p := uint64(1)
	for _, f := range factors {
		if f < 0 {
			return 0, false
		}
		hi, lo := bits.Mul64(p, uint64(f))
		if hi != 0 {
			return 0, false
		}
		p = lo
	}
	return p, true
}

// cost returns the multiply-accumulates of n; 0 for what is no product.
func (s *shapes) cost(n *onnx.Node) (uint64, bool) {
	switch n.OpType {
	case "Conv", "ConvInteger", "FusedConv", "NhwcConv":
		return s.convCost(n, n.Input(1), s.dims[n.Output(0)])
	case "QLinearConv":
		return s.convCost(n, n.Input(3), s.dims[n.Output(0)])
	case "ConvTranspose":
		// Each input element meets the kernel of all of its group's outputs.
		return s.convCost(n, n.Input(1), s.dims[n.Input(0)])
	case "MatMul", "MatMulInteger", "FusedMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
		"QLinearMatMul":
		return s.depthCost(n, s.dims[n.Input(0)], -1)
	case "Gemm", "QGemm":
		a := s.dims[n.Input(0)]
		if n.AttrInt("transA", 0) != 0 {
			return s.depthCost(n, a, 0)
		}
		return s.depthCost(n, a, -1)
	case "MatMulNBits", "MatMulBnb4":
		out := s.dims[n.Output(0)]
		if out == nil {
			return 0, false
		}
		return product(append(append([]int64(nil), out...), n.AttrInt("K", 0))...)
	case "LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention", "QAttention", "GroupQueryAttention",
		"Einsum", "DynamicQuantizeLSTM", "DeformConv":
		return 0, false // products whose size is not followed here
	}
	return 0, true
}

// convCost is the elements of the output (of the input, where transposed)
// times the kernel of one of them.
func (s *shapes) convCost(n *onnx.Node, weight string, positions []int64) (uint64, bool) {
	w := s.dims[weight]
	if positions == nil || len(w) < 2 {
		return 0, false
	}
	return product(append(append([]int64(nil), positions...), w[1:]...)...)
}

// depthCost is the elements of the output times the depth of the sum, which
// is the given axis of the first factor.
func (s *shapes) depthCost(n *onnx.Node, a []int64, axis int) (uint64, bool) {
	out := s.dims[n.Output(0)]
	if out == nil || len(a) == 0 {
		return 0, false
	}
	if axis < 0 {
		axis += len(a)
	}
	return product(append(append([]int64(nil), out...), a[axis])...)
}
