package inspect

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// maxRank bounds the rank of shapes that are followed; real models stay below.
const maxRank = 16

// shapes follows the dimensions of values through a graph, and the small integer
// tensors that models compute shapes with. A value that is not in dims has
// dimensions that are not known: never a guess.
type shapes struct {
	dims map[string][]int64
	ints map[string][]int64 // contents of small int64 tensors and scalars
	// dequantized are the outputs of DequantizeLinear.
	dequantized map[string]bool
}

// newShapes begins with the inputs, by size, and what the graph declares. Of the
// values inside only those with numbers throughout are taken: a symbol there may
// stand for any product of the inputs'.
func newShapes(g *onnx.Graph, size sizer) *shapes {
	s := &shapes{dims: map[string][]int64{}, ints: map[string][]int64{}, dequantized: map[string]bool{}}
	for _, v := range g.Inputs {
		s.declare(v, size(v))
	}
	for _, v := range append(slices.Clone(g.ValueInfo), g.Outputs...) {
		s.declare(v, resolved(v, func(onnx.Dim) (int64, bool) { return 0, false }))
	}
	for _, t := range g.Initializers {
		s.constant(t.Name, t)
	}
	return s
}

func (s *shapes) declare(v *onnx.ValueInfo, dims []int64) {
	if dims != nil {
		s.dims[v.Name] = dims
	}
}

func (s *shapes) constant(name string, t *onnx.Tensor) {
	if len(t.Shape) > maxRank {
		return
	}
	s.dims[name] = append([]int64{}, t.Shape...)
	if !t.DType.IsInteger() && t.DType != tensor.Bool || t.Elements() > maxRank || len(t.Shape) > 1 {
		return
	}
	if v, err := t.Value(); err == nil {
		if ints, err := v.Int64s(); err == nil {
			s.ints[name] = append([]int64{}, ints...) // not nil, also for an empty list
		}
	}
}

// node derives what it can of the outputs of n. What follows from the inputs wins
// over what the graph declares: exporters leave sizes of their example there.
func (s *shapes) node(n *onnx.Node) {
	if n.OpType == "Constant" && len(n.Outputs) == 1 {
		s.constantNode(n)
		return
	}
	s.content(n)
	if v, ok := s.ints[n.Output(0)]; ok && s.rank1(n) {
		s.set(n.Output(0), []int64{int64(len(v))})
		return
	}
	dims := s.derive(n)
	if at, ok := secondFactor[n.OpType]; ok && dims == nil && s.dims[n.Input(0)] != nil && s.dims[n.Input(at)] != nil {
		delete(s.dims, n.Output(0)) // the factors do not fit, whatever is declared
	}
	s.set(n.Output(0), dims)
	s.others(n)
	if n.OpType == "DequantizeLinear" {
		s.dequantized[n.Output(0)] = true
	}
}

// set notes the dimensions of a value, if they are known and possible.
func (s *shapes) set(value string, dims []int64) {
	if value != "" && dims != nil && len(dims) <= maxRank && !slices.ContainsFunc(dims, negative) {
		s.dims[value] = dims
	}
}

func negative(d int64) bool { return d < 0 }

func (s *shapes) constantNode(n *onnx.Node) {
	for _, a := range n.Attrs {
		switch {
		case a.T != nil:
			s.constant(n.Outputs[0], a.T)
		case a.Type == onnx.AttrInts:
			s.dims[n.Outputs[0]], s.ints[n.Outputs[0]] = []int64{int64(len(a.Ints))}, a.Ints
		case a.Type == onnx.AttrInt:
			s.dims[n.Outputs[0]], s.ints[n.Outputs[0]] = []int64{}, []int64{a.I}
		case a.Type == onnx.AttrFloat:
			s.dims[n.Outputs[0]] = []int64{}
		}
	}
}

// derive returns the dimensions of the first output of n; nil: not known.
func (s *shapes) derive(n *onnx.Node) []int64 {
	in := s.dims[n.Input(0)]
	if at, ok := secondFactor[n.OpType]; ok {
		return s.productDims(n, in, s.dims[n.Input(at)])
	}
	switch n.OpType {
	case "MaxPool", "AveragePool", "LpPool", "QLinearAveragePool":
		return pooled(n, in)
	case "GlobalAveragePool", "GlobalMaxPool", "QLinearGlobalAveragePool":
		if n.AttrInt("channels_last", 0) != 0 {
			return nil
		}
		return globalPool(in)
	case "MatMulNBits", "MatMulBnb4":
		return lastDim(in, n.AttrInt("N", -1))
	case "LSTM", "GRU", "RNN", "DynamicQuantizeLSTM":
		return s.recurrent(n)
	case "Attention", "QAttention", "MultiHeadAttention":
		return s.attention(n).output
	case "Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mod", "PRelu", "Equal", "Less", "Greater",
		"LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor", "Where", "Sum", "Mean", "BitShift":
		return s.broadcast(n.Inputs)
	case "QLinearAdd", "QLinearMul":
		return s.broadcast([]string{n.Input(0), n.Input(3)})
	}
	if sameShape[n.OpType] {
		return in
	}
	return s.reshape(n, in)
}

// others notes the dimensions of the outputs behind the first.
func (s *shapes) others(n *onnx.Node) {
	switch n.OpType {
	case "DynamicQuantizeLinear": // scale and zero point
		s.set(n.Output(1), []int64{})
		s.set(n.Output(2), []int64{})
	case "SkipLayerNormalization", "SkipSimplifiedLayerNormalization": // the sum
		s.set(n.Output(3), s.dims[n.Input(0)])
	case "LSTM", "GRU", "RNN", "DynamicQuantizeLSTM": // last hidden and cell state
		last := s.recurrentState(n)
		s.set(n.Output(1), last)
		s.set(n.Output(2), last)
	case "Attention", "QAttention", "MultiHeadAttention":
		for i, dims := range s.attention(n).presents {
			s.set(n.Output(1+i), dims)
		}
	case "Split":
		if in := s.dims[n.Input(0)]; in != nil {
			s.split(n, in)
		}
	}
}

// sameShape lists operators whose first output has the dimensions of their
// first input.
var sameShape = map[string]bool{
	"Relu": true, "LeakyRelu": true, "Elu": true, "Selu": true, "Celu": true, "Sigmoid": true,
	"HardSigmoid": true, "HardSwish": true, "Tanh": true, "Gelu": true, "FastGelu": true,
	"BiasGelu": true, "QuickGelu": true, "Mish": true, "Softplus": true, "Softsign": true,
	"Erf": true, "Exp": true, "Log": true, "Sqrt": true, "Abs": true, "Neg": true, "Sin": true,
	"Cos": true, "Reciprocal": true, "Floor": true, "Ceil": true, "Round": true, "Sign": true,
	"Not": true, "Clip": true, "Cast": true, "CastLike": true, "Identity": true, "Dropout": true,
	"Softmax": true, "LogSoftmax": true, "BatchNormalization": true, "LRN": true, "IsNaN": true,
	"LayerNormalization": true, "InstanceNormalization": true, "GroupNormalization": true,
	"SkipLayerNormalization": true, "SimplifiedLayerNormalization": true,
	"QuantizeLinear": true, "DequantizeLinear": true, "DynamicQuantizeLinear": true,
	"QLinearLeakyRelu": true, "QLinearSigmoid": true, "Trilu": true, "CumSum": true,
}

// broadcast returns the dimensions that the named values share.
func (s *shapes) broadcast(names []string) []int64 {
	out := []int64{}
	for _, name := range names {
		dims, ok := s.dims[name]
		if !ok {
			return nil
		}
		if out = broadcast(out, dims); out == nil {
			return nil
		}
	}
	return out
}

// broadcast returns the common dimensions of a and b; nil: they do not fit.
func broadcast(a, b []int64) []int64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := append([]int64{}, a...)
	for i, d := range b {
		j := len(a) - len(b) + i
		switch {
		case out[j] == 1:
			out[j] = d
		case d != 1 && d != out[j]:
			return nil
		}
	}
	return out
}

// elements returns the product of dims; -1 if it overflows.
func elements(dims []int64) int64 {
	n, err := tensor.Shape(dims).Elements()
	if err != nil {
		return -1
	}
	return n
}
