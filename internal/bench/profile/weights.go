package profile

import (
	"regexp"
	"slices"
	"strings"

	"optim/internal/onnx"
)

// weights are the products in a model's graph with a constant weight that could
// be multiplied as integers, by name of the node. A name that nodes of different
// answers have is false.
type weights map[string]bool

// findWeights looks through the graph and all bodies.
func findWeights(m *onnx.Model) weights {
	w := weights{}
	if m == nil {
		return w
	}
	constant := map[string]bool{}
	m.WalkGraphs(func(g *onnx.Graph, path string) {
		for _, t := range g.Initializers {
			constant[t.Name] = true
		}
		// What a caller or a loop gives is none; before IR version 4 initializers had
		// to be listed as inputs, too.
		for _, v := range g.Inputs {
			if path != "" || m.IRVersion >= 4 {
				delete(constant, v.Name)
			}
		}
		for _, n := range g.Nodes {
			if foldable(n, constant) {
				for _, out := range n.Outputs {
					constant[out] = true
				}
			}
			has := hasWeight(n, constant)
			if before, seen := w[n.Name]; seen && before != has {
				has = false
			}
			w[n.Name] = has
		}
	})
	return w
}

// foldable reports whether a node without a body computes from constants alone.
func foldable(n *onnx.Node, constant map[string]bool) bool {
	inside := false
	n.Graphs(func(*onnx.Graph, string) { inside = true })
	if inside || len(n.Inputs) == 0 && n.OpType != "Constant" { // random numbers have no inputs
		return false
	}
	return !slices.ContainsFunc(n.Inputs, func(in string) bool { return in != "" && !constant[in] })
}

// hasWeight reports whether n multiplies floats by a constant.
func hasWeight(n *onnx.Node, constant map[string]bool) bool {
	switch n.OpType {
	case "MatMul", "FusedMatMul":
		return constant[n.Input(0)] || constant[n.Input(1)]
	case "Gemm", "FusedGemm", "Conv", "FusedConv", "LSTM", "Attention":
		return constant[n.Input(1)]
	case "MatMulNBits":
		return n.AttrInt("accuracy_level", 0) != 4
	}
	return false
}

// token is what ONNX Runtime appends to a name to make it unique.
var token = regexp.MustCompile(`_token_\d+$`)

// original returns the name that a node had before it was fused.
func original(name string) string {
	name = token.ReplaceAllString(strings.TrimPrefix(name, "fused "), "")
	name = strings.TrimSuffix(name, "/")
	for _, fusion := range []string{"/MatMulScaleFusion", "/MatMulAddFusion"} {
		name = strings.TrimSuffix(name, fusion)
	}
	return name
}
