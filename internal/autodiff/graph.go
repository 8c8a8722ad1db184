package autodiff

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Type is the element type and the fixed shape of a value.
type Type struct {
	DType tensor.DType
	Shape tensor.Shape
}

// Elements returns the number of elements.
func (t Type) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Graph is an ONNX graph under construction in which the type of every value is
// known. A node that would compute what another one computes already is not added
// twice.
type Graph struct {
	Inputs  []string // in order, weights to be trained included
	Outputs []string
	// Recompute makes Gradients compute inner values a second time instead of keeping
	// them: memory follows the largest section of the graph instead of its length.
	Recompute bool

	nodes  []*onnx.Node
	consts map[string]*onnx.Tensor
	types  map[string]Type
	made   map[string]string // a node's operator, inputs and attributes → its first output
	equal  map[uint64]string // hash of a constant → its name
	count  int
	kept   map[string]bool // values that may be asked for: the model's outputs

	whole  map[*onnx.Node]*onnx.Node // last node of what Custom was told of → as one node
	custom map[*onnx.Node]rule
}

// NewGraph returns an empty graph.
func NewGraph() *Graph {
	return &Graph{
		consts: map[string]*onnx.Tensor{}, types: map[string]Type{},
		made: map[string]string{}, equal: map[uint64]string{},
		kept:  map[string]bool{},
		whole: map[*onnx.Node]*onnx.Node{}, custom: map[*onnx.Node]rule{},
	}
}

// Opset is the version of the standard operators that a Graph is written in.
const Opset = 21

// Input adds an input of the graph.
func (g *Graph) Input(name string, t Type) string {
	g.Inputs = append(g.Inputs, name)
	g.types[name] = t
	return name
}

// Output makes a value an output of the graph, under the name given.
func (g *Graph) Output(name, value string) {
	out := g.add("Identity", []string{value}, []string{name}, nil)
	g.types[out[0]] = g.types[value]
	g.Outputs = append(g.Outputs, name)
}

// Type returns the type of a value. It panics if the graph has no such value: it
// is a mistake of the program, as names come from the graph itself.
func (g *Graph) Type(v string) Type {
	t, ok := g.types[v]
	if !ok {
		panic(fmt.Sprintf("autodiff: no value %q", v))
	}
	return t
}

// Nodes returns the nodes so far, in order. They must not be changed.
func (g *Graph) Nodes() []*onnx.Node { return g.nodes }

// Has reports whether the graph has a value of that name.
func (g *Graph) Has(v string) bool {
	_, ok := g.types[v]
	return ok
}

// Shape returns the shape of a value.
func (g *Graph) Shape(v string) tensor.Shape { return g.Type(v).Shape }

// Op adds a node with one output of type t, or finds one that computes the same,
// and returns the output. An operator of another domain is written "domain::Op".
func (g *Graph) Op(op string, t Type, in []string, attrs ...*onnx.Attribute) string {
	key := key(op, in, attrs)
	if v, ok := g.made[key]; ok {
		return v
	}
	name := g.fresh(op)
	g.add(op, in, []string{name}, attrs)
	g.types[name] = t
	g.made[key] = name
	return name
}

// Ops adds a node with several outputs of the given types.
func (g *Graph) Ops(op string, types []Type, in []string, attrs ...*onnx.Attribute) []string {
	var out []string
	for _, t := range types {
		name := g.fresh(op)
		g.types[name] = t
		out = append(out, name)
	}
	return g.add(op, in, out, attrs)
}

func (g *Graph) add(op string, in, out []string, attrs []*onnx.Attribute) []string {
	domain, name, ok := strings.Cut(op, "::")
	if !ok {
		domain, name = "", op
	}
	n := onnx.NewNode(name, out[0], slices.Clone(in), out, attrs...)
	n.Domain = domain
	g.nodes = append(g.nodes, n)
	return out
}

func (g *Graph) fresh(op string) string {
	for {
		g.count++
		name := "g" + strconv.Itoa(g.count) + "." + op
		if !g.Has(name) {
			return name
		}
	}
}

// key identifies what a node computes.
func key(op string, in []string, attrs []*onnx.Attribute) string {
	var b strings.Builder
	b.WriteString(op)
	for _, v := range in {
		b.WriteByte(0)
		b.WriteString(v)
	}
	for _, a := range attrs {
		if a != nil {
			fmt.Fprintf(&b, "\x00%s=%v %v %s %v %v", a.Name, a.F, a.I, a.S, a.Floats, a.Ints)
			if a.T != nil { // of one element: what ConstantOfShape fills with
				data, _ := a.T.Bytes()
				fmt.Fprintf(&b, " %s %v %x", a.T.DType, a.T.Shape, data)
			}
		}
	}
	return b.String()
}

// Intercept makes nodes read another value in place of v: change adds the nodes that
// make it of v, right behind the one that makes v, and returns it. Only nodes that uses
// accepts read it.
func (g *Graph) Intercept(v string, uses func(n *onnx.Node) bool, change func(v string) string) {
	at := 1 + slices.IndexFunc(g.nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, v) })
	rest := slices.Clone(g.nodes[at:])
	g.nodes = slices.Clip(g.nodes[:at])
	changed := change(v)
	for _, n := range rest {
		if !uses(n) {
			continue
		}
		for i, in := range n.Inputs {
			if in == v {
				n.Inputs[i] = changed
			}
		}
	}
	g.nodes = append(g.nodes, rest...)
	g.made = map[string]string{} // nodes that were made later may not be found by earlier ones
}

// All accepts every node.
func All(*onnx.Node) bool { return true }

// Model returns the graph as a model in which only what its outputs need is left.
func (g *Graph) Model() *onnx.Model {
	graph := &onnx.Graph{Name: "train", Nodes: g.nodes}
	value := func(v string) *onnx.ValueInfo {
		t := g.Type(v)
		return &onnx.ValueInfo{Name: v, Type: onnx.TensorType(t.DType, t.Shape...)}
	}
	for _, v := range g.Inputs {
		graph.Inputs = append(graph.Inputs, value(v))
	}
	for _, v := range g.Outputs {
		graph.Outputs = append(graph.Outputs, value(v))
	}
	for _, name := range sortedKeys(g.consts) {
		graph.Initializers = append(graph.Initializers, g.consts[name])
	}
	graph.Nodes = slices.Clone(g.nodes)
	graph.RemoveDead()
	return &onnx.Model{
		IRVersion: 10, Graph: graph,
		Opsets: []onnx.Opset{{Version: Opset}, {Domain: "com.microsoft", Version: 1}},
	}
}
