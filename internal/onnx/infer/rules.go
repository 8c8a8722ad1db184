package infer

import (
	"strings"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// rule says how the output of an operator follows from its inputs.
type rule int

const (
	ruleSame      rule = iota + 1 // first input's type, rank and length
	ruleRank                      // first input's type and rank
	ruleBroadcast                 // first input's type, greatest rank
	ruleBool                      // bool, greatest rank
)

var rules = build(map[rule]string{
	ruleSame: `Relu Sigmoid Tanh Erf Exp Log Sqrt Neg Abs Floor Ceil Round Sign Reciprocal Softplus
		Softsign LeakyRelu Elu Selu Celu HardSigmoid HardSwish Mish Gelu ThresholdedRelu PRelu Clip
		Softmax LogSoftmax Hardmax Identity CumSum Dropout Sin Cos Tan Asin Acos Atan Sinh Cosh
		Shrink ScatterElements Scatter ScatterND Trilu`,
	ruleRank: `Conv ConvTranspose MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool
		GlobalLpPool BatchNormalization InstanceNormalization LayerNormalization GroupNormalization
		RMSNormalization LpNormalization MeanVarianceNormalization LRN Resize Upsample Pad Tile Slice
		DepthToSpace SpaceToDepth GatherElements ReverseSequence Split Concat Transpose Compress`,
	ruleBroadcast: `Add Sub Mul Div Pow Mod Min Max Sum Mean BitShift`,
	ruleBool:      `Equal Less Greater LessOrEqual GreaterOrEqual And Or Xor Not IsNaN IsInf`,
})

func build(lists map[rule]string) map[string]rule {
	m := map[string]rule{}
	for r, list := range lists {
		for _, op := range strings.Fields(list) {
			m[op] = r
		}
	}
	return m
}

// output infers the fact of output i of n.
func (s *Scope) output(n *onnx.Node, i int) Fact {
	if !Standard(n.Domain) {
		return Unknown
	}
	in := s.input(n, 0)
	switch rules[n.OpType] {
	case ruleSame:
		return s.first(n, in, i)
	case ruleRank:
		in.Len = -1
		if n.OpType == "Concat" {
			in = s.concat(n)
		}
		if n.OpType == "Transpose" {
			if perm := n.AttrInts("perm"); len(perm) > 0 {
				in.Rank = len(perm)
			}
		}
		return s.first(n, in, i)
	case ruleBroadcast:
		return s.broadcast(n, in.DType)
	case ruleBool:
		return s.broadcast(n, tensor.Bool)
	}
	if strings.HasPrefix(n.OpType, "Reduce") {
		return s.reduced(n, in.DType, s.axesCount(n))
	}
	return s.special(n, i)
}

// first is f for the first output; of the others only Split's are like it.
func (s *Scope) first(n *onnx.Node, f Fact, i int) Fact {
	if i > 0 && n.OpType != "Split" {
		return Unknown
	}
	return f
}

// input returns the fact of input i, Unknown where it is absent.
func (s *Scope) input(n *onnx.Node, i int) Fact {
	if i >= len(n.Inputs) {
		return Unknown
	}
	return s.Of(n.Inputs[i])
}

// broadcast is the fact of an elementwise result of type d.
func (s *Scope) broadcast(n *onnx.Node, d tensor.DType) Fact {
	f := Fact{DType: d, Len: -1}
	for i := range n.Inputs {
		in := s.input(n, i)
		if in.Rank < 0 {
			return Fact{DType: d, Rank: -1, Len: -1}
		}
		f.Rank = max(f.Rank, in.Rank)
	}
	if f.Rank != 1 {
		return f
	}
	for i := range n.Inputs {
		switch in := s.input(n, i); {
		case in.Rank == 0:
		case in.Len < 0:
			f.Len = -1
			return f
		case in.Len != 1 || f.Len < 0:
			f.Len = in.Len
		}
	}
	return f
}

// concat is the fact of a Concat, whose inputs have one type and one rank.
func (s *Scope) concat(n *onnx.Node) Fact {
	f := Unknown
	sum := int64(0)
	for i := range n.Inputs {
		in := s.input(n, i)
		f = merge(f, Fact{DType: in.DType, Rank: in.Rank, Len: -1})
		if in.Len < 0 || sum < 0 || in.Len > 1<<40 {
			sum = -1
			continue
		}
		sum += in.Len
	}
	if f.Rank == 1 {
		f.Len = sum
	}
	return f
}

// axesCount returns how many axes n names, in its attribute or its second
// input: 0 where it names none, -1 if that is unknown.
func (s *Scope) axesCount(n *onnx.Node) int64 {
	if axes := n.AttrInts("axes"); len(axes) > 0 {
		return int64(len(axes))
	}
	if len(n.Inputs) < 2 || n.Inputs[1] == "" {
		return 0
	}
	return s.input(n, 1).Len
}

// reduced is the fact of a reduction of the first input over some axes.
func (s *Scope) reduced(n *onnx.Node, d tensor.DType, axes int64) Fact {
	f := Fact{DType: d, Rank: s.input(n, 0).Rank, Len: -1}
	switch {
	case n.AttrInt("keepdims", 1) != 0 || f.Rank < 0:
	case axes == 0 && n.AttrInt("noop_with_empty_axes", 0) != 0:
	case axes == 0:
		f.Rank = 0
	case axes < 0 || axes > int64(f.Rank):
		f.Rank = -1
	default:
		f.Rank -= int(axes)
	}
	return f
}
