package inspect

import (
	"slices"

	"optim/internal/onnx"
)

// content follows the small integer tensors that shapes are computed with.
func (s *shapes) content(n *onnx.Node) {
	out, a := n.Output(0), s.ints[n.Input(0)]
	switch n.OpType {
	case "Shape":
		if in := s.dims[n.Input(0)]; in != nil {
			lo := bound(n.AttrInt("start", 0), int64(len(in)))
			hi := bound(n.AttrInt("end", int64(len(in))), int64(len(in)))
			s.ints[out] = append([]int64{}, in[lo:max(lo, hi)]...)
		}
		return
	case "Concat":
		s.contentConcat(n)
		return
	case "Where":
		s.contentWhere(n)
		return
	}
	if a == nil {
		return
	}
	switch n.OpType {
	case "ConstantOfShape":
		s.contentFill(n, a)
	case "Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape":
		s.ints[out] = a
	case "Gather":
		var picked []int64
		for _, i := range s.ints[n.Input(1)] {
			at, ok := axisOf(i, len(a))
			if !ok {
				return
			}
			picked = append(picked, a[at])
		}
		if picked != nil {
			s.ints[out] = picked
		}
	case "Slice":
		s.contentSlice(n, a)
	case "Add", "Sub", "Mul", "Div", "Equal":
		s.contentArithmetic(n, a, s.ints[n.Input(1)])
	}
}

func (s *shapes) contentConcat(n *onnx.Node) {
	var all []int64
	for _, in := range n.Inputs {
		v := s.ints[in]
		if v == nil || len(all)+len(v) > maxRank {
			return
		}
		all = append(all, v...)
	}
	s.ints[n.Output(0)] = all
}

func (s *shapes) contentSlice(n *onnx.Node, a []int64) {
	starts, ends := s.ints[n.Input(1)], s.ints[n.Input(2)]
	steps := s.ints[n.Input(4)]
	if len(starts) != 1 || len(ends) != 1 || n.Input(4) != "" && (len(steps) != 1 || steps[0] != 1) {
		return
	}
	lo, hi := bound(starts[0], int64(len(a))), bound(ends[0], int64(len(a)))
	s.ints[n.Output(0)] = append([]int64{}, a[lo:max(lo, hi)]...)
}

func (s *shapes) contentArithmetic(n *onnx.Node, a, b []int64) {
	if b == nil || len(a) != len(b) && len(a) != 1 && len(b) != 1 {
		return
	}
	size := len(a)
	if size == 1 { // one element goes with any number of others, none included
		size = len(b)
	}
	out := make([]int64, size)
	for i := range out {
		x, y := a[i%len(a)], b[i%len(b)]
		if x > sizeLimit || y > sizeLimit || x < -sizeLimit || y < -sizeLimit {
			return
		}
		switch {
		case n.OpType == "Add":
			out[i] = x + y
		case n.OpType == "Sub":
			out[i] = x - y
		case n.OpType == "Equal":
			if x == y {
				out[i] = 1
			}
		case n.OpType == "Mul":
			out[i] = x * y
		case y == 0:
			return
		default:
			out[i] = x / y
		}
	}
	s.ints[n.Output(0)] = out
}

// contentFill is a list of equal numbers.
func (s *shapes) contentFill(n *onnx.Node, shape []int64) {
	value := []int64{0}
	if t := n.AttrTensor("value"); t != nil {
		v, err := t.Value()
		if err != nil || !t.DType.IsInteger() || t.Elements() != 1 {
			return
		}
		if value, err = v.Int64s(); err != nil {
			return
		}
	}
	if len(shape) == 1 && shape[0] >= 0 && shape[0] <= maxRank {
		s.ints[n.Output(0)] = slices.Repeat(value, int(shape[0]))
	}
}

// contentWhere chooses between the elements of two lists.
func (s *shapes) contentWhere(n *onnx.Node) {
	cond, a, b := s.ints[n.Input(0)], s.ints[n.Input(1)], s.ints[n.Input(2)]
	if len(cond) == 0 || len(a) != len(cond) || len(b) != len(cond) {
		return
	}
	out := slices.Clone(b)
	for i, c := range cond {
		if c != 0 {
			out[i] = a[i]
		}
	}
	s.ints[n.Output(0)] = out
}

// rank1 reports whether the output of n, whose content is known, is a list.
func (s *shapes) rank1(n *onnx.Node) bool {
	return n.OpType == "Concat" || n.OpType == "Shape"
}
