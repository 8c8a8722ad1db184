package prune

import (
	"slices"

	"optim/internal/onnx"
)

// Channels of a convolution in groups go in one of two ways. Groups of fewer channels than
// there are groups go whole, with what they read and what they write: a depthwise one is the
// case of one channel. Of larger groups the same places go in each, which leaves their number
// as it is.

var _ = register("Conv", func(t *tracker, n *onnx.Node) { // weight [out, in/groups, …]
	in, out, inner := t.channels(n.Input(0)), t.axis(n.Input(1), 0), t.axis(n.Input(1), 1)
	groups := groupsOf(n)
	if t.whole(n) {
		t.joinWhole(groups, in, out)
	} else {
		for i := range groups {
			t.joinAll(inner, part(in, i, groups))
		}
		t.joinPlaces(groups, out)
	}
	t.convolved(n, out)
})

var _ = register("ConvTranspose", func(t *tracker, n *onnx.Node) { // weight [in, out/groups, …]
	in, inner := t.joinAll(t.channels(n.Input(0)), t.axis(n.Input(1), 0)), t.axis(n.Input(1), 1)
	groups := groupsOf(n)
	var out labels
	if t.whole(n) {
		t.joinWhole(groups, in)
		for i := range groups {
			if in != nil {
				out = append(out, slices.Repeat(part(in, i, groups)[:1], int(t.shape(n.Input(1))[1]))...)
			}
		}
	} else {
		t.joinPlaces(groups, in)
		out = slices.Repeat(inner, int(groups))
	}
	t.convolved(n, out)
})

// convolved keeps what is inside of a weight, and gives the output its channels.
func (t *tracker) convolved(n *onnx.Node, out labels) {
	t.kernel(n)
	t.spatial(n, out)
	t.bias(n.Input(2), out)
}

// groupsOf is the number of groups of a convolution.
func groupsOf(n *onnx.Node) int64 { return max(n.AttrInt("group", 1), 1) }

// whole reports whether the groups of a convolution go whole.
func (t *tracker) whole(n *onnx.Node) bool {
	w := t.shape(n.Input(1))
	return groupsOf(n) > min(w[0]/groupsOf(n), w[1])
}

// part is what of an axis belongs to a group; nil of one that stays.
func part(l labels, i, groups int64) labels {
	size := int64(len(l)) / groups
	if size == 0 {
		return nil
	}
	return l[i*size : (i+1)*size]
}

// joinWhole joins all that belongs to the same group. Where one axis stays, so do all.
func (t *tracker) joinWhole(groups int64, axes ...labels) {
	for i := range groups {
		first := part(axes[0], i, groups)
		for _, l := range axes {
			for _, x := range part(l, i, groups) {
				if len(first) > 0 {
					t.join(first[0], x)
				}
			}
		}
	}
	if slices.ContainsFunc(axes, func(l labels) bool { return l == nil }) {
		t.lock("it meets an axis that stays", axes...)
	}
}

// joinPlaces joins the same places of all groups.
func (t *tracker) joinPlaces(groups int64, l labels) {
	for i := range groups {
		if l != nil {
			t.joinAll(part(l, 0, groups), part(l, i, groups))
		}
	}
}

// convolution writes how many groups are left.
func (r *remover) convolution(n *onnx.Node) {
	groups := groupsOf(n)
	if l := r.t.channels(n.Input(0)); r.keeps(l) != nil && r.t.whole(n) {
		n.SetAttr(onnx.IntAttr("group", groups*int64(len(r.keeps(l)))/int64(len(l))))
	}
}

func (t *tracker) channels(v string) labels { return t.axis(v, 1) }

// kernelPlace is why places in kernels stay; nobody expects otherwise.
const kernelPlace = "it is a place in a kernel"

// kernel keeps the places of a kernel, and the channels of a group that goes whole.
func (t *tracker) kernel(n *onnx.Node) {
	at, first := t.at, 2
	if t.whole(n) {
		first = 1
	}
	t.at = ""
	t.lock(kernelPlace, t.of(n.Input(1))[first:]...)
	t.at = at
}

// spatial gives the output [N, C, …] its labels.
func (t *tracker) spatial(n *onnx.Node, channels labels) {
	out := make([]labels, len(t.shape(n.Output(0))))
	if len(out) > 1 {
		out[0], out[1] = t.axis(n.Input(0), 0), channels
	}
	t.set(n.Output(0), out)
}
