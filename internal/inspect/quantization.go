package inspect

import (
	"maps"
	"slices"

	"optim/internal/onnx"
)

// Quantization tells whether and how a model is quantized.
type Quantization struct {
	// Kinds are some of "qdq", "operator", "dynamic", "weight-only", "half";
	// none: the model computes in float32 (or wider) throughout.
	Kinds []string `json:"kinds"`
	// Operators counts the nodes that carry quantized data.
	Operators map[string]int `json:"operators,omitempty"`
	// Weights counts the quantized or half-width weights by element type.
	Weights map[string]int `json:"weights,omitempty"`
}

// quantizedOps tells the kind of quantization that an operator is a sign of.
var quantizedOps = map[string]string{
	"QuantizeLinear":           "qdq",
	"DequantizeLinear":         "qdq",
	"QLinearConv":              "operator",
	"QLinearMatMul":            "operator",
	"QLinearAdd":               "operator",
	"QLinearMul":               "operator",
	"QLinearGlobalAveragePool": "operator",
	"QLinearConcat":            "operator",
	"QLinearAveragePool":       "operator",
	"QLinearLeakyRelu":         "operator",
	"QLinearSigmoid":           "operator",
	"QLinearSoftmax":           "operator",
	"QGemm":                    "operator",
	"QAttention":               "dynamic",
	"MatMulInteger":            "dynamic",
	"ConvInteger":              "dynamic",
	"DynamicQuantizeLinear":    "dynamic",
	"DynamicQuantizeMatMul":    "dynamic",
	"MatMulIntegerToFloat":     "dynamic",
	"DynamicQuantizeLSTM":      "dynamic",
	"MatMulNBits":              "weight-only",
	"MatMulBnb4":               "weight-only",
	"GatherBlockQuantized":     "weight-only",
	"QMoE":                     "weight-only",
}

// QuantizedNodes counts the nodes of a model that compute with quantized data,
// or convert to and from it.
func QuantizedNodes(m *onnx.Model) int {
	n := 0
	m.WalkNodes(func(node *onnx.Node) {
		if quantizedOps[node.OpType] != "" {
			n++
		}
	})
	return n
}

func quantization(m *onnx.Model, r *roles) Quantization {
	q := Quantization{Kinds: []string{}, Operators: map[string]int{}, Weights: map[string]int{}}
	kinds := map[string]bool{}
	m.WalkNodes(func(n *onnx.Node) {
		if kind, ok := quantizedOps[n.OpType]; ok {
			kinds[kind] = true
			q.Operators[n.OpType]++
		}
	})
	// DequantizeLinear without QuantizeLinear dequantizes weights alone.
	if kinds["qdq"] && q.Operators["QuantizeLinear"] == 0 {
		delete(kinds, "qdq")
		kinds["weight-only"] = true
	}
	for _, t := range r.tensors {
		if r.role[t.Name] != roleWeight || t.DType.Bits() == 0 || t.DType.Bits() > 16 {
			continue
		}
		q.Weights[t.DType.String()]++
		if t.DType.IsFloat() && t.DType.Bits() == 16 {
			kinds["half"] = true
		}
	}
	q.Kinds = append(q.Kinds, slices.Sorted(maps.Keys(kinds))...)
	return q
}
