package quant

import (
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// wideOpset is what QuantizeLinear and DequantizeLinear of 4 and 16 bits need.
const wideOpset = 21

// portable reports whether products read activations through pairs of standard
// operators wherever they come from: those of a width that no integer kernel of
// processors computes with, and those of TensorRT.
func (o *Options) portable() bool {
	return o.Activations == 4 || o.Activations == 16 || o.Form == TensorRT
}

// activationTypes are the types that activations are stored in, by their width. ONNX
// Runtime 1.30 makes convolutions of 4-bit types that it then refuses, so that 4 bits
// lie in 8, behind a Clip that leaves them no more values.
var activationTypes = map[int]tensor.DType{4: tensor.Uint8, 16: tensor.Uint16}

// portableNote says what runs where.
func portableNote(o *Options) string {
	if o.Form == TensorRT {
		return "this form is for TensorRT: signed activations and float biases are slow in ONNX Runtime on processors"
	}
	bits := o.Activations
	return fmt.Sprintf("activations of %d bits are for runtimes with such kernels: ONNX Runtime on a processor computes these nodes in float", bits)
}

// rewritePortable reads every product's activation through a QuantizeLinear and
// DequantizeLinear of 4 or 16 bits, with the range that was observed, and its weight
// from 8-bit integers with a scale per channel; all standard operators. 16 bits
// follow even outliers, so that nothing is clipped; 4 bits need training.
func (q *pass) rewritePortable(obs Observations) {
	all := scopes(q.model.Graph)
	q.plan.Codes = map[string]Code{}
	p := &staticPass{pass: q, s: all[0], obs: obs, codes: map[string]codes{}, pairs: map[string]pair{}, params: map[string][2]string{}}
	var out []*onnx.Node
	for _, u := range q.units(p.s) {
		nodes, reason := p.portableUnit(u)
		if reason != "" && p.s.hasWeight(u.node) {
			p.plan.leave(u.key, u.node.OpType, reason)
		}
		out = append(out, append(nodes, u.nodes()...)...)
	}
	p.s.graph.Nodes = out
	q.plan.Notes = append(q.plan.Notes, portableNote(q.o))
}

// portableUnit returns what comes before a product, or why it stays as it is.
func (p *staticPass) portableUnit(u *unit) ([]*onnx.Node, string) {
	switch {
	case u.role != compute:
		return nil, u.reason
	}
	if _, given := p.o.Codes[u.inputs[0]]; !given {
		switch o := p.obs[u.inputs[0]]; {
		case o == nil:
			return nil, "the range of its input is not known"
		case !o.finite():
			return nil, "some of its input's values are infinite"
		}
	}
	before := u.weight.tensor.Size()
	nodes := p.portableInput(u.inputs[0])
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

// portableInput emits a value's pair, once.
func (p *staticPass) portableInput(v string) []*onnx.Node {
	if _, ok := p.pairs[v]; ok {
		return nil
	}
	c := p.portableCode(v)
	p.plan.Codes[v] = c
	d := activationTypes[p.o.Activations]
	if p.o.Form == TensorRT {
		d = p.o.engineType()
	}
	zero := tensor.Tensor{DType: d, Data: []byte{byte(c.Zero)}}
	if d == tensor.Uint16 {
		zero = tensor.Of(d, nil, []uint16{uint16(c.Zero)})
	}
	names := [2]string{p.namer.Fresh(v + "_scale"), p.namer.Fresh(v + "_zero_point")}
	p.s.graph.Initializers = append(p.s.graph.Initializers,
		onnx.NewTensor(names[0], tensor.Of(tensor.Float32, nil, []float32{c.Scale})), onnx.NewTensor(names[1], zero))
	p.params[v], p.pairs[v] = names, pair{q: p.namer.Fresh(v + "_quantized"), dq: p.namer.Fresh(v + "_restored")}
	if p.o.Activations != 4 {
		return p.pairNodes(v, v, p.pairs[v])
	}
	limits := [2]string{p.namer.Fresh(v + "_low"), p.namer.Fresh(v + "_high")}
	for i, code := range []int32{0, c.Max} {
		at := []float32{c.Scale * float32(code-c.Zero)}
		p.s.graph.Initializers = append(p.s.graph.Initializers, onnx.NewTensor(limits[i], tensor.Of(tensor.Float32, nil, at)))
	}
	clipped := p.namer.Fresh(v + "_clipped")
	clip := onnx.NewNode("Clip", clipped, []string{v, limits[0], limits[1]}, []string{clipped})
	return append([]*onnx.Node{clip}, p.pairNodes(v, clipped, p.pairs[v])...)
}

// portableCode is the code of a value: what training has learned, or the range that was
// observed. Of few bits, those that cut off what is rare lose less.
func (p *staticPass) portableCode(v string) Code {
	if c, ok := p.o.Codes[v]; ok {
		return c
	}
	if p.o.Form == TensorRT {
		return p.engineCode(v)
	}
	o, d := p.obs[v], activationTypes[p.o.Activations]
	lo, hi := o.Min, o.Max
	most := int64(1)<<p.o.Activations - 1
	if o.Hist != nil && p.o.Activations == 4 {
		lo, hi = o.Hist.MSE(d, 0, most, p.o.Symmetric && o.Min < 0)
	}
	s, z := tensor.ChooseAffine(lo, hi, d, 0, most, p.o.Symmetric && o.Min < 0)
	return Code{s, z, int32(most)}
}

// restoredWeight lets a product read its weight from 8-bit integers.
func (p *staticPass) restoredWeight(u *unit) ([]*onnx.Node, *weight) {
	axis := 0 // of the stored tensor that runs over outputs
	if u.node.OpType != "Conv" && !u.turned() {
		axis = 1
	}
	l := p.layout(axis)
	if p.o.Float8 {
		l.axis, l.dtype = -1, tensor.F8E4M3FN
	}
	w := p.weights.get(u.weight.tensor, u.weight.scope, l, nil)
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
