package prune

import (
	"maps"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// TestMatrices: weights of products are found in every layout, with the axis of their
// inputs; tables and heads that share them only when they are asked for.
func TestMatrices(t *testing.T) {
	g := &onnx.Graph{Inputs: []*onnx.ValueInfo{onnxtest.Value("given", tensor.Float32, 4, 4)}}
	for _, w := range []string{"table", "tied", "turned", "conv1d", "linear", "product", "left", "given", "bias", "flipped", "unused"} {
		g.Initializers = append(g.Initializers, onnxtest.Floats(w, tensor.Shape{4, 4}, make([]float32, 16)...))
	}
	g.Initializers = append(g.Initializers, onnxtest.Floats("kernel", tensor.Shape{2, 2, 1, 1}, 1, 2, 3, 4), onnxtest.Floats("vector", tensor.Shape{4}, 1, 2, 3, 4), onnxtest.Floats("stack", tensor.Shape{2, 2, 2}, make([]float32, 8)...))
	node := func(op string, attr *onnx.Attribute, in ...string) {
		n := onnx.NewNode(op, op, in, []string{op + in[1]})
		if attr != nil {
			n.SetAttr(attr)
		}
		g.Nodes = append(g.Nodes, n)
	}
	for _, table := range []string{"table", "tied", "turned"} {
		node("Gather", nil, table, "ids")
	}
	node("Gemm", onnx.IntAttr("transB", 1), "x", "tied")
	g.Nodes = append(g.Nodes, onnx.NewNode("Transpose", "t", []string{"turned"}, []string{"of turned"}))
	node("MatMul", nil, "x", "of turned")
	node("Gemm", nil, "x", "conv1d", "bias")
	node("Gemm", onnx.IntAttr("transB", 1), "x", "linear")
	node("MatMul", nil, "x", "product")
	node("MatMul", nil, "left", "x")
	node("MatMul", nil, "x", "given")
	node("Add", nil, "x", "bias")
	for _, w := range []string{"flipped", "unused"} {
		g.Nodes = append(g.Nodes, onnx.NewNode("Transpose", w, []string{w}, []string{"of " + w}, onnx.IntListAttr("perm", 1, 0)))
	}
	node("Gemm", nil, "x", "of flipped")
	node("Relu", nil, "of unused", "")
	node("Conv", nil, "x", "kernel", "vector")
	node("MatMul", nil, "x", "stack")
	want := map[string]int{"conv1d": 0, "linear": 1, "product": 0, "left": 1, "kernel": 1, "stack": 1, "flipped": 1}
	for _, embeddings := range []bool{false, true} {
		if embeddings {
			want["table"], want["tied"], want["turned"] = 1, 1, 1
		}
		got := map[string]int{}
		for _, m := range Matrices(g, embeddings) {
			got[m.Tensor.Name] = m.Inputs
		}
		if !maps.Equal(got, want) {
			t.Errorf("embeddings %v: %v, not %v", embeddings, got, want)
		}
	}
}
