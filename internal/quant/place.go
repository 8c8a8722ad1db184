package quant

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// emit writes the graph anew: integer units between Q/DQ pairs, dynamic
// products by the dynamic rules, everything else as it was.
func (p *staticPass) emit() {
	var out []*onnx.Node
	for i, u := range p.units {
		if p.integer[i] {
			p.plan.Integer = append(p.plan.Integer, IntegerUnit{u.key, slices.Clone(u.inputs), slices.Clone(u.outputs), u.role == movement})
			out = append(out, p.integerUnit(u)...)
		} else {
			out = append(out, p.floatUnit(u)...)
		}
	}
	p.s.graph.Nodes = out
}

// floatUnit quantizes dynamically what has a rule for that, and otherwise
// leaves a unit as it is, with the reason.
func (p *staticPass) floatUnit(u *unit) []*onnx.Node {
	if _, ok := dynamicRules[opKey(u.node)]; ok {
		if with := p.rewriteNode(p.s, u.node, dynamicRules, nil); with != nil {
			return append(with, u.nodes()[1:]...)
		}
		return u.nodes()
	}
	reason := u.reason
	if reason == "" {
		reason = noStaticKernel[opKey(u.node)]
	}
	if reason != "" && p.s.hasWeight(u.node) {
		p.plan.leave(u.key, u.node.OpType, reason)
	}
	return u.nodes()
}

// nodes are the float nodes of a unit.
func (u *unit) nodes() []*onnx.Node {
	if u.act != nil {
		return []*onnx.Node{u.node, u.act}
	}
	return []*onnx.Node{u.node}
}

// integerUnit places one unit between its integers.
func (p *staticPass) integerUnit(u *unit) []*onnx.Node {
	if u.role == compute {
		return p.computeUnit(u)
	}
	nodes := p.restored(u.node, u.inputs)
	nodes = append(nodes, u.nodes()...)
	for _, out := range u.outputs {
		nodes = append(nodes, p.quantizeOutput(u, out)...)
	}
	p.plan.change(Change{Node: u.key, Op: u.node.OpType, Action: "integer", Format: tensor.Uint8.String()})
	return nodes
}

// restored makes a node read its activations through Q/DQ pairs, and returns
// the pairs that do not exist yet.
func (p *staticPass) restored(n *onnx.Node, inputs []string) []*onnx.Node {
	var nodes []*onnx.Node
	for _, v := range inputs {
		more, pr := p.pairOf(v)
		nodes = append(nodes, more...)
		for i, in := range n.Inputs {
			if in == v {
				n.Inputs[i] = pr.dq
			}
		}
	}
	return nodes
}

// pairOf returns the integers of a value. Behind an integer producer they
// exist, and the value itself is what is restored; behind a float one the pair
// is made before its first user, and float users keep the exact value.
func (p *staticPass) pairOf(v string) ([]*onnx.Node, pair) {
	if pr, ok := p.pairs[v]; ok {
		return nil, pr
	}
	pr := pair{q: p.namer.Fresh(v + "_quantized"), dq: p.namer.Fresh(v + "_restored")}
	p.pairs[v] = pr
	if sm := p.smooth[v]; sm != nil {
		if p.onlySmoothed(v) {
			if smoothed, ok := p.divideAtSource(p.s, v, sm.factor); ok {
				return p.pairNodes(v, smoothed, pr), pr
			}
		}
		mul, smoothed := p.divide(v, sm)
		return append([]*onnx.Node{mul}, p.pairNodes(v, smoothed, pr)...), pr
	}
	return p.pairNodes(v, v, pr), pr
}

// onlySmoothed reports whether nobody but integer products, whose weights have
// the factors, sees a smoothed value.
func (p *staticPass) onlySmoothed(v string) bool {
	users := 0
	for i, u := range p.units {
		if p.integer[i] && u.role == compute && u.inputs[0] == v {
			users++
		}
	}
	return users == len(p.s.readers(v)) && !p.s.index.IsOutput(v)
}

// pairNodes emits value → QuantizeLinear → DequantizeLinear.
func (p *staticPass) pairNodes(v, from string, pr pair) []*onnx.Node {
	scale, zero := p.parametersOf(v)
	return []*onnx.Node{
		onnx.NewNode("QuantizeLinear", p.namer.Fresh(v+"_QuantizeLinear"), []string{from, scale, zero}, []string{pr.q}),
		onnx.NewNode("DequantizeLinear", p.namer.Fresh(v+"_DequantizeLinear"), []string{pr.q, scale, zero}, []string{pr.dq}),
	}
}

// quantizeOutput turns the output of an integer unit into integers; the value
// keeps its name, which now means the restored floats.
func (p *staticPass) quantizeOutput(u *unit, v string) []*onnx.Node {
	if v == "" {
		return nil
	}
	last := u.node
	if u.act != nil {
		last = u.act
	}
	raw := p.namer.Fresh(v + "_float")
	for i, o := range last.Outputs {
		if o == v {
			last.Outputs[i] = raw
		}
	}
	pr := pair{q: p.namer.Fresh(v + "_quantized"), dq: v}
	p.pairs[v] = pr
	return p.pairNodes(v, raw, pr)
}

// parametersOf returns the names of a value's scale and zero point.
func (p *staticPass) parametersOf(v string) (scale, zero string) {
	if names, ok := p.params[v]; ok {
		return names[0], names[1]
	}
	c := p.codes[v]
	scale, zero = p.namer.Fresh(v+"_scale"), p.namer.Fresh(v+"_zero_point")
	p.params[v] = [2]string{scale, zero}
	p.s.graph.Initializers = append(p.s.graph.Initializers,
		onnx.NewTensor(scale, tensor.Of(tensor.Float32, nil, []float32{c.scale})),
		onnx.NewTensor(zero, tensor.Of(tensor.Uint8, nil, []uint8{uint8(c.zero)})))
	return scale, zero
}
