package onnx

import "slices"

// RemoveNodes removes the nodes of the set from g, not from the graphs within
// it.
func (g *Graph) RemoveNodes(set map[*Node]bool) {
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *Node) bool { return set[n] })
}

// RemoveDead removes what no output of g depends on: nodes, initializers, and
// the value infos of values that are gone; in the bodies of the nodes that
// stay, too. Inputs of the graph stay, and so do initializers that are their
// default values. It returns how many nodes and initializers were removed.
func (g *Graph) RemoveDead() int {
	removed := 0
	for _, n := range g.Nodes {
		n.Graphs(func(body *Graph, _ string) { removed += body.RemoveDead() })
	}
	live, used := g.live()
	before := len(g.Nodes) + len(g.Initializers) + len(g.Sparse)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *Node) bool { return !live[n] })
	for _, v := range g.Inputs {
		used[v.Name] = true
	}
	g.Initializers = slices.DeleteFunc(g.Initializers, func(t *Tensor) bool { return !used[t.Name] })
	g.Sparse = slices.DeleteFunc(g.Sparse, func(s *SparseTensor) bool { return !used[s.Values.Name] })
	removed += before - len(g.Nodes) - len(g.Initializers) - len(g.Sparse)
	defined := g.defined()
	g.ValueInfo = slices.DeleteFunc(g.ValueInfo, func(v *ValueInfo) bool { return !defined[v.Name] })
	return removed
}

// live returns the nodes that the outputs of g depend on, and all values that
// these and the outputs use.
func (g *Graph) live() (nodes map[*Node]bool, used map[string]bool) {
	maker := make(map[string]*Node, len(g.Nodes))
	for _, n := range g.Nodes {
		for _, out := range n.Outputs {
			maker[out] = n
		}
	}
	delete(maker, "")
	c := newCaptures(g.Nodes)
	nodes, used = map[*Node]bool{}, map[string]bool{}
	var todo []*Node
	use := func(name string) {
		used[name] = true
		if n := maker[name]; n != nil && !nodes[n] {
			nodes[n] = true
			todo = append(todo, n)
		}
	}
	for _, v := range g.Outputs {
		use(v.Name)
	}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		c.uses(n, use)
	}
	return nodes, used
}

// RenameUses makes every node of g that reads the value old read the value new,
// also inside bodies, unless a body defines a value of that name itself. The
// outputs of g keep their names.
func (g *Graph) RenameUses(old, new string) {
	for _, n := range g.Nodes {
		for i, in := range n.Inputs {
			if in == old {
				n.Inputs[i] = new
			}
		}
		n.Graphs(func(body *Graph, _ string) { body.renameCaptured(old, new) })
	}
}

// renameCaptured renames a value of an outer graph in a body. An output of the
// body that is the outer value itself is a use like any other.
func (g *Graph) renameCaptured(old, new string) {
	if g.defined()[old] {
		return
	}
	g.RenameUses(old, new)
	for _, v := range g.Outputs {
		if v.Name == old {
			v.Name = new
		}
	}
}

// Initializer returns the initializer of that name; nil if there is none. For
// many look-ups make an Index.
func (g *Graph) Initializer(name string) *Tensor {
	for _, t := range g.Initializers {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// IsBound reports whether the graph input of that name has a default value, an
// initializer of the same name.
func (g *Graph) IsBound(input string) bool { return g.Initializer(input) != nil }
