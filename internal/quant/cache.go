package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// HalveCache stores a decoder's cache of keys and values in float16, and returns
// how many of its tensors: inputs of float32 that a Concat lengthens to outputs.
// What is new is rounded once, when it comes; what was kept passes on untouched,
// so that nothing is rounded twice. These inputs and outputs change their type.
func HalveCache(m *onnx.Model) (int, error) {
	g := m.Graph
	index, namer := onnx.NewIndex(g), m.NewNamer()
	count := 0
	for _, in := range g.Inputs {
		if in.Type == nil || in.Type.DType != tensor.Float32 || g.IsBound(in.Name) {
			continue
		}
		n, past := lengthened(index, in.Name)
		if n == nil {
			continue
		}
		halveConcat(g, namer, n, past)
		in.Type.DType = tensor.Float16
		for _, list := range [][]*onnx.ValueInfo{g.Outputs, g.ValueInfo} {
			for _, v := range list {
				if v.Type != nil && (v.Name == n.Outputs[0] || v.Name == past) {
					v.Type.DType = tensor.Float16
				}
			}
		}
		count++
	}
	return count, g.Sort()
}

// lengthened returns the Concat that appends to an input and gives an output, and
// the name that the input has there: exporters leave Concats of one value before.
func lengthened(index *onnx.Index, value string) (*onnx.Node, string) {
	for n := soleReader(index, value); n != nil && n.Is("Concat"); n = soleReader(index, value) {
		if len(n.Inputs) > 1 {
			if index.IsOutput(n.Outputs[0]) {
				return n, value
			}
			return nil, ""
		}
		value = n.Outputs[0]
	}
	return nil, ""
}

// soleReader returns the one node that looks at more than a value's shape.
func soleReader(index *onnx.Index, value string) *onnx.Node {
	var found *onnx.Node
	for _, n := range index.Consumers(value) {
		if n.Is("Shape") {
			continue
		}
		if found != nil {
			return nil
		}
		found = n
	}
	if index.IsOutput(value) {
		return nil
	}
	return found
}

// halveConcat rounds what is appended, and gives the users of the whole floats.
func halveConcat(g *onnx.Graph, namer *onnx.Namer, n *onnx.Node, past string) {
	cast := func(from, to string, d tensor.DType) {
		g.Nodes = append(g.Nodes, onnx.NewNode("Cast", namer.Fresh(to+"_cast"), []string{from}, []string{to}, onnx.IntAttr("to", int64(d))))
	}
	for i, in := range n.Inputs {
		if in != past {
			n.Inputs[i] = namer.Fresh(in + "_half")
			cast(in, n.Inputs[i], tensor.Float16)
		}
	}
	whole := namer.Fresh(n.Outputs[0] + "_float")
	g.RenameUses(n.Outputs[0], whole)
	cast(n.Outputs[0], whole, tensor.Float32)
}
