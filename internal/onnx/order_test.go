package onnx

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// dag returns n nodes in topological order, each reading some earlier ones,
// some of them from within a body.
func dag(r *rand.Rand, n int) []*Node {
	var nodes []*Node
	for i := range n {
		node := op(fmt.Sprint(i), nil, fmt.Sprint("v", i))
		for range min(i, r.IntN(4)) {
			in := fmt.Sprint("v", r.IntN(i))
			if r.IntN(4) == 0 {
				node.Attrs = append(node.Attrs, body(fmt.Sprint("b", len(node.Attrs)), []string{"z"}, op("t", []string{in}, "z")))
			} else {
				node.Inputs = append(node.Inputs, in)
			}
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// inOrder is the slow reference: does every node come after what it reads?
func inOrder(nodes []*Node) bool {
	for i, n := range nodes {
		ok := true
		newCaptures(nodes).uses(n, func(name string) {
			for _, later := range nodes[i:] {
				ok = ok && !slices.Contains(later.Outputs, name)
			}
		})
		if !ok {
			return false
		}
	}
	return true
}

func TestSort(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		nodes := dag(r, n)
		g := &Graph{Nodes: slices.Clone(nodes)}
		if err := g.Sort(); err != nil || !slices.Equal(g.Nodes, nodes) {
			t.Fatalf("%d nodes in order were moved (%v)", n, err)
		}
		r.Shuffle(n, func(i, j int) { g.Nodes[i], g.Nodes[j] = g.Nodes[j], g.Nodes[i] })
		if err := g.Sort(); err != nil {
			t.Fatal(err)
		}
		if len(g.Nodes) != n || !inOrder(g.Nodes) {
			t.Fatalf("%d nodes are not in order", n)
		}
	}
}

// TestSortLong has a chain that recursion would not survive.
func TestSortLong(t *testing.T) {
	const n = 40_000
	g := &Graph{}
	for i := n - 1; i >= 0; i-- {
		g.Nodes = append(g.Nodes, op("", []string{fmt.Sprint("v", i)}, fmt.Sprint("v", i+1)))
	}
	if err := g.Sort(); err != nil {
		t.Fatal(err)
	}
	if g.Nodes[0].Inputs[0] != "v0" || g.Nodes[n-1].Outputs[0] != fmt.Sprint("v", n) {
		t.Error("the chain is not in order")
	}
	g.Nodes[n/2].Inputs = append(g.Nodes[n/2].Inputs, fmt.Sprint("v", n))
	wantError(t, g.Sort(), "cycle", "and 19992 more")
}

func TestOpenSorts(t *testing.T) {
	m := tiny(
		withBody(op("c", []string{"h"}, "y"), body("then", []string{"r"}, op("u", []string{"s"}, "r"), op("t", []string{"x"}, "s"))),
		op("a", []string{"x"}, "h"))
	m, err := Parse(mustMarshal(t, m))
	if err != nil {
		t.Fatal(err)
	}
	inner := m.Graph.Nodes[1].Attrs[0].G.Nodes
	if m.Graph.Nodes[0].Name != "a" || inner[0].Name != "t" {
		t.Error("the nodes were not put in order")
	}
}
