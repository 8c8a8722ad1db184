package fold

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// constants makes initializers of the Constant nodes of g and of its bodies.
// Strings and sparse tensors stay, and so does what is itself a graph output.
func constants(g *onnx.Graph, r *Report) {
	outputs := outputNames(g)
	gone := map[*onnx.Node]bool{}
	for _, n := range g.Nodes {
		n.Graphs(func(b *onnx.Graph, _ string) { constants(b, r) })
		if !n.Is("Constant") || len(n.Outputs) != 1 || outputs[n.Outputs[0]] {
			continue
		}
		t := constantValue(n)
		if t == nil {
			continue
		}
		g.Initializers = append(g.Initializers, t)
		gone[n] = true
		r.Constants++
	}
	dropNodes(g, gone)
}

// constantValue returns the value of a Constant node under the name of its
// output, or nil for a form that is to stay.
func constantValue(n *onnx.Node) *onnx.Tensor {
	if len(n.Attrs) != 1 || n.Attrs[0].RefName != "" {
		return nil
	}
	a, name := n.Attrs[0], n.Outputs[0]
	switch a.Name {
	case "value":
		if a.T == nil || a.T.DType == tensor.String {
			return nil
		}
		a.T.Name = name
		return a.T
	case "value_float":
		return onnx.NewTensor(name, tensor.Of(tensor.Float32, nil, []float32{a.F}))
	case "value_int":
		return onnx.NewTensor(name, tensor.Of(tensor.Int64, nil, []int64{a.I}))
	case "value_floats":
		return onnx.NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape{int64(len(a.Floats))}, a.Floats))
	case "value_ints":
		return onnx.NewTensor(name, tensor.Of(tensor.Int64, tensor.Shape{int64(len(a.Ints))}, a.Ints))
	}
	return nil
}
