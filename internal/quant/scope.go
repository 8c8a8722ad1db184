package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// scope is a graph with the graphs around it: the body of an If, Loop or Scan
// sees the values outside.
type scope struct {
	graph  *onnx.Graph
	index  *onnx.Index
	parent *scope
	path   string // of the nodes that hold the body; empty for the main graph

	read map[*onnx.Node]*convolution // that were read to be equalized
}

// scopes lists the graph and all bodies in it, outermost first, in order.
func scopes(g *onnx.Graph) []*scope {
	var out []*scope
	var walk func(g *onnx.Graph, parent *scope, path string)
	walk = func(g *onnx.Graph, parent *scope, path string) {
		s := &scope{graph: g, index: onnx.NewIndex(g), parent: parent, path: path}
		out = append(out, s)
		for _, n := range g.Nodes {
			for _, a := range n.Attrs {
				if a.G != nil {
					walk(a.G, s, path+n.Name+"/")
				}
				for _, body := range a.Graphs {
					walk(body, s, path+n.Name+"/")
				}
			}
		}
	}
	walk(g, nil, "")
	return out
}

// constant returns the initializer that a value name means in this scope, and
// the scope that holds it; nil where the value is computed or unknown.
func (s *scope) constant(name string) (*onnx.Tensor, *scope) {
	for ; s != nil; s = s.parent {
		if t := s.index.Initializer(name); t != nil {
			return t, s
		}
		if s.index.Producer(name) != nil || s.index.IsInput(name) {
			return nil, nil
		}
	}
	return nil, nil
}

// operand is a constant matrix as a node sees it: an initializer, or the
// transpose of one that other nodes use too (a tied embedding).
type operand struct {
	tensor     *onnx.Tensor
	scope      *scope // that holds the initializer
	transposed *onnx.Node
}

// operand resolves an input of a node to a constant of floats.
func (s *scope) operand(name string) (operand, bool) {
	if t, at := s.constant(name); t != nil {
		return operand{tensor: t, scope: at}, true
	}
	p := s.index.Producer(name)
	if p == nil || p.OpType != "Transpose" || p.Domain != "" || len(p.Inputs) != 1 {
		return operand{}, false
	}
	t, at := s.constant(p.Inputs[0])
	if t == nil || len(t.Shape) != 2 {
		return operand{}, false
	}
	if perm := p.AttrInts("perm"); perm != nil && (len(perm) != 2 || perm[0] != 1 || perm[1] != 0) {
		return operand{}, false
	}
	return operand{tensor: t, scope: at, transposed: p}, true
}

// dims returns rows and columns of the matrix as the node sees it; ok is false
// for anything that is not a matrix of float32.
func (o operand) dims() (rows, cols int64, ok bool) {
	if o.tensor.DType != tensor.Float32 || len(o.tensor.Shape) != 2 {
		return 0, 0, false
	}
	rows, cols = o.tensor.Shape[0], o.tensor.Shape[1]
	if o.transposed != nil {
		rows, cols = cols, rows
	}
	return rows, cols, true
}

// label names a node in reports: its name, or its first output where the
// exporter left the name empty, behind the path of the bodies around it.
func (s *scope) label(n *onnx.Node) string {
	name := n.Name
	if name == "" && len(n.Outputs) > 0 {
		name = n.Outputs[0]
	}
	return s.path + name
}
