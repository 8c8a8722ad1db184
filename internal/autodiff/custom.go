package autodiff

import (
	"slices"

	"optim/internal/onnx"
)

// Call is what a rule of Custom works with: the inputs and the output of what it
// differentiates, and the gradient of the output.
type Call struct {
	In        []string
	Out, Grad string
	c         *call
}

// Wants reports whether input i needs a gradient.
func (c Call) Wants(i int) bool { return c.c.want(i) }

// Give adds to the gradient of input i.
func (c Call) Give(i int, grad string) { c.c.give(i, grad) }

// Custom makes the value out, whatever nodes compute it, a function of in with a
// gradient of its own: rule is called for it, and the nodes between get none.
func (g *Graph) Custom(out string, in []string, rule func(c Call)) {
	n := onnx.NewNode("custom", out, slices.Clone(in), []string{out})
	at := slices.IndexFunc(g.nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, out) })
	g.whole[g.nodes[at]] = n
	g.custom[n] = func(c *call) { rule(Call{In: in, Out: out, Grad: c.dy[0], c: c}) }
}

// seen returns the nodes as differentiation sees them.
func (g *Graph) seen() []*onnx.Node {
	out := slices.Clone(g.nodes)
	for i, n := range out {
		if w := g.whole[n]; w != nil {
			out[i] = w
		}
	}
	return out
}
