package gate

import (
	"slices"

	"optim/internal/onnx"
)

// untranspose lets products read the constants that they now read through a
// Transpose, by the runtime's own FusedMatMul(transB): a model whose head is its
// embedding transposed would otherwise hold a copy of the largest weight while
// it runs. It returns how to undo the change.
func untranspose(m *onnx.Model) (undo func()) {
	graph, opsets := *m.Graph, m.Opsets
	ix := onnx.NewIndex(m.Graph)
	fused, dropped := map[*onnx.Node]*onnx.Node{}, map[*onnx.Node]bool{}
	for _, n := range graph.Nodes {
		if w := transposedWeight(ix, n); w != "" {
			f := onnx.NewNode("FusedMatMul", n.Name, []string{n.Inputs[0], w}, n.Outputs, onnx.IntAttr("transB", 1))
			f.Domain = microsoft
			fused[n], dropped[ix.Producer(n.Inputs[1])] = f, true
		}
	}
	if len(fused) == 0 {
		return func() {}
	}
	m.Graph.Nodes = nil
	for _, n := range graph.Nodes {
		if f := fused[n]; f != nil {
			n = f
		}
		if !dropped[n] {
			m.Graph.Nodes = append(m.Graph.Nodes, n)
		}
	}
	if m.Opset(microsoft) == 0 {
		m.Opsets = append(slices.Clone(opsets), onnx.Opset{Domain: microsoft, Version: 1})
	}
	return func() { *m.Graph, m.Opsets = graph, opsets }
}

const microsoft = "com.microsoft"

// transposedWeight returns the constant matrix that a MatMul reads transposed,
// or the empty string.
func transposedWeight(ix *onnx.Index, n *onnx.Node) string {
	if !n.Is("MatMul") || len(n.Inputs) != 2 {
		return ""
	}
	p := ix.Producer(n.Inputs[1])
	if p == nil || !p.Is("Transpose") || ix.SoleConsumer(n.Inputs[1]) != n {
		return ""
	}
	w := ix.Initializer(p.Input(0))
	perm := p.AttrInts("perm")
	if w == nil || len(w.Shape) != 2 || len(perm) == 2 && perm[0] == 0 {
		return ""
	}
	return w.Name
}
