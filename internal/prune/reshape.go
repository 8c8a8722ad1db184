package prune

import "optim/internal/onnx"

var _ = register("Reshape Flatten Squeeze Unsqueeze", func(t *tracker, n *onnx.Node) {
	in, out := t.shape(n.Input(0)), t.shape(n.Output(0))
	result := make([]labels, len(out))
	for _, p := range pairs(in, out) {
		t.regroup(t.of(n.Input(0)), result, in, out, p)
	}
	t.set(n.Output(0), result)
})

// pair says that some axes of one shape together are some axes of another. Axes of
// size 1 are in none.
type pair struct{ from, to []int }

// pairs aligns two shapes with as many elements.
func pairs(in, out []int64) []pair {
	var list []pair
	i, j := 0, 0
	skip := func(s []int64, k int) int {
		for k < len(s) && s[k] == 1 {
			k++
		}
		return k
	}
	for {
		i, j = skip(in, i), skip(out, j)
		if i == len(in) || j == len(out) {
			return list
		}
		p := pair{[]int{i}, []int{j}}
		a, b := in[i], out[j]
		i, j = i+1, j+1
		for a != b {
			if a < b {
				if i = skip(in, i); i == len(in) {
					return list
				}
				a *= in[i]
				p.from = append(p.from, i)
				i++
				continue
			}
			if j = skip(out, j); j == len(out) {
				return list
			}
			b *= out[j]
			p.to = append(p.to, j)
			j++
		}
		list = append(list, p)
	}
}

// regroup carries labels over where axes are split or merged.
//
// Of an axis that is split, the last but one part stays removable, in units of the
// last: [heads·width] → [heads, width]. Where axes are merged, one at most may be
// removable, and each of its indices then stands for a block.
func (t *tracker) regroup(from, to []labels, in, out []int64, p pair) {
	switch {
	case len(p.from) == 1 && len(p.to) == 1:
		to[p.to[0]] = from[p.from[0]]
	case len(p.from) == 1:
		whole := from[p.from[0]]
		if whole == nil {
			return
		}
		at := p.to[len(p.to)-2]
		inner := out[p.to[len(p.to)-1]]
		units := make(labels, out[at])
		for i, x := range whole {
			u := int64(i) / inner % out[at]
			if int64(i) < inner*out[at] && int64(i)%inner == 0 {
				units[u] = x
			}
			t.join(units[u], x)
		}
		to[at] = units
	case len(p.to) == 1:
		live, inner := -1, int64(1)
		for _, a := range p.from {
			if from[a] == nil {
				continue
			}
			if live >= 0 {
				t.lock("it is merged with another axis", from[live], from[a])
				return
			}
			live = a
		}
		if live < 0 {
			return
		}
		for _, a := range p.from {
			if a > live {
				inner *= in[a]
			}
		}
		merged := make(labels, out[p.to[0]])
		for i := range merged {
			merged[i] = from[live][int64(i)/inner%in[live]]
		}
		to[p.to[0]] = merged
	default:
		for _, a := range p.from {
			t.lock("its axes are regrouped", from[a])
		}
	}
}

var _ = register("Transpose", func(t *tracker, n *onnx.Node) {
	in := t.of(n.Input(0))
	out := make([]labels, len(in))
	perm := n.AttrInts("perm")
	for i := range out {
		if perm == nil {
			out[i] = in[len(in)-1-i]
		} else {
			out[i] = in[perm[i]]
		}
	}
	t.set(n.Output(0), out)
})

var _ = register("Concat", func(t *tracker, n *onnx.Node) {
	rank := len(t.shape(n.Output(0)))
	axis := int(n.AttrInt("axis", 0))
	if axis < 0 {
		axis += rank
	}
	out := make([]labels, rank)
	var joined labels
	some := false
	for k, v := range n.Inputs {
		for i, l := range t.of(v) {
			switch {
			case i == axis:
				some = some || l != nil
				joined = append(joined, t.full(l, t.shape(v)[i])...)
			case k == 0:
				out[i] = l
			default:
				out[i] = t.joinAll(out[i], l)
			}
		}
	}
	if some {
		out[axis] = joined
	}
	t.set(n.Output(0), out)
})

var _ = register("Split", func(t *tracker, n *onnx.Node) {
	in := t.of(n.Input(0))
	axis := axisOf(n, "axis", 0, len(in))
	at := int64(0)
	for _, v := range n.Outputs {
		out := append([]labels(nil), in...)
		size := t.shape(v)[axis]
		if in[axis] != nil {
			out[axis] = in[axis][at : at+size]
		}
		at += size
		t.set(v, out)
	}
})

func axisOf(n *onnx.Node, name string, def int64, rank int) int {
	a := n.AttrInt(name, def)
	if a < 0 {
		a += int64(rank)
	}
	return int(a)
}

var _ = register("Slice", func(t *tracker, n *onnx.Node) {
	in, out := t.of(n.Input(0)), append([]labels(nil), t.of(n.Input(0))...)
	for _, s := range t.slices(n) {
		switch l := in[s.axis]; {
		case l == nil || s.whole():
		case s.step != 1:
			t.lock("it is sliced in steps", l)
			out[s.axis] = nil
		case t.varies(n.Input(1)) || t.varies(n.Input(2)):
			t.lock("it is sliced at places that depend on the sizes of inputs", l)
			out[s.axis] = nil
		default:
			out[s.axis] = l[s.lo:s.hi]
		}
	}
	t.set(n.Output(0), out)
})

// slice is what a Slice node takes of an axis.
type slice struct {
	axis               int
	lo, hi, step, size int64 // places from lo to hi, of size
}

func (s slice) whole() bool { return s.lo == 0 && s.hi == s.size && s.step == 1 }

// slices reads what a Slice node takes, in the order of its limits.
func (t *tracker) slices(n *onnx.Node) []slice {
	shape := t.shape(n.Input(0))
	starts, ends, axes, steps := t.ints[n.Input(1)], t.ints[n.Input(2)], t.ints[n.Input(3)], t.ints[n.Input(4)]
	out := make([]slice, len(starts))
	for i, lo := range starts {
		s := slice{axis: i, step: 1}
		if i < len(axes) {
			s.axis = int((axes[i] + int64(len(shape))) % int64(len(shape)))
		}
		s.size = shape[s.axis]
		if i < len(steps) {
			s.step = steps[i]
		}
		place := func(x int64) int64 {
			if x < 0 {
				x += s.size
			}
			return min(max(x, 0), s.size)
		}
		s.lo = place(lo)
		s.hi = max(place(ends[i]), s.lo)
		out[i] = s
	}
	return out
}

var _ = register("Gather", func(t *tracker, n *onnx.Node) {
	in := t.of(n.Input(0))
	axis := axisOf(n, "axis", 0, len(in))
	t.lock("it is gathered from", in[axis])
	out := append([]labels(nil), in[:axis]...)
	out = append(out, make([]labels, len(t.shape(n.Input(1))))...)
	t.set(n.Output(0), append(out, in[axis+1:]...))
})

var _ = register("GatherElements GatherND ScatterND ScatterElements Trilu Tile OneHot TopK", func(t *tracker, n *onnx.Node) {
	for _, v := range n.Inputs {
		t.lockValue(v, "its elements are picked by place")
	}
	for _, v := range n.Outputs {
		t.set(v, make([]labels, len(t.shape(v))))
	}
})

var _ = register("Expand", func(t *tracker, n *onnx.Node) {
	in, out := t.shape(n.Input(0)), t.shape(n.Output(0))
	result := make([]labels, len(out))
	for i, l := range t.of(n.Input(0)) {
		if at := len(out) - len(in) + i; in[i] == out[at] {
			result[at] = l
		}
	}
	t.set(n.Output(0), result)
})

var _ = register("Pad", func(t *tracker, n *onnx.Node) {
	in := t.of(n.Input(0))
	out := append([]labels(nil), in...)
	for i := range out {
		if t.shape(n.Input(0))[i] != t.shape(n.Output(0))[i] {
			t.lock("it is padded", out[i])
			out[i] = nil
		}
	}
	t.set(n.Output(0), out)
})
