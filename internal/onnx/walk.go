package onnx

import "fmt"

// Graphs calls f for each graph among the attributes of n, with the name of
// the attribute.
func (n *Node) Graphs(f func(g *Graph, attr string)) {
	for _, a := range n.Attrs {
		if a.G != nil {
			f(a.G, a.Name)
		}
		for i, g := range a.Graphs {
			f(g, fmt.Sprintf("%s[%d]", a.Name, i))
		}
	}
}

// hasGraphs reports whether n has a body.
func (n *Node) hasGraphs() bool {
	for _, a := range n.Attrs {
		if a.G != nil || len(a.Graphs) > 0 {
			return true
		}
	}
	return false
}

// WalkGraphs calls f for the main graph, with an empty path, and then for all
// graphs within it, outer before inner, with the path of nodes and attributes
// that leads there, "loop/body" for example. Function bodies are no graphs.
func (m *Model) WalkGraphs(f func(g *Graph, path string)) {
	if m.Graph != nil {
		m.Graph.walk(f, "")
	}
}

func (g *Graph) walk(f func(g *Graph, path string), path string) {
	f(g, path)
	for i, n := range g.Nodes {
		n.Graphs(func(body *Graph, attr string) {
			at := n.Name
			if at == "" {
				at = fmt.Sprintf("%s#%d", n.OpType, i)
			}
			if path != "" {
				at = path + "/" + at
			}
			body.walk(f, at+"/"+attr)
		})
	}
}

// WalkNodes calls f for every node of every graph and of every function.
func (m *Model) WalkNodes(f func(n *Node)) {
	m.WalkGraphs(func(g *Graph, _ string) {
		for _, n := range g.Nodes {
			f(n)
		}
	})
	for _, fn := range m.Functions {
		walkNodes(fn.Nodes, f)
	}
}

func walkNodes(nodes []*Node, f func(n *Node)) {
	for _, n := range nodes {
		f(n)
		n.Graphs(func(g *Graph, _ string) { walkNodes(g.Nodes, f) })
	}
}
