package fold

import (
	"fmt"
	"math"

	"optim/internal/onnx"
	"optim/internal/onnx/infer"
	"optim/internal/tensor"
)

// BatchNorm merges BatchNormalization nodes, in inference, into the layer in
// front of them, and factors and shifts per channel into a convolution in front
// of them, and returns how many nodes it merged:
//
//	Conv, ConvTranspose, Gemm, MatMul, MatMul → Add  →  BatchNormalization
//	Conv, ConvTranspose                              →  Mul, Div, Add, Sub by constants
//
// Weight and bias must be constant float32 and nothing else may read what lies
// between. The factors are computed in float64 and applied once:
//
//	a = scale / sqrt(var + epsilon),  w' = a·w,  b' = a·(b - mean) + shift
//
// A weight that several layers share gets one copy for each different
// normalization. Run Simplify first: parameters behind Constant or Identity
// nodes are not looked for.
func BatchNorm(m *onnx.Model) (int, error) {
	names := m.NewNamer()
	for total := 0; ; { // one node of a chain behind each layer in every round
		n, err := batchNorms(m.Graph, infer.Model(m), names)
		if n == 0 || err != nil {
			return total, err
		}
		total += n
	}
}

// batchNorms merges in g and in the bodies of its nodes.
func batchNorms(g *onnx.Graph, s *infer.Scope, names *onnx.Namer) (int, error) {
	b := &bnPass{graph: g, index: onnx.NewIndex(g), scope: s, names: names,
		made: map[string]string{}, gone: map[*onnx.Node]bool{}, touched: map[string]bool{}}
	total := 0
	for _, n := range g.Nodes {
		var err error
		n.Graphs(func(body *onnx.Graph, _ string) {
			if err != nil {
				return
			}
			var inner int
			inner, err = batchNorms(body, s.Body(body), names)
			total += inner
		})
		if err == nil {
			err = b.merge(n)
		}
		if err != nil {
			return 0, fmt.Errorf("node %q: %w", n.Name, err)
		}
	}
	dropNodes(g, b.gone)
	b.sweep()
	return total + b.merged, nil
}

// bnPass is the pass over one graph.
type bnPass struct {
	graph   *onnx.Graph
	index   *onnx.Index
	scope   *infer.Scope
	names   *onnx.Namer
	made    map[string]string // new weights and biases, by what they are made of
	gone    map[*onnx.Node]bool
	touched map[string]bool // initializers that lost a reader
	merged  int
}

// normalization is y = a·(x - mean) + shift for every channel.
type normalization struct {
	a, mean, shift []float64
	key            string
}

// merge merges bn, if it is a batch normalization or the like, into the layer
// before it.
func (b *bnPass) merge(bn *onnx.Node) error {
	var f *normalization
	var err error
	layer, add := b.layerOf(bn)
	if layer != nil {
		f, err = b.normalization(bn)
	} else {
		layer, f, err = b.affine(bn)
	}
	if f == nil || err != nil {
		return err
	}
	t, err := b.target(layer, add, int64(len(f.a)))
	if t == nil || err != nil {
		return err
	}
	weight := b.scaled(t, f)
	bias := b.bias(t, f)
	for _, v := range bn.Inputs {
		b.touched[v] = true
	}
	b.touched[layer.Inputs[1]] = true
	layer.Inputs[1] = weight
	b.place(bn, layer, add, bias, t)
	b.merged++
	return nil
}

// layerOf returns the layer whose output only bn reads, and the Add between
// the two if there is one.
func (b *bnPass) layerOf(bn *onnx.Node) (layer, add *onnx.Node) {
	if !bn.Is("BatchNormalization") || len(bn.Inputs) != 5 || bn.Output(0) == "" ||
		bn.AttrInt("training_mode", 0) != 0 || bn.AttrInt("spatial", 1) != 1 {
		return nil, nil
	}
	for _, v := range bn.Outputs[1:] {
		if v != "" {
			return nil, nil
		}
	}
	n := b.before(bn, bn.Inputs[0])
	if n == nil {
		return nil, nil
	}
	if n.Is("Conv", "ConvTranspose", "Gemm", "MatMul") {
		return n, nil
	}
	if !n.Is("Add") || len(n.Inputs) != 2 {
		return nil, nil
	}
	for _, v := range n.Inputs {
		if l := b.before(n, v); l != nil && l.Is("MatMul") {
			return l, n
		}
	}
	return nil, nil
}

// before returns the node that makes v, if n alone reads it.
func (b *bnPass) before(n *onnx.Node, v string) *onnx.Node {
	p := b.index.Producer(v)
	if p == nil || b.gone[p] || len(p.Outputs) != 1 || b.index.SoleConsumer(v) != n || count(n.Inputs, v) != 1 {
		return nil
	}
	return p
}

func count(list []string, v string) int {
	n := 0
	for _, x := range list {
		if x == v {
			n++
		}
	}
	return n
}

// normalization reads the parameters of bn; nil if they are not constant.
func (b *bnPass) normalization(bn *onnx.Node) (*normalization, error) {
	var p [4][]float32 // scale, shift, mean, variance
	for i := range p {
		t := b.weight(bn.Inputs[1+i])
		if t == nil || len(t.Shape) != 1 {
			return nil, nil
		}
		v, err := t.Value()
		if err != nil {
			return nil, err
		}
		if p[i], err = v.Float32s(); err != nil {
			return nil, err
		}
		if len(p[i]) != len(p[0]) {
			return nil, nil
		}
	}
	eps := float64(bn.AttrFloat("epsilon", 1e-5))
	n := len(p[0])
	f := &normalization{a: make([]float64, n), mean: make([]float64, n), shift: make([]float64, n),
		key: fmt.Sprintf("%q %v", bn.Inputs[1:], eps)}
	for i := range n {
		f.a[i] = float64(p[0][i]) / math.Sqrt(float64(p[3][i])+eps)
		f.shift[i], f.mean[i] = float64(p[1][i]), float64(p[2][i])
		if math.IsNaN(f.a[i]) || math.IsInf(f.a[i], 0) {
			return nil, nil // a variance that is not one
		}
	}
	return f, nil
}

// weight returns the float32 initializer of this graph of that name; nil for
// any other value.
func (b *bnPass) weight(v string) *onnx.Tensor {
	t := b.index.Initializer(v)
	if t == nil || t.DType != tensor.Float32 || b.scope.Const(v) == nil {
		return nil
	}
	return t
}

// place gives the layer its bias, puts its last node in the place of bn, and
// an Add in the place of bn where a MatMul had none.
func (b *bnPass) place(bn, layer, add *onnx.Node, bias string, t *target) {
	out := bn.Outputs[0]
	last := layer
	switch {
	case add != nil:
		b.touched[add.Inputs[t.biasAt]] = true
		add.Inputs[t.biasAt] = bias
		last = add
	case layer.Is("MatMul"):
		bn.OpType, bn.Domain, bn.Attrs = "Add", "", nil
		bn.Inputs, bn.Outputs = []string{bn.Inputs[0], bias}, []string{out}
		return
	default:
		if t.bias != "" {
			b.touched[t.bias] = true
		}
		layer.Inputs = append(layer.Inputs[:2:2], bias)
	}
	if layer.Is("Gemm") {
		layer.RemoveAttr("beta") // it is in the bias now
	}
	last.Outputs[0] = out
	b.gone[bn] = true
}

// sweep removes the initializers that lost their last reader, and the value
// infos of values that are gone.
func (b *bnPass) sweep() {
	if b.merged == 0 {
		return
	}
	index := onnx.NewIndex(b.graph)
	kept := make([]*onnx.Tensor, 0, len(b.graph.Initializers))
	for _, t := range b.graph.Initializers {
		if !b.touched[t.Name] || index.IsOutput(t.Name) || index.IsInput(t.Name) ||
			len(index.Consumers(t.Name)) > 0 {
			kept = append(kept, t)
		}
	}
	b.graph.Initializers = kept
	dropValueInfo(b.graph, func(name string) bool {
		return b.index.Producer(name) != nil && index.Producer(name) == nil
	})
}
