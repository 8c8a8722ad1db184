package quant

import (
	"math"
	"slices"

	"optim/internal/onnx"
)

// fuseGelu replaces the five operators that exporters write for GELU,
//
//	x · (erf(x / √2) + 1) · 0.5
//
// in any order of the factors, by the runtime's own operator. The runtime does
// the same, but no longer when x comes from an integer kernel: there every
// reader of x gets a DequantizeLinear of its own before patterns are looked for.
func (q *pass) fuseGelu(s *scope) {
	gone := map[*onnx.Node]bool{}
	for _, n := range s.graph.Nodes {
		if opKey(n) != "Erf" || len(n.Inputs) != 1 {
			continue
		}
		g := gelu{s: s}
		if !g.match(n) || slices.ContainsFunc(g.inner, func(i *onnx.Node) bool { return gone[i] }) {
			continue
		}
		for _, i := range g.inner {
			gone[i] = true
		}
		g.last.OpType, g.last.Domain, g.last.Attrs = "Gelu", microsoft, nil
		g.last.Inputs = []string{g.x}
	}
	if len(gone) > 0 {
		s.graph.RemoveNodes(gone)
		s.index = onnx.NewIndex(s.graph)
	}
}

// gelu is one match: what it reads, its last node, and the others.
type gelu struct {
	s     *scope
	x     string
	inner []*onnx.Node
	last  *onnx.Node
}

// match looks for x in front of erf, and for the factors behind it.
func (g *gelu) match(erf *onnx.Node) bool {
	scaled := g.s.index.Producer(erf.Inputs[0])
	if scaled == nil || g.s.index.SoleConsumer(erf.Inputs[0]) != erf || !g.root(scaled) {
		return false
	}
	add := g.s.index.SoleConsumer(erf.Outputs[0])
	if add == nil || opKey(add) != "Add" || !g.hasConstant(add, 1) {
		return false
	}
	g.inner = append(g.inner, scaled, erf, add)
	return g.product(add)
}

// root: the node divides x by √2, or multiplies it with 1/√2.
func (g *gelu) root(n *onnx.Node) bool {
	x, c, ok := g.factors(n)
	g.x = x
	switch opKey(n) {
	case "Div":
		return ok && x == n.Inputs[0] && near(c, math.Sqrt2)
	case "Mul":
		return ok && near(c, 1/math.Sqrt2)
	}
	return false
}

// product follows the sum through two multiplications, with x and with 0.5, or
// through one with x · 0.5.
func (g *gelu) product(sum *onnx.Node) bool {
	at, x, half := sum, false, false
	for range 2 {
		n := g.s.index.SoleConsumer(at.Outputs[0])
		if n == nil || opKey(n) != "Mul" || len(n.Inputs) != 2 {
			return false
		}
		other := n.Inputs[0]
		if other == at.Outputs[0] {
			other = n.Inputs[1]
		}
		switch c, isScalar := g.number(other); {
		case other == g.x && !x:
			x = true
		case isScalar && near(c, 0.5) && !half:
			half = true
		case !x && !half && g.halved(other, n):
			x, half = true, true
		default:
			return false
		}
		if x && half {
			g.last = n
			return true
		}
		g.inner = append(g.inner, n)
		at = n
	}
	return false
}

// halved reports whether a value that only n reads is x · 0.5.
func (g *gelu) halved(value string, n *onnx.Node) bool {
	p := g.s.index.Producer(value)
	if p == nil || opKey(p) != "Mul" || g.s.index.SoleConsumer(value) != n {
		return false
	}
	x, c, ok := g.factors(p)
	if !ok || x != g.x || !near(c, 0.5) {
		return false
	}
	g.inner = append(g.inner, p)
	return true
}

// factors splits a node of two inputs, one of which is a constant number.
func (g *gelu) factors(n *onnx.Node) (x string, c float32, ok bool) {
	if len(n.Inputs) != 2 {
		return "", 0, false
	}
	for i, in := range n.Inputs {
		if c, ok := g.number(in); ok {
			return n.Inputs[1-i], c, true
		}
	}
	return "", 0, false
}

// number reads a constant that gives a product no further axes.
func (g *gelu) number(name string) (float32, bool) {
	if t, _ := g.s.constant(name); t == nil || len(t.Shape) > 1 {
		return 0, false
	}
	return g.s.scalarValue(name)
}

// hasConstant reports whether one input of a node of two is that number.
func (g *gelu) hasConstant(n *onnx.Node, want float64) bool {
	_, c, ok := g.factors(n)
	return ok && near(c, want)
}

// near allows for constants that were rounded to half precision.
func near(c float32, want float64) bool { return math.Abs(float64(c)-want) <= 1e-3*want }
