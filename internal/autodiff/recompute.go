package autodiff

import "optim/internal/onnx"

// recomputation is gradient checkpointing (Chen et al., Training Deep Nets with
// Sublinear Memory Cost): the graph is cut where one value alone carries everything
// that depends on what is differentiated. Those values are kept; what lies between two
// of them is computed a second time when the gradient arrives there.
type recomputation struct {
	g       *Graph
	section map[*onnx.Node]int // of nodes between two cuts
	nodes   [][]*onnx.Node     // of each section
	begin   []string           // value that each section starts from
	end     []string
	done    []bool
	renamed map[string]string
}

// of returns the name of a value computed again, or the same.
func (r *recomputation) of(v string) string {
	if r == nil {
		return v
	}
	if again, ok := r.renamed[v]; ok {
		return again
	}
	return v
}

func newRecomputation(g *Graph, live map[string]bool) *recomputation {
	r := &recomputation{g: g, section: map[*onnx.Node]int{}, renamed: map[string]string{}}
	waiting := map[string]int{}
	var path []*onnx.Node
	for _, n := range g.seen() {
		if makesLive(n, live) {
			path = append(path, n)
			for _, v := range n.Inputs {
				waiting[v]++
			}
		}
	}
	open := map[string]bool{}
	var part []*onnx.Node
	last := ""
	for _, n := range path {
		for _, v := range n.Inputs {
			if waiting[v]--; waiting[v] == 0 {
				delete(open, v)
			}
		}
		for _, v := range n.Outputs {
			if waiting[v] > 0 && live[v] {
				open[v] = true
			}
		}
		part = append(part, n)
		if v := n.Output(0); len(open) == 1 && open[v] && len(n.Outputs) == 1 {
			if last != "" && len(part) > 1 {
				r.add(last, v, part)
			}
			last, part = v, nil
		}
	}
	return r
}

func makesLive(n *onnx.Node, live map[string]bool) bool {
	for _, v := range n.Outputs {
		if live[v] {
			return true
		}
	}
	return false
}

func (r *recomputation) add(begin, end string, nodes []*onnx.Node) {
	for _, n := range nodes {
		r.section[n] = len(r.nodes)
	}
	r.begin, r.end = append(r.begin, begin), append(r.end, end)
	r.nodes, r.done = append(r.nodes, nodes), append(r.done, false)
}

// enter computes the section of a node again, when the gradient first comes there.
func (r *recomputation) enter(p *pass, n *onnx.Node) {
	if r == nil {
		return
	}
	i, ok := r.section[n]
	if !ok || r.done[i] {
		return
	}
	r.done[i] = true
	arrived := p.total(r.end[i])
	if arrived == "" {
		return
	}
	clear(r.renamed)
	r.renamed[r.begin[i]] = r.after(r.begin[i], arrived, p.recent)
	p.recent = nil
	for _, n := range r.nodes[i] {
		if n.OpType == "custom" {
			continue
		}
		again := cloned(n)
		for k, v := range again.Inputs {
			again.Inputs[k] = r.of(v)
		}
		for k, v := range again.Outputs {
			if v != "" {
				again.Outputs[k] = r.g.fresh("again")
				r.g.types[again.Outputs[k]] = r.g.types[v]
				r.renamed[v] = again.Outputs[k]
			}
		}
		again.Name = again.Output(0)
		r.g.nodes = append(r.g.nodes, again)
	}
}

// after adds v in a form that cannot be had before the gradient has arrived, and those
// of the weights behind it are done: without it the runtime would compute sections again
// at once, and keep them, for it runs what no other node reads last.
func (r *recomputation) after(v, gradient string, weights []string) string {
	g := r.g
	var firsts []string
	for _, d := range append([]string{gradient}, weights...) {
		firsts = append(firsts, g.Slice(g.Reshape(d, g.Type(d).Elements()), 0, 0, 1))
	}
	return g.Add(v, g.Reshape(g.Scale(g.Sum(g.Concat(0, firsts...), 0), 0)))
}
