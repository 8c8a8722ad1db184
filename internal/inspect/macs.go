package inspect

import (
	"math/bits"
	"slices"

	"optim/internal/onnx"
)

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

// integerOps are the operators that multiply integers, whatever made these.
var integerOps = map[string]bool{
	"QLinearConv": true, "QLinearMatMul": true, "QGemm": true, "ConvInteger": true, "MatMulInteger": true,
	"MatMulIntegerToFloat": true, "DynamicQuantizeMatMul": true, "DynamicQuantizeLSTM": true,
}

// unfollowed are operators with products whose size is not followed here.
var unfollowed = map[string]bool{
	"Einsum": true, "DeformConv": true, "GroupQueryAttention": true, "LinearAttention": true,
	"CausalConvWithState": true, "PagedAttention": true, "SparseAttention": true, "LongformerAttention": true,
	"QOrderedLongformerAttention": true, "QOrderedAttention": true, "QOrderedMatMul": true, "AttnLSTM": true,
	"DecoderAttention": true, "DecoderMaskedMultiHeadAttention": true, "DecoderMaskedSelfAttention": true,
	"PackedAttention": true, "PackedMultiHeadAttention": true, "MoE": true, "QMoE": true, "MatMulFpQ4": true,
	"GemmFastGelu": true, "GemmFloat8": true, "TransposeMatMul": true, "SparseToDenseMatMul": true,
	"MatMulInteger16": true, "ConvTransposeWithDynamicPads": true, "QLinearConvTranspose": true, "NhwcFusedConv": true,
	"WordConvEmbedding": true, "CDist": true, "GatedRelativePositionBias": true,
	"LinearClassifier": true, "LinearRegressor": true, "SVMClassifier": true, "SVMRegressor": true,
}

// cost returns the multiply-accumulates of n; 0 for what is no product.
func (s *shapes) cost(n *onnx.Node) (Cost, bool) {
	// Of other domains' operators it is not known what they compute.
	if unfollowed[n.OpType] || !slices.Contains([]string{"", "com.microsoft", "ai.onnx.ml"}, canonical(n.Domain)) {
		return Cost{}, false
	}
	switch n.OpType {
	case "Attention", "QAttention", "MultiHeadAttention":
		return s.attentionCost(n)
	}
	count, ok := s.count(n)
	if !ok {
		return Cost{}, false
	}
	integer := integerOps[n.OpType]
	switch n.OpType {
	case "Conv", "Gemm", "MatMul":
		integer = s.dequantized[n.Input(0)] && s.dequantized[n.Input(1)]
	case "MatMulNBits":
		integer = n.AttrInt("accuracy_level", 0) == 4
	}
	if integer {
		return Cost{Integer: count}, true
	}
	return Cost{Float: count}, true
}

// count returns the multiply-accumulates of n, of whichever kind.
func (s *shapes) count(n *onnx.Node) (uint64, bool) {
	switch n.OpType {
	case "Conv", "ConvInteger", "FusedConv", "NhwcConv":
		return s.convCost(n, n.Input(1), s.dims[n.Output(0)])
	case "QLinearConv":
		return s.convCost(n, n.Input(3), s.dims[n.Output(0)])
	case "ConvTranspose":
		// Each input element meets the kernel of all of its group's outputs.
		return s.convCost(n, n.Input(1), s.dims[n.Input(0)])
	case "MatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QLinearMatMul":
		return s.depthCost(n, s.dims[n.Input(0)], -1)
	case "Gemm", "QGemm", "FusedGemm", "FusedMatMul":
		a := s.dims[n.Input(0)]
		if n.AttrInt("transA", 0) == 0 {
			return s.depthCost(n, a, -1)
		}
		return s.depthCost(n, a, -2)
	case "MatMulNBits", "MatMulBnb4":
		out := s.dims[n.Output(0)]
		if out == nil {
			return 0, false
		}
		return product(append(slices.Clone(out), n.AttrInt("K", 0))...)
	case "LSTM", "GRU", "RNN", "DynamicQuantizeLSTM":
		return s.recurrentCost(n)
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
	return product(append(slices.Clone(positions), w[1:]...)...)
}

// depthCost is the elements of the output times the depth of the sum, which
// is the given axis (-1: the last) of the first factor.
func (s *shapes) depthCost(n *onnx.Node, a []int64, axis int) (uint64, bool) {
	out := s.dims[n.Output(0)]
	if axis += len(a); out == nil || axis < 0 {
		return 0, false
	}
	return product(append(slices.Clone(out), a[axis])...)
}
