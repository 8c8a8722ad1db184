package fold_test

import (
	"math"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// conv is a convolution of x to 4 channels.
func conv(out string) *onnx.Node { return node("Conv", ins("x", "w", "c"), ins(out)) }

func TestAffine(t *testing.T) {
	w, bias := weight("w", 4, 3, 3, 3), weight("c", 4)
	for _, c := range []struct {
		name   string
		nodes  []*onnx.Node
		extra  []*onnx.Tensor
		merged int
		ops    string
	}{
		{"scalar factor", nodes(conv("a"), node("Mul", ins("a", "k"), ins("y"))), list(weight("k", 1)), 1, "Conv"},
		{"factor first", nodes(conv("a"), node("Mul", ins("k", "a"), ins("y"))), list(weight("k")), 1, "Conv"},
		{"factor per channel", nodes(conv("a"), node("Mul", ins("a", "k"), ins("y"))), list(weight("k", 1, 4, 1, 1)), 1, "Conv"},
		{"shift", nodes(conv("a"), node("Add", ins("k", "a"), ins("y"))), list(weight("k", 4, 1, 1)), 1, "Conv"},
		{"difference", nodes(conv("a"), node("Sub", ins("a", "k"), ins("y"))), list(weight("k", 4, 1, 1)), 1, "Conv"},
		{"quotient", nodes(conv("a"), node("Div", ins("a", "k"), ins("y"))),
			list(onnxtest.Floats("k", tensor.Shape{1, 4, 1, 1}, 3, -2, 0.5, 7)), 1, "Conv"},
		{"factor and shift", nodes(conv("a"), node("Mul", ins("k", "a"), ins("b")), node("Add", ins("b", "l"), ins("y"))),
			list(weight("k", 1), weight("l", 4, 1, 1)), 2, "Conv"},
		{"no bias", nodes(node("Conv", ins("x", "w"), ins("a")), node("Add", ins("a", "c1"), ins("y"))),
			list(weight("c1", 1, 4, 1, 1)), 1, "Conv"},
		{"along the width", nodes(conv("a"), node("Mul", ins("a", "k"), ins("y"))), list(weight("k", 3)), 0, "Conv Mul"},
		{"of higher rank", nodes(conv("a"), node("Mul", ins("a", "k"), ins("y"))), list(weight("k", 1, 1, 4, 1, 1)), 0, "Conv Mul"},
		{"constant less the value", nodes(conv("a"), node("Sub", ins("k", "a"), ins("y"))), list(weight("k", 1)), 0, "Conv Sub"},
		{"square", nodes(conv("a"), node("Mul", ins("a", "a"), ins("y"))), nil, 0, "Conv Mul"},
		{"read twice", nodes(conv("a"), node("Add", ins("a", "k"), ins("b")), node("Mul", ins("a", "b"), ins("y"))),
			list(weight("k", 1)), 0, "Conv Add Mul"},
		{"quotient by zero", nodes(conv("a"), node("Div", ins("a", "k"), ins("y"))),
			list(onnxtest.Floats("k", tensor.Shape{1}, 0)), 0, "Conv Div"},
		{"infinite shift", nodes(conv("a"), node("Add", ins("a", "k"), ins("y"))),
			list(onnxtest.Floats("k", tensor.Shape{1}, float32(math.Inf(-1)))), 0, "Conv Add"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tensors := append(list(w), c.extra...)
			if c.nodes[0].Input(2) != "" {
				tensors = append(tensors, bias)
			}
			m := onnxtest.Reparse(t, onnxtest.Model(13, graph(dims(2, 3, 5, 5), c.nodes, tensors...)))
			if c.merged > 0 {
				mergeAll(t, m, c.merged)
			} else {
				unmerged(t, m)
			}
			if got := ops(m.Graph); got != c.ops {
				t.Errorf("operators %q, want %q", got, c.ops)
			}
		})
	}
}

// TestAffineTransposed: a transposed convolution stores its output channels
// second, a group's one after the other.
func TestAffineTransposed(t *testing.T) {
	list := nodes(node("ConvTranspose", ins("x", "w"), ins("a"), group(2)), node("Add", ins("a", "k"), ins("b")),
		node("Mul", ins("b", "l"), ins("y")))
	mergeAll(t, onnxtest.Reparse(t, onnxtest.Model(13, graph(dims(1, 4, 5, 5), list,
		weight("w", 4, 3, 2, 2), weight("k", 6, 1, 1), weight("l", 1, 6, 1, 1)))), 2)
}

func list(t ...*onnx.Tensor) []*onnx.Tensor { return t }

// unmerged expects that nothing is merged, for whatever the model computes.
func unmerged(t *testing.T, m *onnx.Model) {
	t.Helper()
	if n, err := fold.BatchNorm(m); n != 0 || err != nil {
		t.Fatalf("%d merged, error %v", n, err)
	}
}
