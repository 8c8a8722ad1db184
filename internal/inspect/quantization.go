package inspect

import (
	"cmp"
	"fmt"
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
	// Weights counts the quantized or half-width weights by element type, those in packed
	// bits by "int4 in blocks of 32".
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
	"MatMulInteger":            "integer",
	"ConvInteger":              "integer",
	"DynamicQuantizeLinear":    "dynamic",
	"DynamicQuantizeMatMul":    "dynamic",
	"MatMulIntegerToFloat":     "integer",
	"DynamicQuantizeLSTM":      "dynamic",
	"MatMulNBits":              "weight-only",
	"MatMulBnb4":               "weight-only",
	"GatherBlockQuantized":     "weight-only",
	"QMoE":                     "weight-only",
}

// blocked names the format of the weight that a node reads in packed bits, and the input
// that it is.
func blocked(n *onnx.Node) (weight, format string) {
	switch n.OpType {
	case "MatMulNBits":
		return n.Input(1), fmt.Sprintf("int%d in blocks of %d", n.AttrInt("bits", 4), n.AttrInt("block_size", 0))
	case "GatherBlockQuantized":
		return n.Input(0), fmt.Sprintf("int%d in blocks of %d", n.AttrInt("bits", 4), n.AttrInt("block_size", 128))
	case "MatMulBnb4":
		kind := map[int64]string{0: "fp4", 1: "nf4"}[n.AttrInt("quant_type", 0)]
		return n.Input(1), fmt.Sprintf("%s in blocks of %d", kind, n.AttrInt("block_size", 0))
	}
	return "", ""
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
	kinds, formats := map[string]bool{}, map[string]string{}
	m.WalkNodes(func(n *onnx.Node) {
		if kind, ok := quantizedOps[n.OpType]; ok {
			kinds[kind] = true
			q.Operators[n.OpType]++
		}
		if w, format := blocked(n); w != "" {
			formats[w] = format
		}
	})
	// What multiplies integers takes those of DynamicQuantizeLinear, or ones of fixed scale.
	if kinds["integer"] {
		delete(kinds, "integer")
		if q.Operators["DynamicQuantizeLinear"] > 0 {
			kinds["dynamic"] = true
		} else {
			kinds["operator"] = true
		}
	}
	// DequantizeLinear without QuantizeLinear dequantizes weights alone.
	if kinds["qdq"] && q.Operators["QuantizeLinear"] == 0 {
		delete(kinds, "qdq")
		kinds["weight-only"] = true
	}
	for _, t := range r.tensors {
		if r.role[t.Name] != roleWeight || t.DType.Bits() == 0 || t.DType.Bits() > 16 {
			continue
		}
		q.Weights[cmp.Or(formats[t.Name], t.DType.String())]++
		if t.DType.IsFloat() && t.DType.Bits() == 16 {
			kinds["half"] = true
		}
	}
	q.Kinds = append(q.Kinds, slices.Sorted(maps.Keys(kinds))...)
	return q
}
