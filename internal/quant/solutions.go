package quant

import (
	"optim/internal/onnx"
	"optim/internal/rounding"
)

// Product is a node of the main graph that multiplies an activation with a
// constant matrix.
type Product struct {
	Node   string       // label
	Weight *onnx.Tensor // the constant
	Turned bool         // it is stored as [N, K], not [K, N]
	Input  string       // the activation, K values along its last axis
	N, K   int
	Scheme rounding.Scheme
	node   *onnx.Node
}

// Solution is what a method that needs data has decided for a weight: the grid,
// and the codes of its [N, K], one a byte, which are read when the file is
// written.
type Solution struct {
	Method Method
	Grid   rounding.Grid
	Codes  func(dst []byte) error
	// Factors multiply the weight's input channels, and divide the activation's;
	// nil: none. Products that share an activation share its factors.
	Factors []float32
}

// Solutions are by the name of the weight.
type Solutions map[string]*Solution

// Products lists what a method that needs data can decide, in the order of the
// graph. A weight that several nodes use is left to rounding without data: one
// set of codes cannot follow the inputs of all.
func Products(m *onnx.Model, o *Options) []Product {
	q := newPass(m, o, &Plan{})
	s := scopes(m.Graph)[0]
	var out []Product
	for _, n := range s.graph.Nodes {
		if p, ok := q.solvable(s, n); ok {
			out = append(out, p)
		}
	}
	return out
}

// solvable returns the product that a node is, if data can decide its weight.
func (q *pass) solvable(s *scope, n *onnx.Node) (Product, bool) {
	if !n.Is("MatMul", "Gemm") || incomplete(n) {
		return Product{}, false
	}
	if _, chosen := q.o.selected(n); !chosen {
		return Product{}, false
	}
	o, _, ok := q.matrixWeight(s, n)
	if !ok || o.transposed != nil || len(s.index.Consumers(o.tensor.Name)) != 1 {
		return Product{}, false
	}
	if n.OpType == "Gemm" && (n.AttrFloat("alpha", 1) != 1 || n.AttrInt("transA", 0) != 0) {
		return Product{}, false
	}
	p := Product{Node: s.label(n), Weight: o.tensor, Turned: transB(n), Input: n.Inputs[0], node: n}
	p.K, p.N = int(o.tensor.Shape[0]), int(o.tensor.Shape[1])
	if p.Turned {
		p.K, p.N = p.N, p.K
	}
	b := q.productBlocked(p.Node, o, p.Turned)
	p.Scheme = b.scheme
	return p, true
}

// Of returns the node.
func (p *Product) Of() *onnx.Node { return p.node }

// Rows reads the weight as rows of outputs, [N, K].
func (p *Product) Rows() ([]float32, error) {
	t, err := p.Weight.Value()
	if err != nil {
		return nil, err
	}
	defer p.Weight.Release()
	v, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(v))
	if p.Turned {
		copy(out, v)
		return out, nil
	}
	columns(out, v, 0, p.N, p.K, p.N)
	return out, nil
}

// Stored turns rows of outputs into the layout of the weight.
func (p *Product) Stored(rows []float32) []float32 { return arrange(rows, p.N, p.K, p.Turned) }
