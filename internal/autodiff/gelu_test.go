package autodiff_test

import (
	"math"
	"testing"

	. "optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// geluForms are the ways in which exporters write Gelu.
var geluForms = map[string]struct {
	op    string
	build func(g *Graph, x string) string
}{
	"erf, half last": {"Gelu", func(g *Graph, x string) string {
		e := g.Offset(g.Unary("Erf", g.Div(x, g.Scalar(tensor.Float32, math.Sqrt2))), 1)
		return g.Scale(g.Mul(x, e), 0.5)
	}},
	"erf, half first": {"Gelu", func(g *Graph, x string) string {
		e := g.Offset(g.Unary("Erf", g.Scale(x, math.Sqrt2/2)), 1)
		return g.Mul(g.Scale(x, 0.5), e)
	}},
	"tanh with Pow": {"FastGelu", func(g *Graph, x string) string {
		cube := g.Op("Pow", g.Type(x), []string{x, g.Scalar(tensor.Float32, 3)})
		u := g.Scale(g.Add(x, g.Scale(cube, 0.044715)), math.Sqrt(2/math.Pi))
		return g.Mul(g.Scale(x, 0.5), g.Offset(g.Unary("Tanh", u), 1))
	}},
	"tanh with Mul": {"FastGelu", func(g *Graph, x string) string {
		u := g.Mul(x, g.Offset(g.Scale(g.Mul(x, x), 0.044715*math.Sqrt(2/math.Pi)), math.Sqrt(2/math.Pi)))
		return g.Scale(g.Mul(x, g.Offset(g.Unary("Tanh", u), 1)), 0.5)
	}},
	"no gelu": {"", func(g *Graph, x string) string {
		return g.Mul(x, g.Offset(g.Unary("Tanh", x), 1))
	}},
	"of two values": {"", func(g *Graph, x string) string {
		e := g.Offset(g.Unary("Erf", g.Scale(x, math.Sqrt2/2)), 1)
		return g.Mul(g.Scale(g.Mul(x, x), 0.5), e)
	}},
}

func TestFuseGelu(t *testing.T) {
	for name, c := range geluForms {
		g := NewGraph()
		g.Input("in", Type{tensor.Float32, tensor.Shape{2, 3}})
		x := g.Add("in", g.Tensor(tensor.Of(tensor.Float32, tensor.Shape{3}, []float32{1, 2, 3}))) // a bias before it
		g.Keep(x)
		y := c.build(g, x)
		g.Keep(y)
		found := g.FuseGelu()
		var last *onnx.Node
		for _, n := range g.Nodes() {
			if n.Output(0) == y {
				last = n
			}
		}
		switch {
		case c.op == "" && found != 0:
			t.Errorf("%s: taken for %s", name, last.OpType)
		case c.op != "" && (found != 1 || last.OpType != c.op || last.Input(0) != x):
			t.Errorf("%s: %d found, %s of %q", name, found, last.OpType, last.Inputs)
		case c.op != "" && len(g.Nodes()) != 2:
			t.Errorf("%s: %d nodes are left", name, len(g.Nodes()))
		}
	}
}
