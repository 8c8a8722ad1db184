package autodiff

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// ErrNoRule says that a gradient has to pass through an operator that none is known
// of.
var ErrNoRule = errors.New("no gradient is known")

// rule gives the gradients of a node's inputs, from those of its outputs: its
// vector-Jacobian product.
type rule func(c *call)

// rules has the rule of each operator; those of other domains are written
// "com.microsoft::Gelu". nil: the operator has none, as its result is constant
// almost everywhere.
var rules = map[string]rule{}

func register(table map[string]rule) map[string]rule {
	for op, r := range table {
		rules[op] = r
	}
	return table
}

// call is a node whose rule is being applied.
type call struct {
	*Graph
	node *onnx.Node
	dy   []string // gradient of each output; empty: none
	need []bool   // which inputs need one
	pass *pass
	err  error
}

// in and out name what the node reads and makes, or the same computed again.
func (c *call) in(i int) string  { return c.pass.again.of(c.node.Input(i)) }
func (c *call) out(i int) string { return c.pass.again.of(c.node.Output(i)) }

// want reports whether input i needs a gradient.
func (c *call) want(i int) bool { return i < len(c.need) && c.need[i] }

// give adds to the gradient of input i, summed over the axes it was broadcast along.
func (c *call) give(i int, grad string) {
	if c.want(i) && grad != "" && c.err == nil {
		c.pass.add(c.node.Input(i), c.sumTo(grad, c.Shape(c.node.Input(i))))
	}
}

// failf says why the node has no gradient.
func (c *call) failf(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("node %q (%s): %s", c.node.Name, opName(c.node), fmt.Sprintf(format, args...))
	}
}

// ints returns the elements of an input that has to be constant.
func (c *call) ints(i int) []int64 {
	v, ok := c.intsOf(c.in(i))
	if !ok {
		c.failf("input %q is not constant", c.in(i))
	}
	return v
}

// axis returns an attribute as an axis of a value of that rank.
func (c *call) axis(name string, def int64, rank int) int {
	a := c.node.AttrInt(name, def)
	if a < 0 {
		a += int64(rank)
	}
	return int(a)
}

// pass is one run of reverse-mode differentiation.
type pass struct {
	g     *Graph
	grads map[string][]string // contributions to the gradient of a value
	again *recomputation      // nil: everything is kept
	// recent are the contributions to gradients of inputs since a section was entered.
	recent []string
}

func (p *pass) add(v, grad string) {
	p.grads[v] = append(p.grads[v], grad)
	if p.again != nil && slices.Contains(p.g.Inputs, v) {
		p.recent = append(p.recent, grad)
	}
}

// total returns the gradient of v; empty: there is none.
func (p *pass) total(v string) string {
	list := p.grads[v]
	if len(list) == 0 {
		return ""
	}
	if len(list) > 1 {
		list = []string{p.g.Op("Sum", p.g.Type(v), list)}
		p.grads[v] = list
	}
	return list[0]
}

// Gradients adds the nodes that compute the gradients of the scalar loss with
// respect to values of the graph, and returns their names by value. A value that
// the loss does not depend on has none. Integers carry no gradient.
func (g *Graph) Gradients(loss string, wrt []string) (map[string]string, error) {
	return g.VectorJacobian(map[string]string{loss: g.Full(g.Type(loss), 1)}, wrt)
}

// VectorJacobian is Gradients of the sum of several values, each weighted elementwise
// by a seed of its shape.
func (g *Graph) VectorJacobian(seeds map[string]string, wrt []string) (map[string]string, error) {
	needs := g.dependents(wrt)
	nodes := g.between(needs, sortedKeys(seeds))
	if err := g.missing(nodes); err != nil {
		return nil, err
	}
	p := &pass{g: g, grads: map[string][]string{}}
	if g.Recompute {
		p.again = newRecomputation(g, needs)
	}
	for _, v := range sortedKeys(seeds) {
		p.add(v, seeds[v])
	}
	for _, n := range slices.Backward(nodes) {
		if err := p.node(n, needs); err != nil {
			return nil, err
		}
	}
	out := map[string]string{}
	for _, v := range wrt {
		if d := p.total(v); d != "" {
			out[v] = d
		}
	}
	return out, nil
}

// node applies the rule of a node.
func (p *pass) node(n *onnx.Node, needs map[string]bool) error {
	p.again.enter(p, n)
	c := &call{Graph: p.g, node: n, pass: p}
	some := false
	for _, v := range n.Outputs {
		d := p.total(v)
		c.dy = append(c.dy, d)
		some = some || d != ""
	}
	for _, v := range n.Inputs {
		c.need = append(c.need, needs[v])
	}
	if r, _ := p.g.rule(n); some && r != nil {
		r(c)
	}
	return c.err
}

// rule returns the rule of a node, and whether one is known.
func (g *Graph) rule(n *onnx.Node) (rule, bool) {
	if r, ok := g.custom[n]; ok {
		return r, true
	}
	r, ok := rules[opName(n)]
	return r, ok
}

// dependents returns the values of real numbers that depend on one of wrt.
func (g *Graph) dependents(wrt []string) map[string]bool {
	out := map[string]bool{}
	for _, v := range wrt {
		out[v] = true
	}
	for _, n := range g.seen() {
		if !slices.ContainsFunc(n.Inputs, func(v string) bool { return out[v] }) {
			continue
		}
		for _, v := range n.Outputs {
			if t, ok := g.types[v]; ok && isReal(t.DType) {
				out[v] = true
			}
		}
	}
	return out
}

func isReal(d tensor.DType) bool { return d == tensor.Float32 || d == tensor.Float64 }

// between returns, in order, the nodes through which a gradient of one of the
// values passes to those that need one.
func (g *Graph) between(needs map[string]bool, values []string) []*onnx.Node {
	reached := map[string]bool{}
	for _, v := range values {
		reached[v] = true
	}
	var out []*onnx.Node
	for _, n := range slices.Backward(g.seen()) {
		takes := slices.ContainsFunc(n.Inputs, func(v string) bool { return needs[v] })
		gives := slices.ContainsFunc(n.Outputs, func(v string) bool { return reached[v] && needs[v] })
		if !takes || !gives {
			continue
		}
		if r, ok := g.rule(n); ok && r == nil {
			continue
		}
		out = append(out, n)
		for _, v := range n.Inputs {
			reached[v] = reached[v] || needs[v]
		}
	}
	slices.Reverse(out)
	return out
}

// missing names the operators without a rule.
func (g *Graph) missing(nodes []*onnx.Node) error {
	first := map[string]string{}
	for _, n := range nodes {
		op := opName(n)
		if _, ok := g.rule(n); !ok && first[op] == "" {
			first[op] = n.Name
		}
	}
	var list []string
	for _, op := range sortedKeys(first) {
		list = append(list, fmt.Sprintf("%s (node %q)", op, first[op]))
	}
	if len(list) > 0 {
		return fmt.Errorf("%w through %s", ErrNoRule, strings.Join(list, ", "))
	}
	return nil
}

// opName is the operator of a node as rules names it.
func opName(n *onnx.Node) string {
	if n.Domain == "" || n.Domain == "ai.onnx" {
		return n.OpType
	}
	return n.Domain + "::" + n.OpType
}
