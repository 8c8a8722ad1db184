package quant_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// TestHalfGelu: GELU's approximation is half precision as a whole, also where
// its cube leaves the range of float16; other powers stay in float.
func TestHalfGelu(t *testing.T) {
	n := newNet(17)
	number := func(name string, v float32) string { return n.floats(name, []float32{v}, 1) }
	x := n.op("Mul", []string{n.op("MatMul", []string{n.input("x", 4, 32), n.weight("w", 32, 64)}), number("far", 100)})
	cube := n.op("Mul", []string{n.op("Pow", []string{x, number("three", 3)}), number("c", 0.044715)})
	inner := n.op("Mul", []string{n.op("Add", []string{x, cube}), number("root", 0.7978846)})
	outer := n.op("Add", []string{n.op("Tanh", []string{inner}), number("one", 1)})
	gelu := n.op("Mul", []string{n.op("Mul", []string{x, number("half", 0.5)}), outer})
	square := n.op("Pow", []string{n.op("MatMul", []string{gelu, n.weight("v", 64, 32)}), number("two", 2)})
	r := apply(t, n.output(gelu, square), halfOptions(t, quant.FP16)).close(0.01).left("Pow", "range or the digits")
	pow := 0
	for _, node := range r.model.Graph.Nodes {
		if node.Is("Pow") {
			exponent := r.model.Graph.Initializer(node.Inputs[1])
			if exponent != nil && exponent.DType == tensor.Float16 {
				pow++
			}
		}
	}
	if pow != 1 {
		t.Errorf("%d of the powers are in half precision, not 1: %v", pow, ops(r.model))
	}
}

// ops lists a graph's operators in order.
func ops(m *onnx.Model) (list []string) {
	for _, n := range m.Graph.Nodes {
		list = append(list, n.OpType)
	}
	return list
}
