package fold_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// swish writes hard-swish of x, changed by the caller.
func swish(change func(add, clip, mul, last *onnx.Node)) []*onnx.Node {
	list := nodes(node("Add", ins("x", "three"), ins("a")), node("Clip", ins("a", "zero", "six"), ins("b")),
		node("Mul", ins("x", "b"), ins("c")), node("Div", ins("c", "six"), ins("y")))
	if change != nil {
		change(list[0], list[1], list[2], list[3])
	}
	return list
}

func TestHardSwish(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(add, clip, mul, last *onnx.Node)
		fused  int
	}{
		{"as exporters write it", nil, 1},
		{"operands exchanged", func(add, _, mul, _ *onnx.Node) {
			add.Inputs, mul.Inputs = ins("three", "x"), ins("b", "x")
		}, 1},
		{"times a sixth", func(_, _, _, last *onnx.Node) { last.OpType, last.Inputs = "Mul", ins("sixth", "c") }, 1},
		{"another shift", func(add, _, _, _ *onnx.Node) { add.Inputs[1] = "six" }, 0},
		{"another range", func(_, clip, _, _ *onnx.Node) { clip.Inputs[2] = "three" }, 0},
		{"no lower end", func(_, clip, _, _ *onnx.Node) { clip.Inputs[1] = "" }, 0},
		{"another factor", func(_, _, mul, _ *onnx.Node) { mul.Inputs[0] = "b" }, 0},
		{"another divisor", func(_, _, _, last *onnx.Node) { last.Inputs[1] = "three" }, 0},
		{"divided the other way", func(_, _, _, last *onnx.Node) { last.Inputs = ins("six", "c") }, 0},
		{"the sum is read twice", func(_, _, mul, _ *onnx.Node) { mul.Inputs[0] = "a" }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			scalar := func(name string, v float32) *onnx.Tensor { return onnxtest.Floats(name, tensor.Shape{}, v) }
			g := graph(dims(3, 50), swish(c.change), scalar("zero", 0), scalar("three", 3), scalar("six", 6), scalar("sixth", 1.0/6))
			// Random inputs reach both ends.
			g.Nodes = append(nodes(node("Mul", ins("in", "six"), ins("x"))), g.Nodes...)
			g.Inputs[0].Name = "in"
			m := onnxtest.Reparse(t, onnxtest.Model(13, g))
			in := onnxtest.Inputs(t, m, 1, nil)
			before := onnxtest.Run(t, m, in)
			if n := fold.HardSwish(m); n != c.fused {
				t.Fatalf("%d fused, want %d", n, c.fused)
			}
			want := "Mul Add Clip Mul Div"
			if c.fused > 0 {
				want = "Mul HardSigmoid Mul"
			}
			if got := ops(m.Graph); got != want {
				t.Errorf("operators %q, want %q", got, want)
			}
			onnxtest.Equal(t, onnxtest.Run(t, onnxtest.Reparse(t, m), in), before, 1e-6)
		})
	}
}
