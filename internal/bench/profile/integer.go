package profile

import (
	"optim/internal/ort"
	"optim/internal/tensor"
)

// couldBeInteger reports whether a kernel is a product in float with a constant
// weight, of an operator that has a kernel on integers.
//
// Mostly the profile tells: the weight is among the constant inputs, or it has been
// packed and is not among the inputs at all. A weight behind a DequantizeLinear
// that was not fused, or one that a body takes from the graph around it, looks
// like an activation there; it is found in the graph, if the node kept its name.
func (w weights) couldBeInteger(n ort.NodeTime) bool {
	if n.Provider != "cpu" || len(n.Inputs) == 0 || !n.Inputs[0].DType.IsFloat() {
		return false
	}
	if n.Op == "MatMulNBits" { // the profile does not tell in what it computes
		return w[original(n.Name)]
	}
	constant, ok := constantWeight[n.Op]
	return ok && (constant(n) || w[original(n.Name)])
}

// constantWeight tells for each operator whether the profile shows that its
// weight is constant.
var constantWeight = map[string]func(ort.NodeTime) bool{
	"MatMul":        eitherFactor,
	"FusedMatMul":   eitherFactor,
	"Gemm":          func(n ort.NodeTime) bool { return second(n, isGemmWeight) },
	"FusedGemm":     func(n ort.NodeTime) bool { return second(n, isGemmWeight) },
	"Conv":          func(n ort.NodeTime) bool { return second(n, isKernel) },
	"FusedConv":     func(n ort.NodeTime) bool { return second(n, isKernel) },
	"NhwcConv":      func(n ort.NodeTime) bool { return second(n, isKernel) },
	"NhwcFusedConv": func(n ort.NodeTime) bool { return second(n, isKernel) },
	"LSTM":          func(n ort.NodeTime) bool { return second(n, isKernel) }, // of rank 3, as its input
	"Attention":     packedAttention,
}

// eitherFactor reports whether one of the two factors is constant, or packed.
func eitherFactor(n ort.NodeTime) bool { return len(n.Inputs) == 1 || n.ConstantBytes > 0 }

// second reports whether the weight, the second input, is constant. isWeight tells
// it from a bias, which stands there when the weight is packed.
func second(n ort.NodeTime, isWeight func(n ort.NodeTime, shape tensor.Shape) bool) bool {
	if len(n.Inputs) < 2 || !isWeight(n, n.Inputs[1].Shape) {
		return true
	}
	size, err := n.Inputs[1].Shape.Bytes(n.Inputs[1].DType)
	return err == nil && n.ConstantBytes >= size
}

// isKernel: the weight of a convolution has the rank of its data, a bias one.
func isKernel(n ort.NodeTime, shape tensor.Shape) bool { return len(shape) == len(n.Inputs[0].Shape) }

// isGemmWeight: a weight joins a dimension of the data with the last of the result.
// A bias of full rank may look the same; it counts as the weight.
func isGemmWeight(n ort.NodeTime, shape tensor.Shape) bool {
	if len(shape) != 2 || len(n.Outputs) == 0 || len(n.Outputs[0].Shape) != 2 || len(n.Inputs[0].Shape) != 2 {
		return len(shape) == 2
	}
	columns, x := n.Outputs[0].Shape[1], n.Inputs[0].Shape
	joins := func(depth, width int64) bool { return width == columns && (depth == x[0] || depth == x[1]) }
	return joins(shape[0], shape[1]) || joins(shape[1], shape[0])
}

// packedAttention: com.microsoft.Attention has a matrix for query, key and value;
// with the standard operator the second input is the keys, and nothing has a
// weight.
func packedAttention(n ort.NodeTime) bool {
	return len(n.Inputs) < 2 || len(n.Inputs[1].Shape) < 3 &&
		second(n, func(_ ort.NodeTime, shape tensor.Shape) bool { return len(shape) == 2 })
}
