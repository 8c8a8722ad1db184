package quant

import (
	"math"
	"slices"
	"strings"

	"optim/internal/onnx"
	"optim/internal/onnx/infer"
	"optim/internal/tensor"
)

// halfOps are the operators that run in half precision. All floats that they
// take and give have one type, and their schemas take float16 from operator set
// 13 on. Where ONNX Runtime has no kernel for one, it casts around it by itself;
// where it has, sums are kept in float32 (Softmax, LayerNormalization).
var halfOps = set(`MatMul Gemm Conv ConvTranspose Einsum Add Sub Mul Div Min Max Neg Abs Relu LeakyRelu PRelu
	Elu Selu Celu Clip Sigmoid HardSigmoid HardSwish Tanh Erf Gelu Softplus Softsign Mish Softmax LogSoftmax
	LayerNormalization BatchNormalization InstanceNormalization MaxPool AveragePool GlobalAveragePool
	GlobalMaxPool Where Pad Gather GatherElements GatherND Slice Split Concat Reshape Transpose Squeeze
	Unsqueeze Expand Tile Flatten Identity DepthToSpace SpaceToDepth Trilu`)

// unsafeOps are operators that leave the range of float16 or lose their digits
// in it: squares and powers, exponentials, and sums over many values.
var unsafeOps = set(`Pow Exp Log Sqrt Reciprocal CumSum Sum Mean ReduceMean ReduceSum ReduceSumSquare ReduceProd
	ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp LpNormalization MeanVarianceNormalization LRN
	RMSNormalization GroupNormalization`)

// heavyOps are worth two casts even where their neighbours are in float.
var heavyOps = set(`MatMul Gemm Conv ConvTranspose Einsum`)

// readers take values of any type, and give what does not depend on it.
var readers = set(`Shape Size`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// otherInputs are the inputs of halfOps that are no floats: shapes, positions
// and conditions.
var otherInputs = map[string][]int{
	"Reshape": {1}, "Gather": {1}, "GatherElements": {1}, "GatherND": {1}, "Slice": {1, 2, 3, 4}, "Split": {1},
	"QuantizeLinear": {2}, "DequantizeLinear": {0, 2}, "Squeeze": {1}, "Unsqueeze": {1}, "Expand": {1}, "Tile": {1}, "Pad": {1, 3}, "Where": {0}, "Trilu": {1},
}

// floatInputs lists the places of the inputs that have the node's float type.
func floatInputs(n *onnx.Node) []int {
	var out []int
	for i, v := range n.Inputs {
		if v != "" && !slices.Contains(otherInputs[n.OpType], i) {
			out = append(out, i)
		}
	}
	return out
}

// halfReason says why a node stays in float; empty: it may run in half. The
// second result is false for a node that has no floats to speak of.
func (h *halfPass) halfReason(n *onnx.Node, index *onnx.Index) (reason string, floats bool) {
	for _, v := range append(slices.Clone(n.Inputs), n.Outputs...) {
		floats = floats || h.typeOf(v) == tensor.Float32
	}
	switch {
	case !floats || n.OpType == "Cast" || readers[n.OpType]:
		return "", false
	case !infer.Standard(n.Domain):
		return "operators of other domains stay in float", true
	case h.geluCube(n, index):
		return "", true
	case unsafeOps[n.OpType]:
		return n.OpType + " needs the range or the digits of float32", true
	case h.o.Form == TensorRT && n.Is("QuantizeLinear", "DequantizeLinear") && h.model.Opset("") >= float8Opset:
		return "", true
	case !halfOps[n.OpType]:
		return n.OpType + " is not run in half precision", true
	case len(n.Outputs) > 1 && n.OpType != "Split":
		return "it has optional outputs", true
	case h.elementType(n) != tensor.Float32:
		return "", false // it moves something else
	case tinyConstant(n, h.facts):
		return "a constant would lose its digits in float16", true
	}
	return "", true
}

// geluCube reports whether a node is the x³ of GELU's approximation,
//
//	0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))
//
// which may overflow: tanh makes ±1 of ±∞, as it does of all that is near it. With
// a cast in its middle the runtime does not fuse the formula to one operator.
func (h *halfPass) geluCube(n *onnx.Node, index *onnx.Index) bool {
	if !n.Is("Pow") || h.typeOf(n.Input(1)) != tensor.Float32 {
		return false
	}
	mul := index.SoleConsumer(n.Output(0))
	return mul != nil && mul.Is("Mul") && h.isNumber(n.Input(1), 3) && (h.isNumber(mul.Input(0), 0.044715) || h.isNumber(mul.Input(1), 0.044715))
}

// isNumber reports whether a value is a constant of one element, about x.
func (h *halfPass) isNumber(v string, x float64) bool {
	list, ok := h.facts.Floats(v)
	return ok && len(list) == 1 && near(list[0], x)
}

// elementType is the type that inputs and outputs of one of halfOps have.
func (h *halfPass) elementType(n *onnx.Node) tensor.DType {
	for _, i := range floatInputs(n) {
		if d := h.typeOf(n.Inputs[i]); d != tensor.Undefined {
			return d
		}
	}
	return h.typeOf(n.Output(0))
}

// typeOf is the element type of a value.
func (h *halfPass) typeOf(v string) tensor.DType {
	if d := h.facts.Of(v).DType; d != tensor.Undefined {
		return d
	}
	return h.types[v]
}

// tinyConstant reports whether a node has a short constant below the least
// normal float16, such as the epsilon of a normalization.
func tinyConstant(n *onnx.Node, facts *infer.Scope) bool {
	if !n.Is("Add", "Sub", "Mul", "Div", "Max", "Min", "Clip") {
		return false
	}
	for _, v := range n.Inputs {
		t := facts.Const(v)
		if t == nil || t.Elements() > 16 {
			continue
		}
		list, ok := facts.Floats(v)
		for _, x := range list {
			if a := math.Abs(float64(x)); ok && a > 0 && a < 0x1p-14 {
				return true
			}
		}
	}
	return false
}

// chooseHalf decides which nodes of a graph run in half precision, and tells
// the plan of those that do not.
func (h *halfPass) chooseHalf() {
	g, index := h.model.Graph, onnx.NewIndex(h.model.Graph)
	reasons := map[*onnx.Node]string{}
	for _, n := range g.Nodes {
		reason, floats := h.halfReason(n, index)
		if infer.Standard(n.Domain) && halfOps[n.OpType] || h.geluCube(n, index) {
			for _, v := range n.Outputs {
				h.types[v] = h.elementType(n)
			}
		}
		if floats && reason == "" {
			if why, ok := h.o.selected(n); !ok {
				reason = why
			} else if divides(n, index, h.chosen, h.facts) {
				reason = "belongs to a normalization that is in float"
			}
		}
		h.chosen[n] = floats && reason == ""
		if floats {
			reasons[n] = reason
		}
	}
	for changed := true; changed; {
		changed = false
		for _, n := range g.Nodes {
			if h.chosen[n] && h.alone(n, index) {
				h.chosen[n], changed = false, true
				reasons[n] = "between nodes in float"
			}
		}
	}
	for _, n := range g.Nodes {
		if r := reasons[n]; r != "" {
			h.plan.leave(h.label(n), n.OpType, r)
		}
	}
}

// divides reports whether a node subtracts, or divides by, what a node in float
// computes: the middle of a LayerNormalization or Softmax in single nodes.
func divides(n *onnx.Node, index *onnx.Index, chosen map[*onnx.Node]bool, facts *infer.Scope) bool {
	if !n.Is("Sub", "Div") {
		return false
	}
	p := index.Producer(n.Input(1))
	return p != nil && !chosen[p] && unsafeOps[p.OpType] && facts.Of(n.Input(1)).DType == tensor.Float32
}

// alone reports whether a light node has only neighbours in float: two casts
// would buy nothing.
func (h *halfPass) alone(n *onnx.Node, index *onnx.Index) bool {
	if heavyOps[n.OpType] {
		return false
	}
	for _, v := range n.Inputs {
		if p := index.Producer(v); p != nil && h.chosen[p] {
			return false
		}
		if t := h.facts.Const(v); t != nil && t.Elements() >= storedLeast {
			return false
		}
	}
	for _, v := range n.Outputs {
		for _, u := range index.Consumers(v) {
			if h.chosen[u] {
				return false
			}
		}
	}
	return true
}
