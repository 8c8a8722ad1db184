package prune

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Layer is a part of the graph that repeats, from one value to another of the same
// shape, through which everything passes.
type Layer struct {
	Begin, End string
	Nodes      int
}

// longest is the most sections that a layer is taken to have.
const longest = 256

// Layers finds the longest run of equal layers, in order: the blocks of a transformer.
// Layers are equal if they have the same operators and weights of the same shapes. No
// run is shorter than two.
func Layers(g *onnx.Graph) []Layer {
	cuts, parts := sections(g)
	nodes, products := make([]int, len(parts)+1), make([]int, len(parts)+1) // before each part
	for i, p := range parts {
		nodes[i+1], products[i+1] = nodes[i]+p.nodes, products[i]
		if p.products {
			products[i+1]++
		}
	}
	first, size, count, most := 0, 0, 0, 0
	for period := 1; period <= min(len(parts)/2, longest); period++ {
		same := 0 // parts from start on that are equal to those a period later
		for start := len(parts) - period - 1; start >= 0; start-- {
			if same++; parts[start].signature != parts[start+period].signature {
				same = 0
			}
			n := 1 + same/period
			if n < 2 || products[start+period] == products[start] {
				continue
			}
			// Of equal coverage the last run, whose layers end where the model goes on.
			if covered := nodes[start+n*period] - nodes[start]; covered > most {
				first, size, count, most = start, period, n, covered
			}
		}
	}
	run := make([]Layer, count)
	for k := range run {
		at := first + k*size
		run[k] = Layer{Begin: cuts[at], End: cuts[at+size], Nodes: nodes[at+size] - nodes[at]}
	}
	return run
}

// Cuts lists the values through which everything passes that was computed from weights,
// in order.
func Cuts(g *onnx.Graph) []string {
	cuts, _ := sections(g)
	return cuts
}

type section struct {
	nodes     int
	signature uint64
	products  bool
}

// sections cuts the graph where one value alone carries what was computed from weights.
// parts[i] lies between cuts[i] and cuts[i+1].
func sections(g *onnx.Graph) (cuts []string, parts []section) {
	live := map[string]bool{} // depends on a matrix of weights
	weights := map[string]*onnx.Tensor{}
	for _, w := range g.Initializers {
		if w.DType == tensor.Float32 {
			weights[w.Name] = w
		}
	}
	waiting := map[string]int{} // consumers of a live value still to come
	var path []*onnx.Node
	for _, n := range g.Nodes {
		takes := n.Is("Gather", "MatMul", "Gemm", "Conv") && takesMatrix(n, weights)
		for _, v := range n.Inputs {
			takes = takes || live[v]
		}
		if !takes || n.Is("Shape", "Size") {
			continue
		}
		path = append(path, n)
		for _, v := range n.Outputs {
			live[v] = true
		}
		for _, v := range n.Inputs {
			if live[v] {
				waiting[v]++
			}
		}
	}
	for _, v := range g.Outputs {
		waiting[v.Name]++
	}
	open := map[string]bool{}
	part := newSignature()
	for _, n := range path {
		for _, v := range n.Inputs {
			if live[v] {
				if waiting[v]--; waiting[v] == 0 {
					delete(open, v)
				}
			}
		}
		for _, v := range n.Outputs {
			if waiting[v] > 0 {
				open[v] = true
			}
		}
		part.add(n, weights)
		if len(open) == 1 && len(n.Outputs) == 1 && open[n.Output(0)] {
			if len(cuts) > 0 {
				parts = append(parts, part.done())
			}
			cuts, part = append(cuts, n.Output(0)), newSignature()
		}
	}
	return cuts, parts
}

func takesMatrix(n *onnx.Node, weights map[string]*onnx.Tensor) bool {
	for _, v := range n.Inputs {
		if w := weights[v]; w != nil && len(w.Shape) > 1 {
			return true
		}
	}
	return false
}

type signature struct {
	b     strings.Builder
	nodes int
	prod  bool
}

func newSignature() *signature { return &signature{} }

func (s *signature) add(n *onnx.Node, weights map[string]*onnx.Tensor) {
	s.nodes++
	s.prod = s.prod || n.Is("MatMul", "Gemm", "Conv")
	s.b.WriteString(n.OpType)
	for _, v := range n.Inputs {
		if w := weights[v]; w != nil {
			fmt.Fprint(&s.b, w.Shape)
		}
	}
}

func (s *signature) done() section {
	h := fnv.New64a()
	h.Write([]byte(s.b.String()))
	return section{s.nodes, h.Sum64(), s.prod}
}

// Bypass removes a layer: what read its end reads its beginning. A model whose output is
// the end gives the beginning under that name.
func Bypass(g *onnx.Graph, l Layer) {
	g.RenameUses(l.End, l.Begin)
	if slices.ContainsFunc(g.Outputs, func(v *onnx.ValueInfo) bool { return v.Name == l.End }) {
		at := slices.IndexFunc(g.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, l.End) })
		g.Nodes[at] = onnx.NewNode("Identity", g.Nodes[at].Name, []string{l.Begin}, []string{l.End})
	}
	g.RemoveDead()
}
