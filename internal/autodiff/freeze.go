package autodiff

import (
	"context"
	"fmt"
	"slices"

	"optim/internal/onnx"
	"optim/internal/onnx/opset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Freeze returns the main graph of m for inputs of the types and shapes of in,
// without outputs. The initializers named in weights become inputs of that name, so
// that they can be changed from run to run. What follows from constants and from
// sizes alone becomes constant. For that the model is run with every value as output
// for one sample and for two, and over all of in for what becomes constant: other sizes
// follow, as they grow with the number of samples. Where inputs share no first axis, or
// the model takes no other batch, it is run over in with every value as output. m must be
// of opset Opset (see Prepare), and is not changed.
func Freeze(ctx context.Context, rt *ort.Runtime, m *onnx.Model, in map[string]tensor.Tensor, weights []string, o ort.Options) (*Graph, error) {
	f := &freezer{model: m, weights: map[string]bool{}, static: map[string]bool{"": true}}
	for _, w := range weights {
		f.weights[w] = true
	}
	f.markStatic()
	seen, types, err := f.look(ctx, rt, in, o)
	if err != nil {
		return nil, err
	}
	return f.graph(in, seen, types), nil
}

// Prepare raises m to the version of the operators that gradients are written in.
func Prepare(m *onnx.Model) error {
	if v := m.Opset(""); v > Opset {
		return fmt.Errorf("the model has operator set %d; gradients are known up to %d", v, Opset)
	}
	_, err := opset.Upgrade(m, Opset)
	return err
}

type freezer struct {
	model   *onnx.Model
	weights map[string]bool
	static  map[string]bool // values that are the same in every run
}

// random operators give something else in each run.
var random = map[string]bool{
	"RandomNormal": true, "RandomNormalLike": true, "RandomUniform": true, "RandomUniformLike": true, "Bernoulli": true, "Multinomial": true,
}

// markStatic finds what does not depend on the elements of inputs and weights.
func (f *freezer) markStatic() {
	for _, t := range f.model.Graph.Initializers {
		f.static[t.Name] = !f.weights[t.Name] && !f.isInput(t.Name)
	}
	for _, t := range f.model.Graph.Sparse {
		f.static[t.Values.Name] = true
	}
	index := onnx.NewIndex(f.model.Graph)
	for _, n := range f.model.Graph.Nodes {
		fixed := n.Is("Shape", "Size")
		if !fixed {
			fixed = !random[n.OpType]
			index.Uses(n, func(v string) { fixed = fixed && f.static[v] })
		}
		for _, v := range n.Outputs {
			f.static[v] = fixed
		}
	}
	f.static[""] = true
}

func (f *freezer) isInput(name string) bool {
	return slices.ContainsFunc(f.model.Graph.Inputs, func(v *onnx.ValueInfo) bool { return v.Name == name })
}

// run computes the values of the graph that are wanted; nil: all.
func (f *freezer) run(ctx context.Context, rt *ort.Runtime, in map[string]tensor.Tensor, wanted func(v string) bool, o ort.Options) (map[string]tensor.Tensor, func(), error) {
	graph := *f.model.Graph
	graph.Outputs = nil
	for _, n := range graph.Nodes {
		for _, v := range n.Outputs {
			if v != "" && (wanted == nil || wanted(v)) {
				graph.Outputs = append(graph.Outputs, &onnx.ValueInfo{Name: v})
			}
		}
	}
	if len(graph.Outputs) == 0 {
		return map[string]tensor.Tensor{}, func() {}, nil
	}
	copied := *f.model
	copied.Graph = &graph
	folder := f.model.Folder()
	file, err := copied.Weightless(folder)
	if err != nil {
		return nil, nil, err
	}
	o.ExternalFolder, o.GraphOpt, o.NoPrepack = folder, ort.GraphOptOff, true
	s, err := rt.OpenBytes(file, o)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for _, info := range s.Outputs() {
		if info.Kind == "tensor" {
			names = append(names, info.Name)
		}
	}
	seen, release, err := s.RunLent(ctx, in, names)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return seen, func() { release(); s.Close() }, nil
}

// graph takes over the nodes that are not static, and as constants what they read
// of the others.
func (f *freezer) graph(in, seen map[string]tensor.Tensor, types map[string]Type) *Graph {
	g := NewGraph()
	for _, v := range f.model.Graph.Inputs {
		if t, ok := in[v.Name]; ok && !f.weights[v.Name] {
			g.Input(v.Name, Type{t.DType, t.Shape.Clone()})
		}
	}
	for _, t := range f.model.Graph.Initializers {
		switch {
		case f.weights[t.Name]:
			g.Input(t.Name, Type{t.DType, t.Shape.Clone()})
		case !g.Has(t.Name):
			g.consts[t.Name] = t
			g.types[t.Name] = Type{t.DType, t.Shape.Clone()}
		}
	}
	for v, t := range types {
		g.types[v] = t
	}
	index := onnx.NewIndex(f.model.Graph)
	for _, n := range f.model.Graph.Nodes {
		if f.nodeStatic(n) {
			continue
		}
		index.Uses(n, func(v string) { f.constant(g, v, seen) })
		g.nodes = append(g.nodes, cloned(n))
	}
	for _, out := range f.model.Graph.Outputs {
		f.constant(g, out.Name, seen)
		g.kept[out.Name] = true
	}
	return g
}

func (f *freezer) nodeStatic(n *onnx.Node) bool {
	return !slices.ContainsFunc(n.Outputs, func(v string) bool { return !f.static[v] })
}

// constant makes a static value that a node computed a constant of g.
func (f *freezer) constant(g *Graph, v string, seen map[string]tensor.Tensor) {
	t, ok := seen[v]
	if !ok || !f.static[v] || g.consts[v] != nil || v == "" {
		return
	}
	g.consts[v] = onnx.NewTensor(v, t)
}

// Trace runs m once over in and returns the type of every value of its main graph, and
// the elements of small lists of integers (shapes, as a rule).
func Trace(ctx context.Context, rt *ort.Runtime, m *onnx.Model, in map[string]tensor.Tensor, o ort.Options) (map[string]Type, map[string][]int64, error) {
	f := &freezer{model: m}
	seen, release, err := f.run(ctx, rt, in, nil, o)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	types, ints := map[string]Type{}, map[string][]int64{}
	note := func(v string, t tensor.Tensor) {
		types[v] = Type{t.DType, t.Shape.Clone()}
		if t.DType.IsInteger() && len(t.Shape) < 2 && t.Len() <= 64 {
			if list, err := t.Int64s(); err == nil {
				ints[v] = slices.Clone(list)
			}
		}
	}
	for v, t := range in {
		note(v, t)
	}
	for _, w := range m.Graph.Initializers {
		types[w.Name] = Type{w.DType, w.Shape.Clone()}
		if w.DType.IsInteger() && w.Elements() <= 64 {
			t, err := w.Value()
			if err != nil {
				return nil, nil, err
			}
			note(w.Name, t)
		}
	}
	for v, t := range seen {
		note(v, t)
	}
	return types, ints, nil
}

func cloned(n *onnx.Node) *onnx.Node {
	c := *n
	c.Inputs, c.Outputs, c.Attrs = slices.Clone(n.Inputs), slices.Clone(n.Outputs), slices.Clone(n.Attrs)
	return &c
}

// Keep says that a value of the model will be asked for, beside its outputs, so that
// it is not fused away.
func (g *Graph) Keep(v string) { g.kept[v] = true }
