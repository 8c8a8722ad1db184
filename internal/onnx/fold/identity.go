package fold

import "optim/internal/onnx"

// identities removes the Identity nodes of g and of its bodies. One between a
// value of another node and a graph output gives that node's output the graph
// output's name; one between an input, an initializer or another output and a
// graph output has to stay.
func identities(g *onnx.Graph, r *Report) {
	outputs, inner := outputNames(g), innerNames(g)
	made := map[string]bool{}
	for _, n := range g.Nodes {
		for _, v := range n.Outputs {
			made[v] = true
		}
	}
	names := renames{}
	gone := map[*onnx.Node]bool{}
	for _, n := range g.Nodes {
		n.Graphs(func(b *onnx.Graph, _ string) { identities(b, r) })
		if !n.Is("Identity") || len(n.Inputs) != 1 || len(n.Outputs) != 1 {
			continue
		}
		x, y := names.of(n.Inputs[0]), n.Outputs[0]
		switch {
		case x == "" || y == "" || x == y || inner[x] || inner[y]:
			continue
		case !outputs[y]:
			names[y] = x
		case made[x] && !outputs[x]:
			names[x] = y
		default:
			continue
		}
		gone[n] = true
		r.Identities++
	}
	dropNodes(g, gone)
	names.apply(g)
}

// renames maps values to the values that take their place; chains are allowed.
type renames map[string]string

// of returns the name that stands for v in the end.
func (r renames) of(v string) string {
	for {
		next, ok := r[v]
		if !ok {
			return v
		}
		// Halve the path, so that long chains stay cheap.
		if after, ok := r[next]; ok {
			r[v] = after
		}
		v = next
	}
}

// apply renames in g, but not its outputs, and in the bodies of its nodes.
func (r renames) apply(g *onnx.Graph) {
	if len(r) == 0 {
		return
	}
	r.nodes(g)
	dropValueInfo(g, func(name string) bool { _, ok := r[name]; return ok })
}

func (r renames) nodes(g *onnx.Graph) {
	for _, n := range g.Nodes {
		for i, v := range n.Inputs {
			n.Inputs[i] = r.of(v)
		}
		for i, v := range n.Outputs {
			n.Outputs[i] = r.of(v)
		}
		n.Graphs(func(b *onnx.Graph, _ string) {
			r.nodes(b)
			for _, o := range b.Outputs {
				o.Name = r.of(o.Name)
			}
		})
	}
}
