package opset

import (
	"slices"

	"optim/internal/onnx"
)

// copyGraph copies a graph as deep as raising it writes: nodes, attributes,
// subgraphs and the lists; tensors and value infos are shared.
func copyGraph(g *onnx.Graph) *onnx.Graph {
	dup := *g
	dup.Nodes = copyNodes(g.Nodes)
	dup.Initializers = slices.Clone(g.Initializers)
	return &dup
}

func copyNodes(list []*onnx.Node) []*onnx.Node {
	out := make([]*onnx.Node, len(list))
	for i, n := range list {
		dup := *n
		dup.Inputs = slices.Clone(n.Inputs)
		dup.Outputs = slices.Clone(n.Outputs)
		dup.Attrs = make([]*onnx.Attribute, len(n.Attrs))
		for j, a := range n.Attrs {
			dup.Attrs[j] = copyAttr(a)
		}
		out[i] = &dup
	}
	return out
}

func copyAttr(a *onnx.Attribute) *onnx.Attribute {
	dup := *a
	if a.G != nil {
		dup.G = copyGraph(a.G)
	}
	dup.Graphs = slices.Clone(a.Graphs)
	for i, g := range a.Graphs {
		dup.Graphs[i] = copyGraph(g)
	}
	return &dup
}

// addUses adds to uses every value that the nodes or their subgraphs read.
func addUses(uses map[string]bool, nodes []*onnx.Node) {
	for _, n := range nodes {
		for _, v := range n.Inputs {
			uses[v] = true
		}
		n.Graphs(func(g *onnx.Graph, _ string) {
			for _, o := range g.Outputs {
				uses[o.Name] = true
			}
			addUses(uses, g.Nodes)
		})
	}
}
