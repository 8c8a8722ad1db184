package infer

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// maxRank bounds inferred ranks: a longer shape is no tensor's.
const maxRank = 64

// ranked returns a fact, Unknown in rank where rank is not a sensible one.
func ranked(d tensor.DType, rank int64) Fact {
	if rank < 0 || rank > maxRank {
		rank = -1
	}
	return Fact{DType: d, Rank: int(rank), Len: -1}
}

// special infers output i of the operators that follow no common rule.
func (s *Scope) special(n *onnx.Node, i int) Fact {
	in := s.input(n, 0)
	switch n.OpType {
	case "Constant", "ConstantOfShape", "Cast", "QuantizeLinear", "DequantizeLinear", "Where", "Range":
		return s.typed(n)
	case "Shape", "Size", "NonZero", "ArgMax", "ArgMin":
		return s.indices(n)
	case "MatMul":
		return s.matMul(n)
	case "Gemm", "Flatten":
		return ranked(in.DType, 2)
	case "Reshape":
		f := ranked(in.DType, s.input(n, 1).Len)
		if f.Rank == 1 {
			f.Len = elements(in)
		}
		return f
	case "Expand":
		r := int64(in.Rank)
		if l := s.input(n, 1).Len; r >= 0 && l >= 0 {
			return ranked(in.DType, max(r, l))
		}
		return ranked(in.DType, -1)
	case "Gather":
		return s.gather(n)
	case "Squeeze", "Unsqueeze":
		return s.squeeze(n)
	case "TopK":
		if i == 1 {
			in.DType = tensor.Int64
		}
		return ranked(in.DType, int64(in.Rank))
	case "LSTM", "GRU", "RNN":
		if i == 0 {
			return ranked(in.DType, 4)
		}
		return ranked(in.DType, 3)
	}
	return Unknown
}

// typed infers the operators that choose their result's type.
func (s *Scope) typed(n *onnx.Node) Fact {
	in := s.input(n, 0)
	switch n.OpType {
	case "Constant":
		return ofConstant(n)
	case "ConstantOfShape":
		if len(n.Inputs) == 0 {
			return Unknown
		}
		d := tensor.Float32
		if a := n.Attr("value"); a != nil && a.T != nil {
			d = a.T.DType
		}
		f := ranked(d, in.Len)
		if dims, ok := s.Ints(n.Inputs[0]); ok && len(dims) == 1 {
			f.Len = dims[0]
		}
		return f
	case "Cast":
		in.DType = tensor.DType(n.AttrInt("to", 0))
		return in
	case "QuantizeLinear":
		d := s.input(n, 2).DType
		if len(n.Inputs) < 3 {
			d = tensor.Uint8
			if to := n.AttrInt("output_dtype", 0); to != 0 {
				d = tensor.DType(to)
			}
		}
		return ranked(d, int64(in.Rank))
	case "DequantizeLinear":
		return ranked(s.input(n, 1).DType, int64(in.Rank))
	case "Where":
		return s.broadcast(n, s.input(n, 1).DType)
	}
	return ranked(in.DType, 1) // Range
}

// ofConstant is the fact of a Constant node, whichever attribute it has.
func ofConstant(n *onnx.Node) Fact {
	for _, a := range n.Attrs {
		switch a.Name {
		case "value":
			if a.T != nil {
				return ofTensor(a.T)
			}
		case "value_float":
			return ranked(tensor.Float32, 0)
		case "value_int":
			return ranked(tensor.Int64, 0)
		case "value_floats":
			return Fact{DType: tensor.Float32, Rank: 1, Len: int64(len(a.Floats))}
		case "value_ints":
			return Fact{DType: tensor.Int64, Rank: 1, Len: int64(len(a.Ints))}
		}
	}
	return Unknown
}

// indices infers the operators whose result is int64.
func (s *Scope) indices(n *onnx.Node) Fact {
	in := s.input(n, 0)
	switch n.OpType {
	case "Shape":
		return Fact{DType: tensor.Int64, Rank: 1, Len: shapeLen(n, int64(in.Rank))}
	case "Size":
		return ranked(tensor.Int64, 0)
	case "NonZero":
		return ranked(tensor.Int64, 2)
	}
	return s.reduced(n, tensor.Int64, 1) // ArgMax, ArgMin: one axis
}

// shapeLen returns how many dimensions Shape yields, from start to end, of a
// tensor of that rank; -1: unknown.
func shapeLen(n *onnx.Node, rank int64) int64 {
	if rank < 0 {
		return -1
	}
	clamp := func(v int64) int64 {
		if v < 0 {
			v += rank
		}
		return min(max(v, 0), rank)
	}
	return max(0, clamp(n.AttrInt("end", rank))-clamp(n.AttrInt("start", 0)))
}

// elements returns the number of elements of a scalar or a list; -1: unknown.
func elements(f Fact) int64 {
	if f.Rank == 0 {
		return 1
	}
	return f.Len
}

func (s *Scope) matMul(n *onnx.Node) Fact {
	a, b := s.input(n, 0), s.input(n, 1)
	d := a.DType
	switch {
	case a.Rank < 0 || b.Rank < 0:
		return ranked(d, -1)
	case a.Rank == 1 && b.Rank == 1:
		return ranked(d, 0)
	case a.Rank == 1 || b.Rank == 1: // a vector's axis is taken out again
		return ranked(d, int64(max(a.Rank, b.Rank)-1))
	}
	return ranked(d, int64(max(a.Rank, b.Rank)))
}

func (s *Scope) gather(n *onnx.Node) Fact {
	data, ind := s.input(n, 0), s.input(n, 1)
	if data.Rank < 1 || ind.Rank < 0 {
		return ranked(data.DType, -1)
	}
	f := ranked(data.DType, int64(data.Rank+ind.Rank-1))
	if data.Rank == 1 && ind.Rank == 1 {
		f.Len = ind.Len
	}
	return f
}

func (s *Scope) squeeze(n *onnx.Node) Fact {
	in := s.input(n, 0)
	axes := s.axesCount(n)
	if n.OpType == "Squeeze" && axes == 0 && in.Len == 1 {
		return ranked(in.DType, 0)
	}
	if in.Rank < 0 || axes <= 0 {
		return ranked(in.DType, -1)
	}
	if n.OpType == "Squeeze" {
		return ranked(in.DType, int64(in.Rank)-axes)
	}
	f := ranked(in.DType, int64(in.Rank)+axes)
	if f.Rank == 1 {
		f.Len = 1
	}
	return f
}
