package onnx

// Index answers who makes and who uses the values of one graph. It is a
// snapshot: after editing the graph make a new one.
type Index struct {
	producer     map[string]*Node
	consumers    map[string][]*Node
	initializers map[string]*Tensor
	inputs       map[string]bool
	outputs      map[string]bool
	captures     captures
}

// NewIndex returns the index of g alone: values inside the bodies of its nodes
// are not in it, but a node whose body captures a value is its consumer.
func NewIndex(g *Graph) *Index {
	x := &Index{
		producer:     make(map[string]*Node, len(g.Nodes)),
		consumers:    make(map[string][]*Node, len(g.Nodes)),
		initializers: make(map[string]*Tensor, len(g.Initializers)),
		inputs:       map[string]bool{},
		outputs:      map[string]bool{},
	}
	for _, v := range g.Inputs {
		x.inputs[v.Name] = true
	}
	for _, v := range g.Outputs {
		x.outputs[v.Name] = true
	}
	for _, t := range g.Initializers {
		x.initializers[t.Name] = t
	}
	x.captures = newCaptures(g.Nodes)
	for _, n := range g.Nodes {
		for _, out := range n.Outputs {
			if out != "" {
				x.producer[out] = n
			}
		}
		x.captures.uses(n, func(name string) {
			list := x.consumers[name]
			// The uses of one node come one after the other.
			if len(list) == 0 || list[len(list)-1] != n {
				x.consumers[name] = append(list, n)
			}
		})
	}
	return x
}

// Producer returns the node that makes the value; nil for graph inputs,
// initializers and unknown names.
func (x *Index) Producer(value string) *Node { return x.producer[value] }

// Uses calls f for every value that a node of the graph reads, those that its
// bodies capture included; one may come more than once.
func (x *Index) Uses(n *Node, f func(value string)) { x.captures.uses(n, f) }

// Consumers returns the nodes that use the value, each once, in graph order. A
// node whose body captures the value counts. The slice must not be changed.
func (x *Index) Consumers(value string) []*Node { return x.consumers[value] }

// SoleConsumer returns the one node that uses the value; nil if there are none
// or more, or if the value is also an output of the graph.
func (x *Index) SoleConsumer(value string) *Node {
	if list := x.consumers[value]; len(list) == 1 && !x.outputs[value] {
		return list[0]
	}
	return nil
}

// Initializer returns the initializer of that name; nil if there is none. One
// that is a graph input as well (see IsInput) is only a default value.
func (x *Index) Initializer(value string) *Tensor { return x.initializers[value] }

// IsOutput reports whether the value is an output of the graph.
func (x *Index) IsOutput(value string) bool { return x.outputs[value] }

// IsInput reports whether the value is an input of the graph.
func (x *Index) IsInput(value string) bool { return x.inputs[value] }
