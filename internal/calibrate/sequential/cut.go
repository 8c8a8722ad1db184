package sequential

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/quant"
)

// stage is the products that share an input.
type stage struct {
	input    string
	products []quant.Product
	at       int // place of the first of its nodes
}

// cuts says how a graph is run piece by piece: a stage's piece begins where the
// stage before ended.
type cuts struct {
	graph   *onnx.Graph
	index   *onnx.Index
	place   map[*onnx.Node]int
	stages  []stage
	needed  map[*onnx.Node]bool // some stage's input depends on them
	changed map[string]bool     // values that depend on the weight of a stage
}

// newCuts groups products by their input, in the order of the graph.
func newCuts(g *onnx.Graph, products []quant.Product) *cuts {
	c := &cuts{graph: g, index: onnx.NewIndex(g), place: map[*onnx.Node]int{}, needed: map[*onnx.Node]bool{}, changed: map[string]bool{}}
	for i, n := range g.Nodes {
		c.place[n] = i
	}
	of := map[string]int{}
	solved := map[*onnx.Node]bool{}
	for _, p := range products {
		i, ok := of[p.Input]
		if !ok {
			i = len(c.stages)
			of[p.Input] = i
			c.stages = append(c.stages, stage{input: p.Input, at: c.place[p.Of()]})
		}
		c.stages[i].products = append(c.stages[i].products, p)
		solved[p.Of()] = true
	}
	for _, s := range c.stages {
		c.need(s.input)
	}
	for _, n := range g.Nodes {
		hit := solved[n]
		c.index.Uses(n, func(v string) { hit = hit || c.changed[v] })
		for _, v := range n.Outputs {
			if hit && v != "" {
				c.changed[v] = true
			}
		}
	}
	return c
}

// need marks the nodes that a value depends on.
func (c *cuts) need(value string) {
	todo := []string{value}
	for len(todo) > 0 {
		n := c.index.Producer(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		if n == nil || c.needed[n] {
			continue
		}
		c.needed[n] = true
		c.index.Uses(n, func(v string) { todo = append(todo, v) })
	}
}

// kept lists the values that have to live across the beginning of stage i: made
// before it, used from it on, and dependent on the stages before. What depends
// on the model's inputs alone is computed anew in each piece.
func (c *cuts) kept(i int) []string {
	at := c.stages[i].at
	var out []string
	for _, n := range c.graph.Nodes[:at] {
		for _, v := range n.Outputs {
			later := func(user *onnx.Node) bool { return c.place[user] >= at && (c.needed[user] || c.solves(user, i)) }
			if v != "" && c.changed[v] && slices.ContainsFunc(c.index.Consumers(v), later) {
				out = append(out, v)
			}
		}
	}
	return out
}

// solves reports whether a node is a product of stage i.
func (c *cuts) solves(n *onnx.Node, i int) bool {
	return slices.ContainsFunc(c.stages[i].products, func(p quant.Product) bool { return p.Of() == n })
}

// piece returns the part of the graph that makes the wanted values from the
// model's inputs and those that are given.
func (c *cuts) piece(given, wanted []string) *onnx.Graph {
	stop := map[string]bool{}
	for _, v := range given {
		stop[v] = true
	}
	in, used := map[*onnx.Node]bool{}, map[string]bool{}
	todo := slices.Clone(wanted)
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		used[v] = true
		n := c.index.Producer(v)
		if stop[v] || n == nil || in[n] {
			continue
		}
		in[n] = true
		c.index.Uses(n, func(v string) { todo = append(todo, v) })
	}
	g := &onnx.Graph{Name: c.graph.Name}
	for _, n := range c.graph.Nodes {
		if in[n] {
			g.Nodes = append(g.Nodes, n)
		}
	}
	for _, t := range c.graph.Initializers {
		if used[t.Name] {
			g.Initializers = append(g.Initializers, t)
		}
	}
	for _, v := range c.graph.Inputs {
		if used[v.Name] {
			g.Inputs = append(g.Inputs, v)
		}
	}
	return g
}
