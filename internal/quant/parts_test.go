package quant_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
)

// detector makes two convolutions over one image, whose values differ in size
// by a factor, and joins them.
func detector(factor float64) *onnx.Model {
	n := newNet(17)
	x := n.input("x", 1, 64, 24, 24)
	head := func(name string, deviation float64) string {
		return n.op("Conv", []string{x, n.floats(name, n.normal(64*64*9, deviation), 64, 64, 3, 3)})
	}
	return n.output(n.op("Concat", []string{head("boxes", 0.1*factor), head("scores", 0.1)}, onnx.IntAttr("axis", 1)))
}

// TestConcatOfUnlikeParts: 8 bits hold two parts of like size, and keep too little
// of one that is 60 times smaller than the other.
func TestConcatOfUnlikeParts(t *testing.T) {
	o := options(t, quant.Static)
	apply(t, detector(1), o).runs("QLinearConv:2 QLinearConcat:1 Concat:0")
	apply(t, detector(60), o).runs("QLinearConv:2 QLinearConcat:0 Concat:1")
}

// TestSliceOfUnlikeParts: a value stays float when a part of it is taken that
// its range leaves too little of.
func TestSliceOfUnlikeParts(t *testing.T) {
	build := func(factor float32) *onnx.Model {
		n := newNet(17)
		x := n.input("x", 1, 64, 24, 24)
		w := n.normal(128*64*9, 0.1)
		for i := range w[:64*64*9] {
			w[i] *= factor
		}
		both := n.op("Conv", []string{x, n.floats("w", w, 128, 64, 3, 3)})
		small := n.op("Slice", []string{both, n.ints("from", 64), n.ints("to", 128), n.ints("axes", 1)})
		return n.output(both, n.op("Conv", []string{small, n.weight("v", 64, 64, 3, 3)}))
	}
	o := options(t, quant.Static)
	apply(t, build(1), o).runs("QLinearConv:2 Slice:1")
	apply(t, build(30), o).runs("QLinearConv:1 Slice:1").left("Conv", "a part of its values")
}
