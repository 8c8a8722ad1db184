package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// product is A · B with a constant B, as a node asks for it.
type product struct {
	a      string // value
	b      operand
	transB bool
	alpha  float32
	smooth *smoothing // of a, whose factors go into B; nil: none
	out    string
}

// product emits the integer form of A · B; the nodes are in order.
func (q *pass) product(s *scope, n *onnx.Node, p product) ([]*onnx.Node, *weight) {
	nodes, a := q.dynamicInput(s, p.a)
	more, b, w := q.integerOperand(s, n, p)
	nodes = append(nodes, more...)
	return append(nodes, q.scaledProduct(n, a, b, w, p.out)...), w
}

// scaledProduct emits MatMulInteger and what makes floats of its sums.
func (q *pass) scaledProduct(n *onnx.Node, a quantized, b string, w *weight, out string) []*onnx.Node {
	base := n.Name
	if base == "" {
		base = out
	}
	name := func(suffix string) string { return q.namer.Fresh(base + suffix) }
	acc, sum, scale := name("_int32"), name("_float"), name("_scales")
	return []*onnx.Node{
		onnx.NewNode("MatMulInteger", name("_quant"), []string{a.data, b, a.zero}, []string{acc}),
		onnx.NewNode("Cast", name("_cast"), []string{acc}, []string{sum}, onnx.IntAttr("to", int64(tensor.Float32))),
		onnx.NewNode("Mul", name("_scales_mul"), []string{a.scale, w.scale.Name}, []string{scale}),
		onnx.NewNode("Mul", name("_output_mul"), []string{sum, scale}, []string{out}),
	}
}

// dynamicInput quantizes an activation per tensor, once for all its users in
// the scope.
func (q *pass) dynamicInput(s *scope, value string) ([]*onnx.Node, quantized) {
	key := quantizedKey{s, value}
	if out, ok := q.inputs[key]; ok {
		return nil, out
	}
	out := quantized{q.namer.Fresh(value + "_quantized"), q.namer.Fresh(value + "_scale"), q.namer.Fresh(value + "_zero_point")}
	q.inputs[key] = out
	n := onnx.NewNode("DynamicQuantizeLinear", q.namer.Fresh(value+"_QuantizeLinear"),
		[]string{value}, []string{out.data, out.scale, out.zero})
	return []*onnx.Node{n}, out
}

// integerOperand returns the value that holds B as integers [K, N] with one
// scale per column. A weight that is shared in the other orientation (the
// embedding of a tied head) stays as it is stored and goes through a Transpose,
// which the runtime folds when it loads the model: small file, full speed.
func (q *pass) integerOperand(s *scope, n *onnx.Node, p product) ([]*onnx.Node, string, *weight) {
	turned := (p.b.transposed != nil) != p.transB
	shared := p.b.transposed != nil || p.b.scope.sharedWithGather(p.b.tensor)
	l := q.layout(1)
	if turned {
		l = q.layout(0)
		if !shared {
			l.blocks = 1
		}
	}
	l.factor, l.turned = p.alpha, turned && p.smooth != nil
	w := q.weights.get(p.b.tensor, p.b.scope, l, p.smooth)
	if !turned || !shared {
		return nil, w.data.Name, w
	}
	key := tiedKey{s, w}
	if t, ok := q.tied[key]; ok {
		return nil, t, w
	}
	t := q.namer.Fresh(w.data.Name + "_transposed")
	q.tied[key] = t
	node := onnx.NewNode("Transpose", q.namer.Fresh(n.Name+"_weight_transpose"), []string{w.data.Name}, []string{t}, onnx.IntListAttr("perm", 1, 0))
	return []*onnx.Node{node}, t, w
}

// layout is that of an 8-bit weight with one scale for each index of an axis,
// or one in all with PerTensor.
func (q *pass) layout(axis int) layout {
	if q.o.PerTensor {
		axis = -1
	}
	return layout{axis: axis, dtype: tensor.Int8, max: q.weightMax(), factor: 1}
}

// weightMax is the greatest magnitude of an integer weight: bounded by what the
// target's kernels add without saturation and, where 8 bits were asked for, by
// their range. Formats of 4 bits store in 8 what they keep finer: tables and
// the heads that share them.
func (q *pass) weightMax() int64 {
	bits := tableBits
	if q.o.Format == Int8 {
		bits = q.o.Bits
	}
	return min(q.o.Target.WeightMax, 1<<(bits-1)-1)
}

// sharedWithGather reports whether an initializer is an embedding table too.
func (s *scope) sharedWithGather(t *onnx.Tensor) bool {
	for _, c := range s.index.Consumers(t.Name) {
		if c.OpType == "Gather" && c.Domain == "" && c.Inputs[0] == t.Name {
			return true
		}
	}
	return false
}
