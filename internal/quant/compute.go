package quant

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// computeUnit places a product with a constant weight.
func (p *staticPass) computeUnit(u *unit) []*onnx.Node {
	before := u.weight.tensor.Size()
	var nodes []*onnx.Node
	var w *weight
	switch {
	case u.node.OpType == "Conv":
		nodes, w = p.qdqProduct(u, 0)
		nodes = append(nodes, p.quantizeOutput(u, u.outputs[0])...)
	case p.integerOutput(u):
		nodes, w = p.qdqProduct(u, columnAxis(u.node))
		nodes = append(nodes, p.quantizeOutput(u, u.outputs[0])...)
	case p.o.Form == QDQ && u.act == nil && u.weight.transposed == nil: // with a bias or Relu behind it the runtime leaves it in float
		nodes, w = p.qdqProduct(u, columnAxis(u.node))
	default:
		nodes, w = p.floatProduct(u)
	}
	c := changed(Static, before, w)
	c.Node, c.Op = u.key, u.node.OpType
	p.plan.change(c)
	return nodes
}

// transB reports whether a product takes its right operand transposed.
func transB(n *onnx.Node) bool { return n.OpType == "Gemm" && n.AttrInt("transB", 0) != 0 }

// columnAxis is the axis of a product's matrix as stored that runs over output
// channels.
func columnAxis(n *onnx.Node) int {
	if transB(n) {
		return 0
	}
	return 1
}

// integerOutput reports whether a Gemm can hand integers on (QGemm): all its
// users are integer units, and it is a plain x·W + b.
func (p *staticPass) integerOutput(u *unit) bool {
	if u.node.OpType != "Gemm" || u.weight.transposed != nil {
		return false
	}
	out := u.outputs[0]
	if p.smooth[out] != nil || p.s.index.IsOutput(out) || len(p.users[out]) == 0 || len(p.users[out]) != len(p.s.index.Consumers(out)) {
		return false
	}
	if c, ok := p.codes[out]; !ok || c.sqnr < floatSQNR {
		return false
	}
	return !slices.ContainsFunc(p.users[out], func(i int) bool { return !p.integer[i] })
}

func plainGemm(n *onnx.Node) bool {
	return n.AttrFloat("alpha", 1) == 1 && n.AttrFloat("beta", 1) == 1 && n.AttrInt("transA", 0) == 0
}

// vectorBias reports whether a unit has no bias, or a constant one with one
// number per output channel.
func (u *unit) vectorBias(s *scope) bool {
	name := u.biasName()
	if name == "" {
		return true
	}
	t, _ := s.constant(name)
	return t != nil && t.DType == tensor.Float32 && len(t.Shape) == 1 && t.Shape[0] == u.channels()
}

// biasName is the value that is added to the product, or empty.
func (u *unit) biasName() string {
	if u.bias != "" {
		return u.bias
	}
	if len(u.node.Inputs) > 2 {
		return u.node.Inputs[2]
	}
	return ""
}

// channels is the number of output channels of the weight.
func (u *unit) channels() int64 {
	if u.node.OpType == "Conv" {
		return u.weight.tensor.Shape[0]
	}
	rows, cols, _ := u.weight.dims()
	if transB(u.node) {
		return rows
	}
	return cols
}

// qdqProduct wraps the operator itself: DequantizeLinear on activation, weight
// and 32-bit bias. ONNX Runtime makes QLinearConv, QGemm or
// MatMulIntegerToFloat of it.
func (p *staticPass) qdqProduct(u *unit, axis int) ([]*onnx.Node, *weight) {
	n, x := u.node, u.inputs[0]
	nodes := p.restored(n, u.inputs)
	l := p.layout(axis)
	l.turned = axis == 0 && p.smooth[x] != nil
	w := p.weights.get(u.weight.tensor, u.weight.scope, l, p.smooth[x])
	if w.restored == "" {
		w.restored = p.namer.Fresh(u.weight.tensor.Name + "_restored")
		zero := w.zeros(p.namer, w.scaleShape())
		dq := onnx.NewNode("DequantizeLinear", p.namer.Fresh(u.weight.tensor.Name+"_DequantizeLinear"),
			[]string{w.data.Name, w.scale.Name, zero.Name}, []string{w.restored})
		if l.axis >= 0 {
			dq.SetAttr(onnx.IntAttr("axis", int64(axis)))
		}
		nodes = append(nodes, dq)
	}
	n.Inputs[1] = w.restored
	if n.OpType != "MatMul" { // which has no room for a bias
		if more := p.integerBias(u, w, p.codes[x]); more != nil {
			nodes = append(nodes, more)
		}
	}
	return append(nodes, u.nodes()...), w
}

// floatProduct: x → QuantizeLinear → MatMulIntegerToFloat(·, Wq, bias), the
// runtime's own operator, since the standard form of it is taken for a Gemm
// and left in float as soon as a bias follows and the shapes are known.
func (p *staticPass) floatProduct(u *unit) ([]*onnx.Node, *weight) {
	n, x := u.node, u.inputs[0]
	nodes, pr := p.pairOf(x)
	more, b, w := p.integerOperand(p.s, n, product{a: x, b: u.weight, transB: transB(n), alpha: 1, smooth: p.smooth[x]})
	nodes = append(nodes, more...)
	scale, zero := p.parametersOf(x)
	bias, out := p.floatBias(u, w), n.Outputs[0]
	if u.bias != "" { // the Add behind is part of the product
		out = u.outputs[0]
	}
	if p.o.Form == QDQ {
		nodes = append(nodes, p.standardProduct(n, quantized{pr.q, scale, zero}, b, w, bias, out)...)
	} else {
		in := []string{pr.q, b, scale, w.scale.Name, zero}
		if bias != "" {
			in = append(in, "", bias)
		}
		q := onnx.NewNode("MatMulIntegerToFloat", p.namer.Fresh(n.Name+"_quant"), in, []string{out})
		q.Domain = microsoft
		nodes = append(nodes, q)
	}
	if u.act != nil && u.bias == "" {
		nodes = append(nodes, u.act)
	}
	return nodes, w
}

// standardProduct is floatProduct without the runtime's own operators:
//
//	MatMulInteger(xq, Wq) → Cast → Mul(scale of x · scales of W) → Add(bias)
func (p *staticPass) standardProduct(n *onnx.Node, x quantized, b string, w *weight, bias, out string) []*onnx.Node {
	if bias == "" {
		return p.scaledProduct(n, x, b, w, out)
	}
	product := p.namer.Fresh(out + "_product")
	nodes := p.scaledProduct(n, x, b, w, product)
	return append(nodes, onnx.NewNode("Add", p.namer.Fresh(n.Name+"_bias_add"), []string{product, bias}, []string{out}))
}
