package autodiff

import (
	"maps"
	"math"
	"slices"

	"optim/internal/onnx"
)

// FuseGelu replaces the operators that exporters write for Gelu, in any of their
// forms, by the runtime's one, and returns how many it found. A function of one value
// is told by its values at some points: the forms differ, what they compute does not.
// One pass over memory takes the place of eight, and the gradient needs no more than
// the input.
func (g *Graph) FuseGelu() int {
	found := 0
	producers := map[string]*onnx.Node{}
	for _, n := range g.nodes {
		for _, v := range n.Outputs {
			producers[v] = n
		}
	}
	for i, n := range g.nodes {
		if !n.Is("Mul") {
			continue
		}
		e := &scalarFunction{g: g, producers: producers}
		for _, x := range e.candidates(n.Output(0)) {
			if op := e.gelu(n.Output(0), x); op != "" {
				fused := onnx.NewNode(op, n.Name, []string{x}, n.Outputs)
				fused.Domain = "com.microsoft"
				g.nodes[i] = fused
				found++
				break
			}
		}
	}
	g.dropUnused()
	return found
}

// dropUnused removes the nodes whose results nothing reads.
func (g *Graph) dropUnused() {
	read := maps.Clone(g.kept)
	for _, n := range slices.Backward(g.nodes) {
		if slices.ContainsFunc(n.Outputs, func(v string) bool { return read[v] }) {
			for _, v := range n.Inputs {
				read[v] = true
			}
		}
	}
	g.nodes = slices.DeleteFunc(g.nodes, func(n *onnx.Node) bool {
		return !slices.ContainsFunc(n.Outputs, func(v string) bool { return read[v] })
	})
}

// scalarFunction evaluates values of a graph as functions of another value.
type scalarFunction struct {
	g         *Graph
	producers map[string]*onnx.Node
}

const geluDepth = 8 // nodes from x to Gelu(x) in the longest known form

// candidates lists the values that v may be a function of: where the arguments of
// all its operators go back to.
func (e *scalarFunction) candidates(v string) []string {
	var out []string
	smooth := false
	var walk func(v string, depth int)
	walk = func(v string, depth int) {
		n := e.producers[v]
		if n == nil || depth > geluDepth {
			return
		}
		smooth = smooth || n.Is("Tanh", "Erf")
		if !n.Is("Add", "Sub", "Mul", "Div", "Pow", "Tanh", "Erf") {
			return
		}
		for _, in := range n.Inputs {
			if _, ok := e.g.scalar(in); !ok {
				if smooth && !slices.Contains(out, in) {
					out = append(out, in)
				}
				walk(in, depth+1)
			}
		}
	}
	walk(v, 0)
	if !smooth {
		return nil
	}
	return out
}

// gelu names the operator that v is of x; empty: none.
func (e *scalarFunction) gelu(v, x string) string {
	for op, f := range map[string]func(x float64) float64{
		"Gelu": func(x float64) float64 { return x * 0.5 * (1 + math.Erf(x/math.Sqrt2)) },
		"FastGelu": func(x float64) float64 {
			return x * 0.5 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
		},
	} {
		same := true
		for _, at := range []float64{-4, -2.5, -1, -0.3, 0, 0.1, 0.8, 1.7, 3} {
			y, ok := e.eval(v, x, at, 0)
			same = same && ok && math.Abs(y-f(at)) < 2e-6
		}
		if same {
			return op
		}
	}
	return ""
}

// eval computes v where x has the value at; ok is false if v depends on something else.
func (e *scalarFunction) eval(v, x string, at float64, depth int) (float64, bool) {
	if v == x {
		return at, true
	}
	if f, ok := e.g.scalar(v); ok {
		return f, true
	}
	n := e.producers[v]
	if n == nil || depth > geluDepth || len(n.Inputs) == 0 {
		return 0, false
	}
	a, ok := e.eval(n.Input(0), x, at, depth+1)
	if !ok {
		return 0, false
	}
	switch {
	case n.Is("Tanh"):
		return math.Tanh(a), true
	case n.Is("Erf"):
		return math.Erf(a), true
	}
	b, ok := e.eval(n.Input(1), x, at, depth+1)
	if !ok {
		return 0, false
	}
	switch n.OpType {
	case "Add":
		return a + b, true
	case "Sub":
		return a - b, true
	case "Mul":
		return a * b, true
	case "Div":
		return a / b, true
	case "Pow":
		return math.Pow(a, b), true
	}
	return 0, false
}
