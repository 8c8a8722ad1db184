package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// wideBits is the width of activations in the portable form A16W8.
const wideBits = 16

// wideOpset is what QuantizeLinear and DequantizeLinear of 16 bits need.
const wideOpset = 21

// wideNote says what runs where.
const wideNote = "activations of 16 bits are for runtimes with such kernels: ONNX Runtime on a processor computes these nodes in float"

// rewriteWide reads every product's activation through a QuantizeLinear and
// DequantizeLinear of 16 bits, with the range that was observed, and its weight
// from 8-bit integers with a scale per channel; all standard operators. 16 bits
// follow even outliers, so nothing is clipped, smoothed or chosen.
func (q *pass) rewriteWide(obs Observations) {
	all := scopes(q.model.Graph)
	p := &staticPass{pass: q, s: all[0], obs: obs, codes: map[string]codes{}, pairs: map[string]pair{}, params: map[string][2]string{}}
	var out []*onnx.Node
	for _, u := range q.units(p.s) {
		nodes, reason := p.wideUnit(u)
		if reason != "" && p.s.hasWeight(u.node) {
			p.plan.leave(u.key, u.node.OpType, reason)
		}
		out = append(out, append(nodes, u.nodes()...)...)
	}
	p.s.graph.Nodes = out
	q.plan.Notes = append(q.plan.Notes, wideNote)
}

// wideUnit returns what comes before a product, or why it stays as it is.
func (p *staticPass) wideUnit(u *unit) ([]*onnx.Node, string) {
	switch {
	case u.role != compute:
		return nil, u.reason
	case p.obs[u.inputs[0]] == nil:
		return nil, "the range of its input is not known"
	case !p.obs[u.inputs[0]].finite():
		return nil, "some of its input's values are infinite"
	}
	before := u.weight.tensor.Size()
	nodes := p.wideInput(u.inputs[0])
	for i, in := range u.node.Inputs {
		if in == u.inputs[0] {
			u.node.Inputs[i] = p.pairs[in].dq
		}
	}
	more, w := p.restoredWeight(u)
	c := changed(Static, before, w)
	c.Node, c.Op = u.key, u.node.OpType
	p.plan.change(c)
	return append(nodes, more...), ""
}

// wideInput emits a value's pair of 16 bits, once.
func (p *staticPass) wideInput(v string) []*onnx.Node {
	if _, ok := p.pairs[v]; ok {
		return nil
	}
	o := p.obs[v]
	s, z := tensor.ChooseAffine(o.Min, o.Max, tensor.Uint16, 0, 1<<wideBits-1, p.o.Symmetric && o.Min < 0)
	scale, zero := p.namer.Fresh(v+"_scale"), p.namer.Fresh(v+"_zero_point")
	p.s.graph.Initializers = append(p.s.graph.Initializers,
		onnx.NewTensor(scale, tensor.Of(tensor.Float32, nil, []float32{s})),
		onnx.NewTensor(zero, tensor.Of(tensor.Uint16, nil, []uint16{uint16(z)})))
	p.params[v], p.pairs[v] = [2]string{scale, zero}, pair{q: p.namer.Fresh(v + "_quantized"), dq: p.namer.Fresh(v + "_restored")}
	return p.pairNodes(v, v, p.pairs[v])
}

// restoredWeight lets a product read its weight from 8-bit integers.
func (p *staticPass) restoredWeight(u *unit) ([]*onnx.Node, *weight) {
	axis := 0 // of the stored tensor that runs over outputs
	if u.node.OpType != "Conv" && !u.turned() {
		axis = 1
	}
	w := p.weights.get(u.weight.tensor, u.weight.scope, p.layout(axis), nil)
	var nodes []*onnx.Node
	if w.restored == "" {
		w.restored = p.namer.Fresh(u.weight.tensor.Name + "_restored")
		dq := onnx.NewNode("DequantizeLinear", p.namer.Fresh(u.weight.tensor.Name+"_DequantizeLinear"),
			[]string{w.data.Name, w.scale.Name}, []string{w.restored})
		if w.axis >= 0 {
			dq.SetAttr(onnx.IntAttr("axis", int64(axis)))
		}
		nodes = append(nodes, dq)
	}
	u.node.Inputs[1] = w.restored
	if u.weight.transposed != nil {
		u.node.Inputs[1] = p.namer.Fresh(w.restored + "_transposed")
		nodes = append(nodes, onnx.NewNode("Transpose", p.namer.Fresh(u.node.Name+"_weight_transpose"), []string{w.restored}, []string{u.node.Inputs[1]}, onnx.IntListAttr("perm", 1, 0)))
	}
	return nodes, w
}
