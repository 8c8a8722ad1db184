// Package fold rewrites what a graph computes from constants alone into
// constants, so that weights lie where quantization looks for them: Constant
// nodes become initializers, identities go, a transposed or cast weight becomes
// a weight, small shape arithmetic is carried out, and batch normalization is
// merged into the layer in front of it.
//
// Nothing large is computed here: a folded weight is a lazy tensor, computed
// when it is written.
package fold

import "optim/internal/onnx"

// smallBytes is the size up to which constants are computed at once, and may
// be duplicated.
const smallBytes = 1 << 10

// Report says what Simplify did.
type Report struct {
	Constants  int      `json:"constants"`        // Constant nodes that became initializers
	Identities int      `json:"identities"`       // Identity nodes removed
	Inputs     []string `json:"inputs,omitempty"` // initializers that are no longer graph inputs
	Folded     int      `json:"folded"`           // nodes over constants computed
	Merged     int      `json:"merged"`           // nodes that computed the same from the same weight
	Tied       []string `json:"tied,omitempty"`   // weights left as they are: folding would duplicate them
}

// Simplify folds constants in the main graph of m and in the bodies of its
// nodes; functions stay as they are. Values that are graph outputs keep their
// names. Initializers are taken out of the graph inputs, so that a caller can
// no longer override them, and the IR version is raised to 4, which allows
// that. DequantizeLinear is not folded. The result depends on m alone.
func Simplify(m *onnx.Model) (Report, error) {
	r := &Report{}
	m.IRVersion = max(m.IRVersion, 4)
	constants(m.Graph, r)
	freeInitializers(m.Graph, r)
	identities(m.Graph, r)
	if err := weights(m.Graph, nil, r); err != nil {
		return Report{}, err
	}
	return *r, nil
}

// freeInitializers takes the graph inputs that are initializers out.
func freeInitializers(g *onnx.Graph, r *Report) {
	is := make(map[string]bool, len(g.Initializers))
	for _, t := range g.Initializers {
		is[t.Name] = true
	}
	kept := make([]*onnx.ValueInfo, 0, len(g.Inputs))
	for _, v := range g.Inputs {
		if is[v.Name] {
			r.Inputs = append(r.Inputs, v.Name)
			continue
		}
		kept = append(kept, v)
	}
	g.Inputs = kept
}

// outputNames returns the set of a graph's outputs.
func outputNames(g *onnx.Graph) map[string]bool {
	set := make(map[string]bool, len(g.Outputs))
	for _, o := range g.Outputs {
		set[o.Name] = true
	}
	return set
}

// innerNames returns the names that the bodies in g define. Where one of them
// is also a name of g, it hides it, and renaming would change what is meant.
func innerNames(g *onnx.Graph) map[string]bool {
	set := map[string]bool{}
	var add func(*onnx.Graph, string)
	add = func(b *onnx.Graph, _ string) {
		for _, v := range b.Inputs {
			set[v.Name] = true
		}
		for _, t := range b.Initializers {
			set[t.Name] = true
		}
		for _, n := range b.Nodes {
			for _, v := range n.Outputs {
				set[v] = true
			}
			n.Graphs(add)
		}
	}
	for _, n := range g.Nodes {
		n.Graphs(add)
	}
	delete(set, "")
	return set
}

// dropNodes removes the nodes of the set, in one pass.
func dropNodes(g *onnx.Graph, gone map[*onnx.Node]bool) {
	if len(gone) > 0 {
		g.RemoveNodes(gone)
	}
}

// dropValueInfo removes the value infos of the names for which gone is true.
func dropValueInfo(g *onnx.Graph, gone func(name string) bool) {
	kept := make([]*onnx.ValueInfo, 0, len(g.ValueInfo))
	for _, v := range g.ValueInfo {
		if !gone(v.Name) {
			kept = append(kept, v)
		}
	}
	g.ValueInfo = kept
}
