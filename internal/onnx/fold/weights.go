package fold

import (
	"fmt"

	"optim/internal/onnx"
)

// folder is one pass over the nodes of a graph, which are in topological
// order, so that a constant is known before the nodes that read it.
type folder struct {
	graph   *onnx.Graph
	outer   *folder // of the graph around, whose constants may be read; nil
	consts  map[string]*onnx.Tensor
	outputs map[string]bool
	inner   map[string]bool
	uses    map[string]int          // reads of a value, those in bodies included
	readers map[string][]*onnx.Node // nodes of this graph whose first input it is
	touched map[string]bool         // constants that lost a reader
	merged  renames
	values  map[string]string // what was folded, by key
	tied    map[string]bool
	steps   map[string]int // that lie between a derived weight and a stored one
	gone    map[*onnx.Node]bool
	report  *Report
}

// weights folds the nodes of g whose inputs are constant, and those of its
// bodies.
func weights(g *onnx.Graph, outer *folder, r *Report) error {
	f := newFolder(g, outer, r)
	for _, n := range g.Nodes {
		var err error
		n.Graphs(func(b *onnx.Graph, _ string) {
			if err == nil {
				err = weights(b, f, r)
			}
		})
		if err == nil {
			err = f.visit(n)
		}
		if err != nil {
			return fmt.Errorf("node %q: %w", n.Name, err)
		}
	}
	dropNodes(g, f.gone)
	f.merged.apply(g)
	f.sweep()
	return nil
}

func newFolder(g *onnx.Graph, outer *folder, r *Report) *folder {
	f := &folder{graph: g, outer: outer, report: r, consts: map[string]*onnx.Tensor{},
		outputs: outputNames(g), inner: innerNames(g), uses: map[string]int{},
		readers: map[string][]*onnx.Node{}, touched: map[string]bool{}, merged: renames{},
		values: map[string]string{}, tied: map[string]bool{}, steps: map[string]int{}, gone: map[*onnx.Node]bool{}}
	inputs := map[string]bool{}
	for _, v := range g.Inputs {
		inputs[v.Name] = true
	}
	for _, t := range g.Initializers {
		if !inputs[t.Name] {
			f.consts[t.Name] = t
		}
	}
	for _, o := range g.Outputs {
		f.uses[o.Name]++
	}
	for _, n := range g.Nodes {
		if len(n.Inputs) > 0 {
			f.readers[n.Inputs[0]] = append(f.readers[n.Inputs[0]], n)
		}
	}
	f.count(g.Nodes)
	return f
}

// count adds the reads of nodes and of their bodies to uses.
func (f *folder) count(nodes []*onnx.Node) {
	for _, n := range nodes {
		for _, v := range n.Inputs {
			f.uses[v]++
		}
		n.Graphs(func(b *onnx.Graph, _ string) {
			for _, o := range b.Outputs {
				f.uses[o.Name]++
			}
			f.count(b.Nodes)
		})
	}
}

// constant returns the tensor of a constant value, nil if it is not constant.
// own is false for a constant of a graph around this one.
func (f *folder) constant(v string) (t *onnx.Tensor, own bool) {
	v = f.merged.of(v)
	if t := f.consts[v]; t != nil {
		return t, true
	}
	for o := f.outer; o != nil; o = o.outer {
		if t := o.consts[o.merged.of(v)]; t != nil && !o.inner[v] {
			return t, false
		}
	}
	return nil, false
}

// visit folds n if it can be folded.
func (f *folder) visit(n *onnx.Node) error {
	if len(n.Outputs) != 1 || len(n.Inputs) == 0 || f.outputs[n.Outputs[0]] || f.inner[n.Outputs[0]] {
		return nil
	}
	op := operators[n.OpType]
	if op == nil || !n.Is(n.OpType) {
		return nil
	}
	in := make([]*onnx.Tensor, len(n.Inputs))
	small, own := true, true
	for i, v := range n.Inputs {
		if v == "" {
			continue
		}
		t, local := f.constant(v)
		if t == nil {
			return nil
		}
		in[i] = t
		small = small && t.Size() <= smallBytes
		own = own && (local || i > 0)
	}
	if in[0] == nil {
		return nil
	}
	if small || n.OpType == "Shape" {
		out, err := evaluate(n, op, in)
		if err != nil {
			return err
		}
		if out != nil {
			f.replace(n, out)
			return nil
		}
	}
	if !own {
		return nil
	}
	return f.derive(n, in)
}

// maxSteps bounds how many nodes after one another are folded over a large
// weight: to compute it takes memory for all of them.
const maxSteps = 16

// derive folds a node over a large weight into a weight that is computed when
// it is written. A weight that something else reads, too, would then be in the
// model twice, so it is left, unless all its readers do the same with it.
func (f *folder) derive(n *onnx.Node, in []*onnx.Tensor) error {
	p, err := planOf(n, in)
	if p == nil || err != nil {
		return err
	}
	w := f.merged.of(n.Inputs[0])
	key := p.key(w)
	if first, ok := f.values[key]; ok {
		f.merge(n, first)
		return nil
	}
	if f.tied[w] || f.steps[w] == maxSteps {
		return nil
	}
	same := 0
	for _, reader := range f.readers[n.Inputs[0]] {
		if f.doesSame(reader, key) {
			same++
		}
	}
	if same != f.uses[w] {
		f.tied[w] = true
		f.report.Tied = append(f.report.Tied, w)
		return nil
	}
	f.values[key] = n.Outputs[0]
	f.steps[n.Outputs[0]] = f.steps[w] + 1
	f.replace(n, p.tensor(n.Outputs[0], in[0]))
	return nil
}

// doesSame reports whether a node is folded into the value of that key.
func (f *folder) doesSame(n *onnx.Node, key string) bool {
	if len(n.Outputs) != 1 || f.outputs[n.Outputs[0]] || f.inner[n.Outputs[0]] {
		return false
	}
	in := make([]*onnx.Tensor, len(n.Inputs))
	for i, v := range n.Inputs {
		if in[i], _ = f.constant(v); in[i] == nil && v != "" {
			return false
		}
	}
	p, err := planOf(n, in)
	return err == nil && p != nil && p.key(f.merged.of(n.Inputs[0])) == key
}

// replace puts a constant in the place of n.
func (f *folder) replace(n *onnx.Node, t *onnx.Tensor) {
	f.graph.Initializers = append(f.graph.Initializers, t)
	f.consts[t.Name] = t
	f.drop(n)
	f.report.Folded++
}

// merge lets the readers of n's output read the value first, which is equal.
func (f *folder) merge(n *onnx.Node, first string) {
	out := n.Outputs[0]
	f.merged[out] = first
	f.uses[first] += f.uses[out]
	f.drop(n)
	f.report.Merged++
}

// drop removes n as a reader of its inputs, and from the graph.
func (f *folder) drop(n *onnx.Node) {
	f.gone[n] = true
	for _, v := range n.Inputs {
		v = f.merged.of(v)
		f.uses[v]--
		f.touched[v] = true
	}
}

// sweep removes the constants that lost their last reader.
func (f *folder) sweep() {
	kept := make([]*onnx.Tensor, 0, len(f.graph.Initializers))
	for _, t := range f.graph.Initializers {
		if !f.touched[t.Name] || f.uses[t.Name] > 0 {
			kept = append(kept, t)
		}
	}
	f.graph.Initializers = kept
	dropValueInfo(f.graph, func(name string) bool { return f.consts[name] != nil })
}
