package inspect

import (
	"slices"

	"optim/internal/onnx"
)

// secondFactor tells which input is the second factor (the weight, as a rule)
// of the operators that multiply two tensors; the first is input 0.
var secondFactor = map[string]int{
	"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1,
	"MatMul": 1, "FusedMatMul": 1, "MatMulInteger": 1, "DynamicQuantizeMatMul": 1,
	"MatMulIntegerToFloat": 1, "QLinearMatMul": 3,
	"Gemm": 1, "FusedGemm": 1, "QGemm": 3,
}

// productDims returns the dimensions of the product of a and b; nil: they do
// not fit, or it is not known.
func (s *shapes) productDims(n *onnx.Node, a, b []int64) []int64 {
	if a == nil || b == nil {
		return nil
	}
	transA, transB := n.AttrInt("transA", 0) != 0, n.AttrInt("transB", 0) != 0
	switch n.OpType {
	case "Conv", "FusedConv", "ConvInteger", "QLinearConv":
		return convolved(n, a, b)
	case "ConvTranspose":
		return convTransposed(n, a, b)
	case "Gemm", "FusedGemm", "QGemm":
		if len(a) != 2 || len(b) != 2 {
			return nil
		}
		return matMul(swapped(a, transA), swapped(b, transB))
	case "FusedMatMul":
		if n.AttrInt("transBatchA", 0) != 0 || n.AttrInt("transBatchB", 0) != 0 {
			return nil
		}
		return matMul(swapped(a, transA), swapped(b, transB))
	}
	return matMul(a, b)
}

// swapped returns dims with the last two exchanged, where swap holds.
func swapped(dims []int64, swap bool) []int64 {
	if !swap || len(dims) < 2 {
		return dims
	}
	out := slices.Clone(dims)
	slices.Reverse(out[len(out)-2:])
	return out
}

// matMul returns the dimensions of a·b by the rules of numpy.matmul; nil: they
// do not fit. A vector counts as a row on the left, a column on the right, and
// the axis it lent is not in the product.
func matMul(a, b []int64) []int64 {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	row, column := len(a) == 1, len(b) == 1
	if row {
		a = []int64{1, a[0]}
	}
	if column {
		b = []int64{b[0], 1}
	}
	if a[len(a)-1] != b[len(b)-2] {
		return nil
	}
	out := broadcast(a[:len(a)-2], b[:len(b)-2])
	if out == nil {
		return nil
	}
	if !row {
		out = append(out, a[len(a)-2])
	}
	if !column {
		out = append(out, b[len(b)-1])
	}
	return out
}

// lastDim returns in with its last dimension n.
func lastDim(in []int64, n int64) []int64 {
	if len(in) == 0 {
		return nil
	}
	out := slices.Clone(in)
	out[len(out)-1] = n
	return out
}
