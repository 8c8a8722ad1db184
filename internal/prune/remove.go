package prune

import (
	"fmt"
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Remove takes units out of the model: weights lose their indices, and the shapes in
// the graph that speak of them are rewritten. Of each group one unit at least has to
// stay. The groups are then no longer those of the model.
func (gs *Groups) Remove(units map[*Group][]int) error {
	drop := map[int32]bool{}
	for g, list := range units {
		if len(list) >= g.Units() {
			return fmt.Errorf("%q: all %d units would go", g.Name(), g.Units())
		}
		for _, u := range list {
			drop[g.roots[u]] = true
		}
	}
	r := &remover{Groups: gs, drop: drop, names: gs.model.NewNamer()}
	for i, w := range gs.model.Graph.Initializers {
		cut, err := r.weight(w)
		if err != nil {
			return err
		}
		gs.model.Graph.Initializers[i] = cut
	}
	var nodes []*onnx.Node
	for _, n := range gs.model.Graph.Nodes {
		if err := r.node(n); err != nil {
			return fmt.Errorf("node %q (%s): %w", n.Name, n.OpType, err)
		}
		nodes = append(append(nodes, r.before...), n)
		r.before = nil
	}
	gs.model.Graph.Nodes = nodes
	gs.model.Graph.ValueInfo = nil
	gs.model.Graph.RemoveDead()
	return nil
}

type remover struct {
	*Groups
	drop   map[int32]bool
	names  *onnx.Namer
	before []*onnx.Node // to be put in front of the node that is looked at
}

// keeps lists the indices of an axis that stay; nil: all.
func (r *remover) keeps(l labels) []int64 {
	out := make([]int64, 0, len(l))
	for i, x := range l {
		if !r.drop[r.t.root(x)] {
			out = append(out, int64(i))
		}
	}
	if len(out) == len(l) {
		return nil
	}
	return out
}

// size is what is left of an axis of n elements.
func (r *remover) size(l labels, n int64) int64 {
	if k := r.keeps(l); k != nil {
		return int64(len(k))
	}
	return n
}

// weight returns the initializer without what goes; the same if nothing does.
func (r *remover) weight(w *onnx.Tensor) (*onnx.Tensor, error) {
	shape := w.Shape.Clone()
	keep := make([][]int64, len(shape))
	changed := false
	for axis, l := range r.t.axes[w.Name] {
		if keep[axis] = r.keeps(l); keep[axis] != nil {
			shape[axis] = int64(len(keep[axis]))
			changed = true
		}
	}
	if !changed {
		return w, nil
	}
	bits := w.DType.Bits()
	if bits%8 != 0 {
		return nil, fmt.Errorf("weight %q of type %s cannot be cut", w.Name, w.DType)
	}
	source := w
	return onnx.NewLazyTensor(w.Name, w.DType, shape, func(dst []byte) error {
		b, err := source.Bytes()
		if err == nil {
			pick(dst, b, source.Shape, keep, int64(bits/8))
		}
		return err
	}), nil
}

// pick copies the kept indices of each axis, element by element of the last axes that
// are whole.
func pick(dst, src []byte, shape tensor.Shape, keep [][]int64, size int64) int {
	if len(shape) == 0 {
		return copy(dst, src[:size])
	}
	if !slices.ContainsFunc(keep, func(k []int64) bool { return k != nil }) {
		n := size
		for _, d := range shape {
			n *= d
		}
		return copy(dst, src[:n])
	}
	stride := size
	for _, d := range shape[1:] {
		stride *= d
	}
	done := 0
	one := func(i int64) { done += pick(dst[done:], src[i*stride:], shape[1:], keep[1:], size) }
	if keep[0] == nil {
		for i := range shape[0] {
			one(i)
		}
	}
	for _, i := range keep[0] {
		one(i)
	}
	return done
}

// node rewrites the numbers of a node that speak of sizes.
func (r *remover) node(n *onnx.Node) error {
	if n.Domain != "" && n.Domain != "ai.onnx" {
		return nil
	}
	switch n.OpType {
	case "Reshape", "Expand":
		return r.target(n, 1)
	case "Resize":
		if n.Input(3) != "" {
			return r.target(n, 3)
		}
	case "Split":
		r.split(n)
	case "Slice":
		r.slice(n)
	case "LSTM", "GRU", "RNN":
		r.recurrent(n)
	case "Conv", "ConvTranspose":
		r.convolution(n)
	}
	return nil
}

// target rewrites the shape that input i asks for. Of what gets smaller, numbers that
// were the same for inputs of different sizes are constants, and others are scaled; all
// else stays what the graph computes.
func (r *remover) target(n *onnx.Node, i int) error {
	shape, out := r.t.ints[n.Input(i)], r.t.shape(n.Output(0))
	varied := r.t.other[n.Input(i)]
	if len(shape) > len(out) || len(varied) != len(shape) {
		return nil // nothing of it can have been cut
	}
	fixed, value := make([]byte, len(shape)), slices.Clone(shape)
	mul, div := slices.Repeat([]int64{1}, len(shape)), slices.Repeat([]int64{1}, len(shape))
	changed, scaled := false, false
	for k, s := range shape {
		axis := len(out) - len(shape) + k
		left := r.size(r.t.axis(n.Output(0), axis), out[axis])
		switch {
		case left == out[axis]:
			continue
		case s == varied[k] && s == out[axis]:
			fixed[k], value[k] = 1, left
		case s != varied[k]:
			mul[k], div[k], scaled = left, out[axis], true
		}
		changed = true
	}
	if !changed {
		return nil
	}
	old := n.Input(i)
	if r.model.Graph.Initializer(old) != nil {
		n.Inputs[i] = r.constant("shape", value)
		return nil
	}
	if scaled {
		old = r.insert("Mul", old, r.constant("mul", mul))
		old = r.insert("Div", old, r.constant("div", div))
	}
	mask := onnx.NewTensor(r.names.Fresh("fixed"), tensor.Tensor{DType: tensor.Bool, Shape: tensor.Shape{int64(len(fixed))}, Data: fixed})
	r.model.Graph.Initializers = append(r.model.Graph.Initializers, mask)
	n.Inputs[i] = r.insert("Where", mask.Name, r.constant("shape", value), old)
	return nil
}

func (r *remover) constant(name string, v []int64) string {
	t := onnx.NewTensor(r.names.Fresh(name), tensor.Of(tensor.Int64, tensor.Shape{int64(len(v))}, v))
	r.model.Graph.Initializers = append(r.model.Graph.Initializers, t)
	return t.Name
}

func (r *remover) insert(op string, in ...string) string {
	out := r.names.Fresh("size")
	r.before = append(r.before, onnx.NewNode(op, out, in, []string{out}))
	return out
}

// split writes the sizes of the parts.
func (r *remover) split(n *onnx.Node) {
	axis := axisOf(n, "axis", 0, len(r.t.shape(n.Input(0))))
	var sizes []int64
	changed := false
	for _, v := range n.Outputs {
		old := r.t.shape(v)[axis]
		sizes = append(sizes, r.size(r.t.axis(v, axis), old))
		changed = changed || sizes[len(sizes)-1] != old
	}
	if changed {
		n.RemoveAttr("num_outputs")
		n.Inputs = []string{n.Input(0), r.constant("split", sizes)}
	}
}

// slice moves the limits of a slice of an axis that gets smaller. One that takes all of
// the axis does so still.
func (r *remover) slice(n *onnx.Node) {
	in := r.t.of(n.Input(0))
	starts, ends := slices.Clone(r.t.ints[n.Input(1)]), slices.Clone(r.t.ints[n.Input(2)])
	axes := make([]int64, len(starts))
	changed := false
	for i, s := range r.t.slices(n) {
		axes[i] = int64(s.axis)
		if l := in[s.axis]; r.keeps(l) != nil && !s.whole() {
			starts[i], ends[i] = r.size(l[:s.lo], s.lo), r.size(l[:s.hi], s.hi)
			changed = true
		}
	}
	if changed {
		steps := r.t.ints[n.Input(4)]
		n.Inputs = []string{n.Input(0), r.constant("starts", starts), r.constant("ends", ends), r.constant("axes", axes)}
		if steps != nil {
			n.Inputs = append(n.Inputs, r.constant("steps", steps))
		}
	}
}
