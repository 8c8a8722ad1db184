package quant

import (
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// restoredConv lets a convolution read its weight through a DequantizeLinear of 4-bit
// integers with a scale for each output channel: no kernel computes with them, so this
// saves size, not time.
func restoredConv(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	o, ok := s.operand(n.Inputs[1])
	switch {
	case !ok || o.transposed != nil:
		return nil, Change{}, ""
	case o.tensor.DType != tensor.Float32:
		return nil, Change{}, "its weight is " + o.tensor.DType.String() + ", not float32"
	case o.tensor.Elements() < minWeight:
		return nil, Change{}, "too small: conversion would cost more than it saves"
	}
	l := q.layout(0)
	l.dtype, l.max = tensor.Int4, 1<<(min(q.o.Bits, 4)-1)-1
	w := q.weights.get(o.tensor, o.scope, l, nil)
	c := changed(q.o.Method, o.tensor.Size(), w)
	c.Format = fmt.Sprintf("int%d", q.o.Bits)
	restored := q.namer.Fresh(w.data.Name + "_restored")
	dq := onnx.NewNode("DequantizeLinear", q.namer.Fresh(n.Name+"_DequantizeLinear"), []string{w.data.Name, w.scale.Name}, []string{restored})
	if w.axis >= 0 {
		dq.SetAttr(onnx.IntAttr("axis", 0))
	}
	n.Inputs[1] = restored
	return []*onnx.Node{dq, n}, c, ""
}

// hasConv reports whether a model has convolutions.
func hasConv(m *onnx.Model) bool {
	found := false
	m.WalkNodes(func(n *onnx.Node) { found = found || n.Is("Conv") })
	return found
}
