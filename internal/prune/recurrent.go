package prune

import "optim/internal/onnx"

// A hidden unit owns a row of each gate in W [dirs, gates·H, I] and R [dirs, gates·H, H],
// a column of R, and its place in the biases [dirs, 2·gates·H], in the states and in Y
// [S, dirs, N, H]; both directions lose the same units, and stay.
var _ = register("LSTM GRU RNN", func(t *tracker, n *onnx.Node) {
	w, r := n.Input(1), n.Input(2)
	hidden := t.axis(r, 2)
	if n.AttrInt("layout", 0) != 0 || hidden == nil || t.axis(w, 1) == nil {
		for _, v := range append(append([]string{}, n.Inputs...), n.Outputs...) {
			t.lockValue(v, "its weights are not constant, or its layout is another")
		}
		return
	}
	t.joinAll(t.axis(n.Input(0), -1), t.axis(w, 2))
	for _, v := range n.Inputs[1:] {
		t.lock("directions stay", t.axis(v, 0))
	}
	blocks := func(l labels) {
		for at := 0; at+len(hidden) <= len(l); at += len(hidden) {
			t.joinAll(hidden, l[at:at+len(hidden)])
		}
	}
	blocks(t.axis(w, 1))
	blocks(t.axis(r, 1))
	for _, v := range n.Inputs[3:] { // biases, states, peepholes; lengths have no such axis
		if shape := t.shape(v); v != "" && len(shape) > 1 {
			if l := t.axis(v, -1); l == nil && shape[len(shape)-1] > 1 {
				t.lock("a state of it stays", hidden)
			} else {
				blocks(l)
			}
		}
	}
	for _, v := range n.Outputs {
		if v != "" {
			out := make([]labels, len(t.shape(v)))
			out[len(out)-1] = hidden
			t.set(v, out)
		}
	}
})

// recurrent writes how many hidden units are left.
func (r *remover) recurrent(n *onnx.Node) {
	l := r.t.axis(n.Input(2), 2)
	if size := r.size(l, int64(len(l))); r.keeps(l) != nil {
		n.SetAttr(onnx.IntAttr("hidden_size", size))
	}
}
