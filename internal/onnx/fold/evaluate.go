package fold

import (
	"bytes"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// operator computes a node over small constants; ok is false where it does not
// know how, or the node is not valid, which is the runtime's to say. An absent
// input is the zero tensor.
type operator func(n *onnx.Node, in []tensor.Tensor) (out tensor.Tensor, ok bool)

// operators are those that are folded. Beside what stands between a weight and
// its reader they are those of which exporters make shapes.
var operators = map[string]operator{
	"Transpose": transposed,
	"Reshape":   reshapedValue,
	"Squeeze":   reshapedValue,
	"Unsqueeze": reshapedValue,
	"Flatten":   reshapedValue,
	"Cast":      cast,
	"Shape":     shape,
	"Concat":    concat,
	"Gather":    gather,
	"Slice":     slice,
	"Add":       arithmetic,
	"Sub":       arithmetic,
	"Mul":       arithmetic,
	"Div":       arithmetic,
}

// evaluate computes n; nil if it cannot, or if the result would not be small.
// Shape reads no elements, so that its input may be large.
func evaluate(n *onnx.Node, op operator, in []*onnx.Tensor) (*onnx.Tensor, error) {
	values := make([]tensor.Tensor, len(in))
	for i, t := range in {
		if t == nil {
			continue
		}
		if n.OpType == "Shape" {
			values[i] = tensor.Tensor{DType: t.DType, Shape: t.Shape}
			continue
		}
		if bits := t.DType.Bits(); bits < 8 || bits > 64 {
			return nil, nil
		}
		v, err := t.Value()
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	out, ok := op(n, values)
	if !ok || len(out.Data) > smallBytes {
		return nil, nil
	}
	return onnx.NewTensor(n.Outputs[0], out), nil
}

// fresh returns a zeroed small tensor; ok is false if it would not be small.
func fresh(d tensor.DType, s tensor.Shape) (tensor.Tensor, bool) {
	if size, err := s.Bytes(d); s == nil || err != nil || size > smallBytes {
		return tensor.Tensor{}, false
	}
	t, err := tensor.New(d, s)
	return t, err == nil
}

// pick returns the tensor of that shape whose element i is element from(i) of
// src.
func pick(src tensor.Tensor, s tensor.Shape, from func(i int64) int64) (tensor.Tensor, bool) {
	out, ok := fresh(src.DType, s)
	if !ok {
		return out, false
	}
	size := int64(src.DType.Bits() / 8)
	for i := range int64(len(out.Data)) / size {
		j := from(i)
		copy(out.Data[i*size:(i+1)*size], src.Data[j*size:])
	}
	return out, true
}

// list returns the elements of a tensor of int64 or int32 as int64.
func list(t tensor.Tensor) ([]int64, bool) {
	switch t.DType {
	case tensor.Int64:
		return append([]int64{}, tensor.As[int64](t.Data)...), true
	case tensor.Int32:
		out := make([]int64, 0, len(t.Data)/4)
		for _, v := range tensor.As[int32](t.Data) {
			out = append(out, int64(v))
		}
		return out, true
	}
	return nil, false
}

func transposed(n *onnx.Node, in []tensor.Tensor) (tensor.Tensor, bool) {
	perm := permutation(n, len(in[0].Shape))
	if perm == nil {
		return tensor.Tensor{}, false
	}
	s := make(tensor.Shape, len(perm))
	for i, a := range perm {
		s[i] = in[0].Shape[a]
	}
	out, ok := fresh(in[0].DType, s)
	return out, ok && transpose(out.Data, in[0], perm) == nil
}

// reshapedValue is Reshape, Squeeze, Unsqueeze and Flatten.
func reshapedValue(n *onnx.Node, in []tensor.Tensor) (tensor.Tensor, bool) {
	tensors := make([]*onnx.Tensor, len(in))
	for i, v := range in {
		if v.DType != tensor.Undefined {
			tensors[i] = onnx.NewTensor("", v)
		}
	}
	p, err := planOf(n, tensors)
	if err != nil || p == nil {
		return tensor.Tensor{}, false
	}
	return tensor.Tensor{DType: in[0].DType, Shape: p.shape, Data: bytes.Clone(in[0].Data)}, true
}

func cast(n *onnx.Node, in []tensor.Tensor) (tensor.Tensor, bool) {
	to := tensor.DType(n.AttrInt("to", 0))
	if bits := to.Bits(); bits < 8 || bits > 64 || n.Attr("saturate") != nil {
		return tensor.Tensor{}, false
	}
	if in[0].DType.IsFloat() && !to.IsFloat() && to != tensor.Bool && !fits(in[0], to) {
		return tensor.Tensor{}, false
	}
	out, err := tensor.Cast(in[0], to)
	return out, err == nil
}

// fits reports whether all floats of t lie within an integer type: beyond it,
// runtimes differ.
func fits(t tensor.Tensor, to tensor.DType) bool {
	lo, hi := int64(0), int64(1)<<31-1
	if to.Bits() <= 32 {
		lo, hi = to.Range()
	} else if to.IsSigned() {
		lo = -1 << 31
	}
	v, err := t.Float32s()
	if err != nil {
		return false
	}
	for _, x := range v {
		if !(float64(x) >= float64(lo) && float64(x) <= float64(hi)) {
			return false
		}
	}
	return true
}

// shape is Shape, with the start and end of version 15.
func shape(n *onnx.Node, in []tensor.Tensor) (tensor.Tensor, bool) {
	rank := int64(len(in[0].Shape))
	clamp := func(v int64) int64 {
		if v < 0 {
			v += rank
		}
		return min(max(v, 0), rank)
	}
	start, end := clamp(n.AttrInt("start", 0)), clamp(n.AttrInt("end", rank))
	dims := append([]int64{}, in[0].Shape[start:max(start, end)]...)
	return tensor.Of(tensor.Int64, tensor.Shape{int64(len(dims))}, dims), true
}
