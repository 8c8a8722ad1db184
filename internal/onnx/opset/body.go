package opset

import (
	"cmp"
	"fmt"
	"slices"

	"optim/internal/onnx"
	"optim/internal/onnx/infer"
	"optim/internal/tensor"
)

// body is a list of nodes that is being raised: a graph's or a function's.
type body struct {
	c        *converter
	graph    *onnx.Graph    // nil for a function
	function *onnx.Function // nil for a graph
	nodes    []*onnx.Node
	scope    *infer.Scope
	inner    map[*onnx.Graph]*body // bodies of this body's nodes
	lists    map[string]string     // constants that were added, by content
	before   []*onnx.Node          // new nodes for in front of the current one
	after    []*onnx.Node          // and behind it
	gone     map[string]bool       // outputs that were taken away
	uses     map[string]bool       // values that are read; nil: to be counted
}

func newBody(c *converter, nodes []*onnx.Node, s *infer.Scope) *body {
	return &body{c: c, nodes: nodes, scope: s, inner: map[*onnx.Graph]*body{},
		lists: map[string]string{}, gone: map[string]bool{}}
}

func newGraphBody(c *converter, g *onnx.Graph, s *infer.Scope) *body {
	b := newBody(c, g.Nodes, s)
	b.graph = g
	return b
}

func newFunctionBody(c *converter, f *onnx.Function) *body {
	b := newBody(c, f.Nodes, infer.Function(f))
	b.function = f
	for _, v := range f.Inputs {
		c.take(v)
	}
	c.takeOutputs(f.Nodes)
	return b
}

// take keeps a name of a function, which the Namer does not look at, from
// being given to a new value.
func (c *converter) take(name string) { c.names.Fresh(name) }

func (c *converter) takeOutputs(nodes []*onnx.Node) {
	for _, n := range nodes {
		for _, v := range n.Outputs {
			c.take(v)
		}
		n.Graphs(func(g *onnx.Graph, _ string) {
			for _, v := range g.Inputs {
				c.take(v.Name)
			}
			for _, t := range g.Initializers {
				c.take(t.Name)
			}
			c.takeOutputs(g.Nodes)
		})
	}
}

// step raises all nodes from version v-1 to v.
func (b *body) step(v int64) error {
	b.uses = nil
	out := make([]*onnx.Node, 0, len(b.nodes))
	for _, n := range b.nodes {
		if err := b.stepInner(n, v); err != nil {
			return err
		}
		b.before, b.after = nil, nil
		if err := b.convert(n, v); err != nil {
			return err
		}
		out = append(out, b.before...)
		out = append(out, n)
		out = append(out, b.after...)
	}
	b.nodes = out
	return nil
}

// convert raises one node; its subgraphs are not its concern.
func (b *body) convert(n *onnx.Node, v int64) error {
	if !infer.Standard(n.Domain) {
		return nil
	}
	op := n.OpType
	s, ok := steps[v][op]
	if !ok {
		return nil
	}
	err := checkRefs(n)
	note := s.note
	if err == nil {
		var special string
		if special, err = s.apply(b, n); special != "" {
			note = special
		}
	}
	if err != nil {
		return fmt.Errorf("node %q: %s cannot be raised from opset %d to %d: %w", n.Name, op, v-1, v, err)
	}
	if note != unchanged {
		b.c.counts[change{v, op, note}]++
	}
	return nil
}

// checkRefs refuses attributes that a function's caller sets: they have no
// value here that could become an input.
func checkRefs(n *onnx.Node) error {
	for _, a := range n.Attrs {
		if a.RefName != "" {
			return fmt.Errorf("attribute %q is set by the function's caller", a.Name)
		}
	}
	return nil
}

// stepInner raises the subgraphs of n.
func (b *body) stepInner(n *onnx.Node, v int64) error {
	var err error
	n.Graphs(func(g *onnx.Graph, _ string) {
		if b.inner[g] == nil {
			b.inner[g] = newGraphBody(b.c, g, b.scope.Body(g))
		}
		if err == nil {
			err = b.inner[g].step(v)
		}
	})
	return err
}

// finish writes the nodes back into the graph or function.
func (b *body) finish() {
	for _, in := range b.inner {
		in.finish()
	}
	isGone := func(v *onnx.ValueInfo) bool { return b.gone[v.Name] }
	if b.graph != nil {
		b.graph.Nodes = b.nodes
		b.graph.ValueInfo = slices.DeleteFunc(slices.Clone(b.graph.ValueInfo), isGone)
		return
	}
	b.function.Nodes = b.nodes
	b.function.ValueInfo = slices.DeleteFunc(slices.Clone(b.function.ValueInfo), isGone)
}

// insert adds a node in front of the current one and returns its output.
func (b *body) insert(op, base string, in []string, attrs ...*onnx.Attribute) string {
	out := b.c.names.Fresh(base)
	b.before = append(b.before, onnx.NewNode(op, out, in, []string{out}, attrs...))
	return out
}

// constant adds a constant and returns its name. A graph gets an initializer;
// a function, which has none, a Constant node in front of the current one.
func (b *body) constant(base string, t tensor.Tensor) string {
	name := b.c.names.Fresh(base)
	x := onnx.NewTensor(name, t)
	if b.graph != nil {
		b.graph.Initializers = append(b.graph.Initializers, x)
	} else {
		b.before = append(b.before,
			onnx.NewNode("Constant", name, nil, []string{name}, onnx.TensorAttr("value", x)))
	}
	b.scope.Define(x)
	return name
}

// ints adds a constant list of int64, or returns an equal one that it added
// to this graph before.
func (b *body) ints(base string, list []int64) string {
	key := fmt.Sprint(base, list)
	if b.function != nil {
		return b.constant(base, tensor.Of(tensor.Int64, tensor.Shape{int64(len(list))}, list))
	}
	if b.lists[key] == "" {
		b.lists[key] = b.constant(base, tensor.Of(tensor.Int64, tensor.Shape{int64(len(list))}, list))
	}
	return b.lists[key]
}

// scalar adds a constant without dimensions of type d.
func (b *body) scalar(base string, d tensor.DType, v float32) (string, error) {
	t, err := tensor.Convert(tensor.Of(tensor.Float32, nil, []float32{v}), d)
	if err != nil {
		return "", err
	}
	return b.constant(base, t), nil
}

// used reports whether anything reads the value v.
func (b *body) used(v string) bool {
	if b.uses == nil {
		b.uses = map[string]bool{}
		if b.graph != nil {
			for _, o := range b.graph.Outputs {
				b.uses[o.Name] = true
			}
		} else {
			for _, o := range b.function.Outputs {
				b.uses[o] = true
			}
		}
		addUses(b.uses, b.nodes)
	}
	return b.uses[v]
}

func compareChanges(a, b change) int {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.op, b.op), cmp.Compare(a.note, b.note))
}
