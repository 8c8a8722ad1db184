package inspect

import (
	"slices"

	"optim/internal/onnx"
)

// reshape returns the dimensions after an operator that moves or cuts data;
// nil: not known.
func (s *shapes) reshape(n *onnx.Node, in []int64) []int64 {
	if in == nil {
		return nil
	}
	switch n.OpType {
	case "Reshape":
		return reshaped(in, s.ints[n.Input(1)], n.AttrInt("allowzero", 0) != 0)
	case "Flatten":
		axis, ok := axisOf(n.AttrInt("axis", 1), len(in)+1)
		if !ok {
			return nil
		}
		return []int64{elements(in[:axis]), elements(in[axis:])}
	case "Transpose":
		return transposed(in, n.AttrInts("perm"))
	case "Unsqueeze":
		return unsqueezed(in, s.axes(n))
	case "Squeeze":
		return squeezed(in, s.axes(n))
	case "Concat":
		return s.concat(n)
	case "Gather", "GatherBlockQuantized":
		return s.gather(n, in)
	case "GatherND":
		return gatherND(in, s.dims[n.Input(1)], n.AttrInt("batch_dims", 0))
	case "Slice":
		return s.slice(n, in)
	case "Expand":
		if shape, ok := s.ints[n.Input(1)]; ok {
			return broadcast(in, shape)
		}
	case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd":
		return s.reduced(n, in)
	case "ArgMax", "ArgMin":
		axis, ok := axisOf(n.AttrInt("axis", 0), len(in))
		if !ok {
			return nil
		}
		return drop(in, []int64{int64(axis)}, n.AttrInt("keepdims", 1) != 0)
	case "Shape":
		return []int64{int64(len(in))}
	case "ConstantOfShape":
		return slices.Clone(s.ints[n.Input(0)])
	case "Range":
		return rangeLength(s.ints[n.Input(0)], s.ints[n.Input(1)], s.ints[n.Input(2)])
	}
	return nil
}

// axisOf turns an axis that may count from the end into an index below rank.
func axisOf(axis int64, rank int) (int, bool) {
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), axis >= 0 && axis < int64(rank)
}

// axes returns the axes of Squeeze, Unsqueeze and the reductions: an input
// since opset 13 (18 for reductions), an attribute before.
func (s *shapes) axes(n *onnx.Node) []int64 {
	if n.Input(1) != "" {
		return s.ints[n.Input(1)]
	}
	return n.AttrInts("axes")
}

func reshaped(in, shape []int64, allowZero bool) []int64 {
	if shape == nil {
		return nil
	}
	out := slices.Clone(shape)
	open, known := -1, []int64{}
	for i, d := range out {
		if d == 0 && !allowZero {
			if i >= len(in) {
				return nil
			}
			out[i] = in[i]
		}
		if d == -1 {
			open = i
		} else {
			known = append(known, out[i])
		}
	}
	total, rest := elements(in), elements(known)
	switch {
	case total < 0 || rest < 0:
		return nil
	case open < 0 && total != rest:
		return nil
	case open >= 0 && (rest == 0 || total%rest != 0):
		return nil
	case open >= 0:
		out[open] = total / rest
	}
	return out
}

func transposed(in, perm []int64) []int64 {
	out := slices.Clone(in)
	if perm == nil {
		slices.Reverse(out)
		return out
	}
	if len(perm) != len(in) {
		return nil
	}
	for i, p := range perm {
		if p < 0 || p >= int64(len(in)) {
			return nil
		}
		out[i] = in[p]
	}
	return out
}

func unsqueezed(in, axes []int64) []int64 {
	if axes == nil || len(in)+len(axes) > maxRank {
		return nil
	}
	var at []int
	for _, a := range axes {
		i, ok := axisOf(a, len(in)+len(axes))
		if !ok || slices.Contains(at, i) {
			return nil
		}
		at = append(at, i)
	}
	slices.Sort(at)
	out := slices.Clone(in)
	for _, i := range at {
		out = slices.Insert(out, i, 1)
	}
	return out
}

func squeezed(in, axes []int64) []int64 {
	if axes == nil {
		return nil // which axes are 1 may depend on the symbols
	}
	return drop(in, axes, false)
}

// drop returns in with the given axes removed, or 1 with keep.
func drop(in, axes []int64, keep bool) []int64 {
	gone := make([]bool, len(in))
	for _, a := range axes {
		i, ok := axisOf(a, len(in))
		if !ok {
			return nil
		}
		gone[i] = true
	}
	out := []int64{}
	for i, d := range in {
		switch {
		case !gone[i]:
			out = append(out, d)
		case keep:
			out = append(out, 1)
		}
	}
	return out
}

func (s *shapes) reduced(n *onnx.Node, in []int64) []int64 {
	axes := s.axes(n)
	if axes == nil {
		if n.Input(1) != "" || n.AttrInt("noop_with_empty_axes", 0) != 0 {
			return nil
		}
		for i := range in {
			axes = append(axes, int64(i))
		}
	}
	return drop(in, axes, n.AttrInt("keepdims", 1) != 0)
}

// rangeLength returns the dimensions of a Range of integers.
func rangeLength(start, limit, step []int64) []int64 {
	if len(start) != 1 || len(limit) != 1 || len(step) != 1 || step[0] < 1 || step[0] > sizeLimit ||
		start[0] < 0 || start[0] > sizeLimit || limit[0] < 0 || limit[0] > sizeLimit {
		return nil
	}
	return []int64{max(0, (limit[0]-start[0]+step[0]-1)/step[0])}
}

func (s *shapes) concat(n *onnx.Node) []int64 {
	first := s.dims[n.Input(0)]
	axis, ok := axisOf(n.AttrInt("axis", 0), len(first))
	if !ok {
		return nil
	}
	out := slices.Clone(first)
	for _, in := range n.Inputs[1:] {
		dims := s.dims[in]
		if len(dims) != len(out) || dims[axis] > sizeLimit {
			return nil
		}
		out[axis] += dims[axis]
	}
	return out
}

func (s *shapes) gather(n *onnx.Node, in []int64) []int64 {
	index, known := s.dims[n.Input(1)]
	name := "axis"
	if n.OpType == "GatherBlockQuantized" {
		name = "gather_axis"
	}
	axis, ok := axisOf(n.AttrInt(name, 0), len(in))
	if !ok || !known {
		return nil
	}
	out := append([]int64{}, in[:axis]...)
	out = append(out, index...)
	return append(out, in[axis+1:]...)
}

// gatherND returns the dimensions after GatherND: each index, the last axis of
// index, picks a part of in.
func gatherND(in, index []int64, batch int64) []int64 {
	if len(index) == 0 || batch < 0 || batch > maxRank {
		return nil
	}
	last := len(index) - 1
	if index[last] < 0 || index[last] > int64(len(in))-batch {
		return nil
	}
	return append(slices.Clone(index[:last]), in[batch+index[last]:]...)
}

// slice handles opset 10 and later with constant bounds.
func (s *shapes) slice(n *onnx.Node, in []int64) []int64 {
	starts, ends := s.ints[n.Input(1)], s.ints[n.Input(2)]
	axes, steps := s.ints[n.Input(3)], s.ints[n.Input(4)]
	if starts == nil || len(starts) != len(ends) ||
		n.Input(3) != "" && len(axes) != len(starts) || n.Input(4) != "" && len(steps) != len(starts) {
		return nil
	}
	out := slices.Clone(in)
	for i := range starts {
		axis, step := int64(i), int64(1)
		if axes != nil {
			axis = axes[i]
		}
		if steps != nil {
			step = steps[i]
		}
		at, ok := axisOf(axis, len(in))
		if !ok || step < 1 || step > sizeLimit {
			return nil
		}
		lo, hi := bound(starts[i], in[at]), bound(ends[i], in[at])
		out[at] = max(0, (hi-lo+step-1)/step)
	}
	return out
}

// bound returns a start or end of Slice as an index from 0 to size.
func bound(v, size int64) int64 {
	if v < 0 {
		v += size
	}
	return min(max(v, 0), size)
}

// split declares all outputs of a Split.
func (s *shapes) split(n *onnx.Node, in []int64) {
	axis, ok := axisOf(n.AttrInt("axis", 0), len(in))
	if !ok {
		return
	}
	parts := n.AttrInts("split")
	if n.Input(1) != "" {
		parts = s.ints[n.Input(1)]
	} else if parts == nil && len(n.Outputs) > 0 {
		each := (in[axis] + int64(len(n.Outputs)) - 1) / int64(len(n.Outputs))
		for left := in[axis]; len(parts) < len(n.Outputs); left -= each {
			parts = append(parts, max(0, min(each, left)))
		}
	}
	if len(parts) != len(n.Outputs) {
		return
	}
	for i, out := range n.Outputs {
		dims := slices.Clone(in)
		dims[axis] = parts[i]
		s.set(out, dims)
	}
}
