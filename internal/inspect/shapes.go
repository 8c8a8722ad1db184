package inspect

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// maxRank bounds the rank of shapes that are followed; real models stay below.
const maxRank = 16

// shapes follows the dimensions of values through a graph, symbolic ones taken
// as 1, and the small integer tensors that models compute shapes with. A value
// that is not in dims has dimensions that are not known: never a guess.
type shapes struct {
	dims map[string][]int64
	ints map[string][]int64 // contents of small int64 tensors and scalars
}

// newShapes begins with what the graph declares. Of the values inside only
// those with numbers throughout are taken: a symbol there may stand for any
// product of the inputs'.
func newShapes(g *onnx.Graph) *shapes {
	s := &shapes{dims: map[string][]int64{}, ints: map[string][]int64{}}
	for _, v := range g.Inputs {
		s.declare(v, true)
	}
	for _, v := range append(slices.Clone(g.ValueInfo), g.Outputs...) {
		s.declare(v, false)
	}
	for _, t := range g.Initializers {
		s.constant(t.Name, t)
	}
	return s
}

func (s *shapes) declare(v *onnx.ValueInfo, symbols bool) {
	if v.Type == nil || !v.Type.HasShape || len(v.Type.Dims) > maxRank {
		return
	}
	dims := make([]int64, 0, len(v.Type.Dims))
	for _, d := range v.Type.Dims {
		switch {
		case d.Symbol == "" && d.Value >= 0:
			dims = append(dims, d.Value)
		case symbols:
			dims = append(dims, 1)
		default:
			return
		}
	}
	s.dims[v.Name] = dims
}

func (s *shapes) constant(name string, t *onnx.Tensor) {
	if len(t.Shape) > maxRank {
		return
	}
	s.dims[name] = append([]int64{}, t.Shape...)
	if !t.DType.IsInteger() || t.Elements() > maxRank || len(t.Shape) > 1 {
		return
	}
	if v, err := t.Value(); err == nil {
		if ints, err := v.Int64s(); err == nil {
			s.ints[name] = append([]int64{}, ints...) // not nil, also for an empty list
		}
	}
}

// node derives what it can of the outputs of n. What the graph declares wins.
func (s *shapes) node(n *onnx.Node) {
	if n.OpType == "Constant" && len(n.Outputs) == 1 {
		s.constantNode(n)
		return
	}
	s.content(n)
	out := n.Output(0)
	if _, known := s.dims[out]; known || out == "" {
		return
	}
	if v, ok := s.ints[out]; ok && s.rank1(n) {
		s.dims[out] = []int64{int64(len(v))}
		return
	}
	if dims := s.derive(n); dims != nil && len(dims) <= maxRank && !slices.ContainsFunc(dims, negative) {
		s.dims[out] = dims
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
	switch n.OpType {
	case "Conv", "ConvInteger", "FusedConv":
		return s.window(n, in, s.dims[n.Input(1)])
	case "QLinearConv":
		return s.window(n, in, s.dims[n.Input(3)])
	case "MaxPool", "AveragePool", "LpPool":
		return s.window(n, in, nil)
	case "GlobalAveragePool", "GlobalMaxPool", "QLinearGlobalAveragePool":
		return globalPool(in)
	case "MatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat":
		return matMul(in, s.dims[n.Input(1)])
	case "QLinearMatMul":
		return matMul(in, s.dims[n.Input(3)])
	case "MatMulNBits", "MatMulBnb4":
		return lastDim(in, n.AttrInt("N", -1))
	case "Gemm":
		return gemm(n, in, s.dims[n.Input(1)])
	case "QGemm":
		return gemm(n, in, s.dims[n.Input(3)])
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

// window returns the dimensions after a convolution (w: its weight) or a
// pooling (w nil); see the operators' formulas in the ONNX specification.
func (s *shapes) window(n *onnx.Node, in, w []int64) []int64 {
	spatial := len(in) - 2
	if spatial < 1 || n.OpType == "ConvInteger" && w == nil {
		return nil
	}
	kernel := n.AttrInts("kernel_shape")
	out := []int64{in[0], in[1]}
	if w != nil {
		if len(w) != len(in) {
			return nil
		}
		kernel, out[1] = w[2:], w[0]
	}
	strides := orOnes(n.AttrInts("strides"), spatial)
	dilations := orOnes(n.AttrInts("dilations"), spatial)
	pads := n.AttrInts("pads")
	if pads == nil {
		pads = make([]int64, 2*spatial)
	}
	if len(kernel) != spatial || len(strides) != spatial || len(dilations) != spatial || len(pads) != 2*spatial {
		return nil
	}
	auto, ceil := n.AttrString("auto_pad", "NOTSET"), n.AttrInt("ceil_mode", 0) != 0
	for i := range spatial {
		d := slide(in[i+2], kernel[i], strides[i], dilations[i], pads[i], pads[i+spatial], auto, ceil)
		if d < 0 {
			return nil
		}
		out = append(out, d)
	}
	return out
}

// sizeLimit bounds the numbers of a window, so that their sums cannot overflow.
const sizeLimit = 1 << 30

// slide returns the number of places of a window along one axis; -1: none.
func slide(size, kernel, stride, dilation, before, after int64, auto string, ceil bool) int64 {
	for _, v := range []int64{size, kernel, stride, dilation, before, after} {
		if v < 0 || v > sizeLimit {
			return -1
		}
	}
	if stride < 1 || dilation > sizeLimit/max(kernel, 1) {
		return -1
	}
	switch auto {
	case "SAME_UPPER", "SAME_LOWER":
		return (size + stride - 1) / stride
	case "VALID":
		before, after = 0, 0
	}
	room := size + before + after - (dilation*(kernel-1) + 1)
	if room < 0 {
		return -1
	}
	places := room/stride + 1
	// With ceil_mode the last window may stand out, if it begins inside.
	if ceil && room%stride != 0 && places*stride < size+before {
		places++
	}
	return places
}

func orOnes(v []int64, n int) []int64 {
	if v == nil {
		v = slices.Repeat([]int64{1}, n)
	}
	return v
}

func globalPool(in []int64) []int64 {
	if len(in) < 2 {
		return nil
	}
	out := slices.Clone(in)
	for i := 2; i < len(out); i++ {
		out[i] = 1
	}
	return out
}

func lastDim(in []int64, n int64) []int64 {
	if len(in) == 0 {
		return nil
	}
	out := slices.Clone(in)
	out[len(out)-1] = n
	return out
}

func matMul(a, b []int64) []int64 {
	if len(a) < 2 || len(b) < 2 || a[len(a)-1] != b[len(b)-2] {
		return nil
	}
	batch := broadcast(a[:len(a)-2], b[:len(b)-2])
	if batch == nil {
		return nil
	}
	return append(batch, a[len(a)-2], b[len(b)-1])
}

func gemm(n *onnx.Node, a, b []int64) []int64 {
	if len(a) != 2 || len(b) != 2 {
		return nil
	}
	rows, columns := a[0], b[1]
	if n.AttrInt("transA", 0) != 0 {
		rows = a[1]
	}
	if n.AttrInt("transB", 0) != 0 {
		columns = b[0]
	}
	return []int64{rows, columns}
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
