package onnx

// maker is who defines a value of a graph: a node, or "a graph input" or
// "an initializer".
type maker struct {
	what  string
	node  *Node
	index int // of the node
}

func (m maker) String() string {
	if m.node != nil {
		return "an output of " + label(m.node, m.index)
	}
	return m.what
}

// scope is the values that a graph defines, and the graph around it.
type scope struct {
	made  map[string]maker
	outer *scope
}

// visible reports whether the value is defined here or further out.
func (s *scope) visible(name string) bool {
	for ; s != nil; s = s.outer {
		if _, ok := s.made[name]; ok {
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

// captures tells, for nodes with bodies, which values these take from the
// graphs around the node, each once. It is made in one pass from the innermost
// graphs outwards, so that deep nesting costs no more than its size.
type captures map[*Node][]string

// newCaptures returns the captures of the nodes and of all nodes within them.
func newCaptures(nodes []*Node) captures {
	c := captures{}
	for _, n := range nodes {
		c.node(n)
	}
	return c
}

func (c captures) node(n *Node) []string {
	if !n.hasGraphs() {
		return nil
	}
	var list nameList
	n.Graphs(func(g *Graph, _ string) {
		for _, name := range c.free(g) {
			list.add(name)
		}
	})
	c[n] = list.names
	return list.names
}

// free returns the values that g uses and does not define itself.
func (c captures) free(g *Graph) []string {
	own := g.defined()
	var list nameList
	use := func(name string) {
		if name != "" && !own[name] {
			list.add(name)
		}
	}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			use(in)
		}
		for _, name := range c.node(n) {
			use(name)
		}
	}
	for _, out := range g.Outputs {
		use(out.Name)
	}
	return list.names
}

// uses calls f for every value that n reads: its inputs, and what its bodies
// capture. A value may come more than once.
func (c captures) uses(n *Node, f func(name string)) {
	for _, in := range n.Inputs {
		if in != "" {
			f(in)
		}
	}
	for _, name := range c[n] {
		f(name)
	}
}

// nameList is a list of names without repetition, in the order of their first
// appearance.
type nameList struct {
	names []string
	seen  map[string]bool
}

func (l *nameList) add(name string) {
	if l.seen[name] {
		return
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[name] = true
	l.names = append(l.names, name)
}
