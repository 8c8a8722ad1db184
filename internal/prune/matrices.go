package prune

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Matrix is a weight of a product that zeros may be put into.
type Matrix struct {
	Tensor *onnx.Tensor
	Inputs int  // the axis along which a result sums products
	Left   bool // it is what a MatMul has on the left
	Node   *onnx.Node
	Score  []float32 // of each element, not below 0; nil: its magnitude
	Norms  []float64 // Wanda: the length of each channel of what it is multiplied with, in place of Score
}

// Matrices lists the weights of MatMul, Gemm and Conv. Tables that Gather reads, and so
// heads that share them, are left out unless embeddings is true.
func Matrices(g *onnx.Graph, embeddings bool) []Matrix {
	index := onnx.NewIndex(g)
	var out []Matrix
	for _, w := range g.Initializers {
		if w.DType != tensor.Float32 || len(w.Shape) < 2 || w.Elements() == 0 || index.IsInput(w.Name) {
			continue
		}
		users := index.Consumers(w.Name)
		table := slices.ContainsFunc(users, func(n *onnx.Node) bool { return n.Is("Gather") && n.Input(0) == w.Name })
		if table && !embeddings {
			continue
		}
		for _, n := range users {
			if m, ok := product(index, n, w); ok {
				out = append(out, m)
				break
			}
		}
	}
	return out
}

// Vectors lists biases and what normalizations multiply and add, but for running means and
// variances. Each is a matrix of one axis.
func Vectors(g *onnx.Graph) []Matrix {
	index := onnx.NewIndex(g)
	var out []Matrix
	for _, w := range g.Initializers {
		if w.DType != tensor.Float32 || len(w.Shape) != 1 || w.Elements() == 0 || index.IsInput(w.Name) {
			continue
		}
		users := index.Consumers(w.Name)
		if i := slices.IndexFunc(users, func(n *onnx.Node) bool { return added(n, w.Name) }); i >= 0 {
			out = append(out, Matrix{Tensor: w, Node: users[i]})
		}
	}
	return out
}

// added reports whether a node has a value as its bias, or as the scale of a normalization.
func added(n *onnx.Node, v string) bool {
	switch {
	case n.Is("Add"):
		return true
	case n.Is("Conv", "ConvTranspose", "Gemm"):
		return n.Input(2) == v
	}
	return n.Is("BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization") && (n.Input(1) == v || n.Input(2) == v)
}

// product is the weight as a node that reads it sums over it, or as the one behind a node
// that turns it.
func product(index *onnx.Index, n *onnx.Node, w *onnx.Tensor) (Matrix, bool) {
	if axis, ok := inputAxis(n, w.Name, len(w.Shape)); ok {
		return Matrix{Tensor: w, Inputs: axis, Left: leftOf(n, w.Name), Node: n}, true
	}
	if !n.Is("Transpose") || len(w.Shape) != 2 || slices.Equal(n.AttrInts("perm"), []int64{0, 1}) {
		return Matrix{}, false
	}
	for _, c := range index.Consumers(n.Output(0)) {
		if axis, ok := inputAxis(c, n.Output(0), 2); ok {
			return Matrix{Tensor: w, Inputs: 1 - axis, Left: leftOf(c, n.Output(0)), Node: c}, true
		}
	}
	return Matrix{}, false
}

func leftOf(n *onnx.Node, v string) bool { return n.Is("MatMul") && n.Input(0) == v && n.Input(1) != v }

// inputAxis is the axis of a weight, of a rank, that a node sums over.
func inputAxis(n *onnx.Node, w string, rank int) (int, bool) {
	switch {
	case n.Is("Conv") && n.Input(1) == w:
		return 1, true
	case n.Is("MatMul") && n.Input(1) == w:
		return rank - 2, true
	case n.Is("MatMul") && n.Input(0) == w:
		return rank - 1, true
	case n.Is("Gemm") && n.Input(1) == w:
		return int(n.AttrInt("transB", 0)), true
	}
	return rank - 1, n.Is("Gather") && n.Input(0) == w
}
