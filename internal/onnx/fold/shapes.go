package fold

import (
	"slices"

	"optim/internal/tensor"
)

// maxRank bounds the ranks of folded tensors.
const maxRank = 64

// The functions here return the shape that an operator makes of s, or nil if
// its arguments are not valid; a scalar's shape is empty and not nil.

func reshaped(s tensor.Shape, want []int64, allowZero bool) tensor.Shape {
	if want == nil || len(want) > maxRank {
		return nil
	}
	out := append(tensor.Shape{}, want...)
	open := -1
	known := tensor.Shape{}
	for i, d := range out {
		switch {
		case d == 0 && !allowZero:
			if i >= len(s) {
				return nil
			}
			out[i] = s[i]
		case d == -1 && open < 0:
			open = i
			continue
		case d < 0:
			return nil
		}
		known = append(known, out[i])
	}
	total, err1 := s.Elements()
	n, err2 := known.Elements()
	if err1 != nil || err2 != nil {
		return nil
	}
	if open >= 0 {
		if n == 0 || total%n != 0 {
			return nil
		}
		out[open] = total / n
		return out
	}
	if n != total {
		return nil
	}
	return out
}

func squeezed(s tensor.Shape, axes []int64, given bool) tensor.Shape {
	if given && len(axes) == 0 {
		return nil // all axes or none: the specification does not say
	}
	drop := make([]bool, len(s))
	for _, a := range axes {
		i, ok := axisIn(a, len(s))
		if !ok || s[i] != 1 {
			return nil
		}
		drop[i] = true
	}
	out := tensor.Shape{}
	for i, d := range s {
		if drop[i] || !given && d == 1 {
			continue
		}
		out = append(out, d)
	}
	return out
}

func unsqueezed(s tensor.Shape, axes []int64) tensor.Shape {
	rank := len(s) + len(axes)
	if rank > maxRank || len(axes) == 0 {
		return nil
	}
	added := make([]bool, rank)
	for _, a := range axes {
		i, ok := axisIn(a, rank)
		if !ok || added[i] {
			return nil
		}
		added[i] = true
	}
	out := make(tensor.Shape, 0, rank)
	next := 0
	for _, add := range added {
		if add {
			out = append(out, 1)
			continue
		}
		out = append(out, s[next])
		next++
	}
	return out
}

// flattened splits s before axis, which may be the rank itself.
func flattened(s tensor.Shape, axis int64) tensor.Shape {
	rank := int64(len(s))
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis > rank {
		return nil
	}
	rows, err1 := s[:axis].Elements()
	cols, err2 := s[axis:].Elements()
	if err1 != nil || err2 != nil {
		return nil
	}
	return tensor.Shape{rows, cols}
}

// broadcast returns the common shape of a and b by ONNX's (NumPy's) rule.
func broadcast(a, b tensor.Shape) tensor.Shape {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := append(tensor.Shape{}, a...)
	skip := len(a) - len(b)
	for i, d := range b {
		switch {
		case out[skip+i] == 1:
			out[skip+i] = d
		case d != 1 && d != out[skip+i]:
			return nil
		}
	}
	return out
}

// axisIn counts a negative axis from the end.
func axisIn(axis int64, rank int) (int, bool) {
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), axis >= 0 && axis < int64(rank)
}

// strides returns the distance, in elements, between neighbours along each
// axis of a row-major tensor.
func strides(s tensor.Shape) []int64 {
	out := make([]int64, len(s))
	n := int64(1)
	for i, d := range slices.Backward(s) {
		out[i] = n
		n *= d
	}
	return out
}
