package onnx

// scope is the set of values that a graph defines, and the graph around it.
type scope struct {
	names map[string]bool
	outer *scope
}

// visible reports whether the value is defined here or further out.
func (s *scope) visible(name string) bool {
	for ; s != nil; s = s.outer {
		if s.names[name] {
			return true
		}
	}
	return false
}

// defined returns the names that g defines: inputs, initializers and the
// outputs of its nodes.
func (g *Graph) defined() map[string]bool {
	names := make(map[string]bool, len(g.Inputs)+len(g.Initializers)+len(g.Nodes))
	for _, v := range g.Inputs {
		names[v.Name] = true
	}
	for _, t := range g.Initializers {
		names[t.Name] = true
	}
	for _, s := range g.Sparse {
		names[s.Values.Name] = true
	}
	for _, n := range g.Nodes {
		for _, out := range n.Outputs {
			names[out] = true
		}
	}
	delete(names, "")
	return names
}

// captures calls f for every value that the bodies of n take from the graphs
// around n, possibly more than once.
func (n *Node) captures(f func(name string)) {
	n.Graphs(func(g *Graph, _ string) { g.free(f) })
}

// free calls f for every use of a value that g does not define itself.
func (g *Graph) free(f func(name string)) {
	own := g.defined()
	use := func(name string) {
		if name != "" && !own[name] {
			f(name)
		}
	}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			use(in)
		}
		n.captures(use)
	}
	for _, out := range g.Outputs {
		use(out.Name)
	}
}

// uses calls f for every value that n reads: its inputs, and what its bodies
// capture. A value may come more than once.
func (n *Node) uses(f func(name string)) {
	for _, in := range n.Inputs {
		if in != "" {
			f(in)
		}
	}
	if n.hasGraphs() {
		n.captures(f)
	}
}
