package prune

import (
	"fmt"
	"hash/fnv"
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

// Layers finds the longest run of equal layers, in order: the blocks of a transformer.
// Layers are equal if they have the same operators and weights of the same shapes. No
// run is shorter than two.
func Layers(g *onnx.Graph) []Layer {
	cuts, parts := sections(g)
	best := []Layer{}
	for period := 1; period <= len(parts)/2; period++ {
		for start := 0; start+2*period <= len(parts); start++ {
			n := 1
			for start+(n+1)*period <= len(parts) && equalParts(parts, start, start+n*period, period) {
				n++
			}
			if n < 2 {
				continue
			}
			run := make([]Layer, 0, n)
			nodes := 0
			for k := range n {
				at := start + k*period
				l := Layer{Begin: cuts[at], End: cuts[at+period]}
				for _, p := range parts[at : at+period] {
					l.Nodes += p.nodes
				}
				nodes += l.Nodes
				run = append(run, l)
			}
			// Of equal coverage the last run, whose layers end where the model goes on.
			if total := nodesOf(best); nodes > total || nodes == total && len(run) == len(best) {
				best = run
			}
		}
	}
	return best
}

// Cuts lists the values through which everything passes that was computed from weights,
// in order.
func Cuts(g *onnx.Graph) []string {
	cuts, _ := sections(g)
	return cuts
}

func nodesOf(run []Layer) int {
	n := 0
	for _, l := range run {
		n += l.Nodes
	}
	return n
}

type section struct {
	nodes     int
	signature uint64
	products  bool
}

func equalParts(parts []section, a, b, n int) bool {
	some := false
	for i := range n {
		if parts[a+i].signature != parts[b+i].signature {
			return false
		}
		some = some || parts[a+i].products
	}
	return some
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

// Bypass removes a layer: what read its end reads its beginning.
func Bypass(g *onnx.Graph, l Layer) {
	g.RenameUses(l.End, l.Begin)
	g.RemoveDead()
}
