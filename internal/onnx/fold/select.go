package fold

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

func concat(n *onnx.Node, in []tensor.Tensor) (tensor.Tensor, bool) {
	first := in[0]
	axis, ok := axisIn(n.AttrInt("axis", 1), len(first.Shape))
	if !ok || n.Attr("axis") == nil {
		return tensor.Tensor{}, false
	}
	s := first.Shape.Clone()
	s[axis] = 0
	for _, t := range in {
		if t.DType != first.DType || len(t.Shape) != len(s) {
			return tensor.Tensor{}, false
		}
		for i, d := range t.Shape {
			if i != axis && d != s[i] {
				return tensor.Tensor{}, false
			}
		}
		s[axis] += t.Shape[axis]
	}
	out, ok := fresh(first.DType, s)
	if !ok {
		return out, false
	}
	rows, err := s[:axis].Elements()
	if err != nil || len(out.Data) == 0 {
		return out, err == nil
	}
	data := out.Data[:0]
	for row := range rows {
		for _, t := range in {
			width := int64(len(t.Data)) / rows
			data = append(data, t.Data[row*width:(row+1)*width]...)
		}
	}
	return out, true
}

func gather(n *onnx.Node, in []tensor.Tensor) (tensor.Tensor, bool) {
	if len(in) != 2 {
		return tensor.Tensor{}, false
	}
	data := in[0]
	axis, ok := axisIn(n.AttrInt("axis", 0), len(data.Shape))
	at, isList := list(in[1])
	if !ok || !isList {
		return tensor.Tensor{}, false
	}
	size := data.Shape[axis]
	for i, v := range at {
		if v < 0 {
			at[i] = v + size
		}
		if at[i] < 0 || at[i] >= size {
			return tensor.Tensor{}, false
		}
	}
	s := append(tensor.Shape{}, data.Shape[:axis]...)
	s = append(append(s, in[1].Shape...), data.Shape[axis+1:]...)
	inner, err := data.Shape[axis+1:].Elements()
	if err != nil {
		return tensor.Tensor{}, false
	}
	count := int64(len(at))
	return pick(data, s, func(i int64) int64 {
		row, col := i/inner, i%inner
		return (row/count*size+at[row%count])*inner + col
	})
}

// slice is Slice from version 10 on, whose ranges are inputs.
func slice(n *onnx.Node, in []tensor.Tensor) (tensor.Tensor, bool) {
	if len(in) < 3 {
		return tensor.Tensor{}, false
	}
	data := in[0]
	lists := make([][]int64, 5) // data, starts, ends, axes, steps
	for i := 1; i < len(in) && i < 5; i++ {
		if in[i].DType == tensor.Undefined {
			continue
		}
		v, ok := list(in[i])
		if !ok || i > 1 && len(v) != len(lists[1]) {
			return tensor.Tensor{}, false
		}
		lists[i] = v
	}
	s := append(tensor.Shape{}, data.Shape...)
	first, step := make([]int64, len(s)), make([]int64, len(s))
	for i := range step {
		step[i] = 1
	}
	seen := make([]bool, len(s))
	for i := range lists[1] {
		axis, by := int64(i), int64(1)
		if lists[3] != nil {
			axis = lists[3][i]
		}
		if lists[4] != nil {
			by = lists[4][i]
		}
		a, ok := axisIn(axis, len(s))
		if !ok || by == 0 || lists[2] == nil || seen[a] {
			return tensor.Tensor{}, false
		}
		if by < 0 && lists[2][i] >= math.MaxInt32 {
			return tensor.Tensor{}, false // ONNX Runtime takes it for "to the first one"
		}
		seen[a] = true
		first[a], s[a] = span(lists[1][i], lists[2][i], by, data.Shape[a])
		step[a] = by
	}
	from := strides(data.Shape)
	to := strides(s)
	return pick(data, s, func(i int64) int64 {
		j := int64(0)
		for a := range s {
			j += (first[a] + i/to[a]%s[a]*step[a]) * from[a]
		}
		return j
	})
}

// span returns the first index and the length of a slice of an axis of size n,
// its ends clamped as the operator does.
func span(start, end, step, n int64) (first, length int64) {
	lo, hi := int64(0), n // bounds of start and end, for a positive step
	if step < 0 {
		lo, hi = -1, n-1
	}
	clamp := func(v, low int64) int64 {
		if v < 0 {
			v += n
		}
		return min(max(v, low), hi)
	}
	first, end = clamp(start, max(lo, 0)), clamp(end, lo)
	if step < 0 && n == 0 {
		return 0, 0
	}
	if step > 0 && end > first {
		length = (end-first-1)/step + 1
	}
	if step < 0 && end < first {
		// Not -step: the least int64 has no opposite.
		length = (end-first+1)/step + 1
	}
	return first, length
}
