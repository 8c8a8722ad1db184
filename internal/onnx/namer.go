package onnx

import "strconv"

// Namer gives out names that no value, node or initializer of a model has, in
// any of its graphs.
type Namer struct {
	used map[string]bool
	last map[string]int
}

// NewNamer returns a Namer for the model as it stands. Names that are later
// added without it are not known to it.
func (m *Model) NewNamer() *Namer {
	nm := &Namer{used: map[string]bool{"": true}, last: map[string]int{}}
	m.WalkGraphs(func(g *Graph, _ string) {
		for name := range g.defined() {
			nm.used[name] = true
		}
		for _, n := range g.Nodes {
			nm.used[n.Name] = true
			for _, in := range n.Inputs {
				nm.used[in] = true
			}
		}
		for _, list := range [][]*ValueInfo{g.Outputs, g.ValueInfo} {
			for _, v := range list {
				nm.used[v.Name] = true
			}
		}
	})
	return nm
}

// Fresh returns base, or base with "_1", "_2" … if that name is taken. The name
// is taken from then on.
func (nm *Namer) Fresh(base string) string {
	name := base
	for nm.used[name] {
		nm.last[base]++
		name = base + "_" + strconv.Itoa(nm.last[base])
	}
	nm.used[name] = true
	return name
}
