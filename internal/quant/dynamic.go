package quant

import (
	"fmt"
	"math/bits"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// minWeight is the number of elements under which an integer product costs
// more in conversions than it saves.
const minWeight = 256

// A rule rewrites one node. It returns the nodes that take its place, or the
// reason why the node stays; both empty: the node is no candidate.
type rule func(q *pass, s *scope, n *onnx.Node) (with []*onnx.Node, c Change, reason string)

// dynamicRules is the table of what can be quantized without calibration; the
// key is the operator, with its domain where it is not the default one.
var dynamicRules = map[string]rule{
	"MatMul":                  dynamicMatMul,
	"Gemm":                    dynamicGemm,
	"Gather":                  integerGather,
	"LSTM":                    dynamicLSTM,
	"com.microsoft.Attention": dynamicAttention,
}

// withoutKernel tells why other operators with constant weights stay float,
// among them Conv, whose reason depends on the method.
func withoutKernel(conv string) map[string]string {
	return map[string]string{
		"Conv":          conv,
		"ConvTranspose": "no integer kernel for ConvTranspose",
		"GRU":           "no integer kernel for GRU",
		"RNN":           "no integer kernel for RNN",
		"Einsum":        "no integer kernel for Einsum",
	}
}

// The reasons of dynamic runs, and of static ones in the main graph, where
// every Conv has a reason of its own, and in bodies.
var (
	noDynamicKernel = withoutKernel("no fast kernel quantizes Conv dynamically (give --calib)")
	noStaticKernel  = withoutKernel("")
	noBodyKernel    = withoutKernel("it lies in a body of If, Loop or Scan, whose values calibration cannot see")
)

// pass is one walk over a model that rewrites nodes.
type pass struct {
	model   *onnx.Model
	o       *Options
	namer   *onnx.Namer
	weights *weights
	plan    *Plan
	inputs  map[quantizedKey]quantized // quantized activations
	blocks  map[blockedKey]*blocked
	fits    []func() error     // that find scales, before anything is written
	tied    map[tiedKey]string // transposes of shared integer weights

	reshaped  map[tableKey]string     // tables as products want them
	quotients map[quantizedKey]string // activations with divided channels
	floats    map[blockedKey]*float4
	constants map[string]string // of the main graph, by what they are
}

type quantizedKey struct {
	scope *scope
	value string
}

type tiedKey struct {
	scope  *scope
	weight *weight
}

// quantized names the three outputs of a quantized activation.
type quantized struct{ data, scale, zero string }

func newPass(m *onnx.Model, o *Options, plan *Plan) *pass {
	q := &pass{
		model: m, o: o, plan: plan, namer: m.NewNamer(), inputs: map[quantizedKey]quantized{},
		blocks: map[blockedKey]*blocked{}, tied: map[tiedKey]string{}, reshaped: map[tableKey]string{}, quotients: map[quantizedKey]string{},
		floats: map[blockedKey]*float4{}, constants: map[string]string{},
	}
	q.weights = newWeights(q.namer, q.o.Scales, func(f func() error) { q.fits = append(q.fits, f) })
	return q
}

func opKey(n *onnx.Node) string {
	if n.Domain == "" || n.Domain == "ai.onnx" {
		return n.OpType
	}
	return n.Domain + "." + n.OpType
}

// rewrite applies a table of rules to every node of the model, bodies included.
func (q *pass) rewrite(rules map[string]rule, noKernel map[string]string) {
	for _, s := range scopes(q.model.Graph) {
		q.rewriteScope(s, rules, noKernel)
	}
}

// rewriteScope applies a table of rules to the nodes of one graph.
func (q *pass) rewriteScope(s *scope, rules map[string]rule, noKernel map[string]string) {
	out := make([]*onnx.Node, 0, len(s.graph.Nodes))
	for _, n := range s.graph.Nodes {
		with := q.rewriteNode(s, n, rules, noKernel)
		if with == nil {
			with = []*onnx.Node{n}
		}
		out = append(out, with...)
	}
	s.graph.Nodes = out
}

func (q *pass) rewriteNode(s *scope, n *onnx.Node, rules map[string]rule, noKernel map[string]string) []*onnx.Node {
	apply, ok := rules[opKey(n)]
	if ok && incomplete(n) {
		return nil
	}
	if !ok {
		if reason := noKernel[opKey(n)]; reason != "" && s.hasWeight(n) {
			q.plan.leave(s.label(n), n.OpType, reason)
		}
		return nil
	}
	if reason, ok := q.o.selected(n); !ok {
		if s.hasWeight(n) {
			q.plan.leave(s.label(n), n.OpType, reason)
		}
		return nil
	}
	if reason, ok := q.o.left(s.label(n)); ok {
		q.plan.leave(s.label(n), n.OpType, reason)
		return nil
	}
	with, c, reason := apply(q, s, n)
	if reason != "" {
		q.plan.leave(s.label(n), n.OpType, reason)
		return nil
	}
	if with == nil {
		return nil
	}
	c.Node, c.Op = s.label(n), n.OpType
	q.plan.change(c)
	return with
}

// incomplete reports whether a node that would have a weight lacks its operands
// or its output: the runtime refuses such a file, planning leaves it alone.
func incomplete(n *onnx.Node) bool { return len(n.Inputs) < 2 || n.Output(0) == "" }

// hasWeight reports whether a node has a constant float input worth the name.
func (s *scope) hasWeight(n *onnx.Node) bool {
	for _, in := range n.Inputs {
		if o, ok := s.operand(in); ok && o.tensor.DType.IsFloat() && len(o.tensor.Shape) >= 2 {
			return true
		}
	}
	return false
}

// matrixWeight checks the constant right operand of a product.
func (q *pass) matrixWeight(s *scope, n *onnx.Node) (o operand, reason string, ok bool) {
	o, ok = s.operand(n.Inputs[1])
	if !ok {
		if _, left := s.operand(n.Inputs[0]); left {
			return o, "the constant is the left operand: the integer kernels take it on the right", false
		}
		return o, "", false // two activations: not a weight
	}
	if _, both := s.operand(n.Inputs[0]); both {
		return o, "both operands are constant", false
	}
	if o.tensor.DType != tensor.Float32 {
		return o, "its weight is " + o.tensor.DType.String() + ", not float32", false
	}
	if len(o.tensor.Shape) != 2 {
		return o, fmt.Sprintf("its weight has rank %d: the integer kernels take a matrix", len(o.tensor.Shape)), false
	}
	if rows, cols, _ := o.dims(); rows*cols < minWeight {
		return o, "too small: conversion would cost more than it saves", false
	}
	return o, "", true
}

// dynamicMatMul: MatMul(A, W) becomes
//
//	A → DynamicQuantizeLinear → MatMulInteger(·, Wq) → Cast → Mul(scale of A · scales of W)
//
// which ONNX Runtime fuses to DynamicQuantizeMatMul, or to
// MatMulIntegerToFloat where several products share A.
func dynamicMatMul(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	o, reason, ok := q.matrixWeight(s, n)
	if !ok {
		return nil, Change{}, reason
	}
	before := o.tensor.Size()
	nodes, w := q.product(s, n, product{a: n.Inputs[0], b: o, alpha: 1, out: n.Outputs[0]})
	return nodes, changed(Dynamic, before, w), ""
}

// dynamicGemm: Gemm(A, W, C) = alpha·A'·W' + beta·C, by the same product.
func dynamicGemm(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	o, reason, ok := q.matrixWeight(s, n)
	if !ok {
		return nil, Change{}, reason
	}
	var nodes []*onnx.Node
	a := n.Inputs[0]
	if n.AttrInt("transA", 0) != 0 {
		t := q.namer.Fresh(a + "_transposed")
		nodes = append(nodes, onnx.NewNode("Transpose", q.namer.Fresh(n.Name+"_transA"), []string{a}, []string{t}, onnx.IntListAttr("perm", 1, 0)))
		a = t
	}
	bias := len(n.Inputs) > 2 && n.Inputs[2] != "" && n.AttrFloat("beta", 1) != 0
	p := product{a: a, b: o, transB: transB(n), alpha: n.AttrFloat("alpha", 1), out: n.Outputs[0]}
	if bias {
		p.out = q.namer.Fresh(n.Outputs[0] + "_product")
	}
	before := o.tensor.Size()
	body, w := q.product(s, n, p)
	nodes = append(nodes, body...)
	if bias {
		nodes = append(nodes, q.addBias(n, p.out)...)
	}
	return nodes, changed(Dynamic, before, w), ""
}

// addBias adds beta·C, as Gemm does.
func (q *pass) addBias(n *onnx.Node, product string) []*onnx.Node {
	c := n.Inputs[2]
	var nodes []*onnx.Node
	if beta := n.AttrFloat("beta", 1); beta != 1 {
		b := q.scalar(n.Name+"_beta", beta)
		scaled := q.namer.Fresh(c + "_scaled")
		nodes = append(nodes, onnx.NewNode("Mul", q.namer.Fresh(n.Name+"_beta_mul"), []string{c, b}, []string{scaled}))
		c = scaled
	}
	return append(nodes, onnx.NewNode("Add", q.namer.Fresh(n.Name+"_bias"), []string{product, c}, []string{n.Outputs[0]}))
}

// scalar makes a float32 initializer of the main graph, which every body sees.
func (q *pass) scalar(base string, v float32) string {
	name := q.namer.Fresh(base)
	t := tensor.Of(tensor.Float32, nil, []float32{v})
	q.model.Graph.Initializers = append(q.model.Graph.Initializers, onnx.NewTensor(name, t))
	return name
}

// changed is the entry of the plan for a node whose weight is w now.
func changed(m Method, before int64, w *weight) Change {
	format := w.layout.dtype.String()
	if used := bits.Len64(uint64(w.layout.max)) + 1; used < w.layout.dtype.Bits() {
		format += fmt.Sprintf(" of %d bits", used)
	}
	return Change{Action: string(m), Format: format, BytesBefore: before, BytesAfter: w.bytesAfter()}
}
