package autodiff

import (
	"slices"

	"optim/internal/tensor"
)

var _ = register(map[string]rule{
	"ReduceSum":       reduced(func(c *call, x, y, dy string, n float64) string { return dy }),
	"ReduceMean":      reduced(func(c *call, x, y, dy string, n float64) string { return c.Scale(dy, 1/n) }),
	"ReduceSumSquare": reduced(func(c *call, x, y, dy string, n float64) string { return c.Scale(c.Mul(dy, x), 2) }),
	"ReduceL1":        reduced(func(c *call, x, y, dy string, n float64) string { return c.Mul(dy, c.Unary("Sign", x)) }),
	"ReduceL2": reduced(func(c *call, x, y, dy string, n float64) string {
		// 0 where all are 0, as PyTorch has it.
		zero := c.Op("Equal", Type{tensor.Bool, c.Shape(y)}, []string{y, c.Scalar(c.Type(y).DType, 0)})
		return c.Mul(dy, c.Div(x, c.Add(y, c.Cast(zero, c.Type(y).DType))))
	}),
	// Of a factor that is 0 it is not defined here: NaN, which ends a training.
	"ReduceProd":   reduced(func(c *call, x, y, dy string, n float64) string { return c.Div(c.Mul(dy, y), x) }),
	"ReduceLogSum": reduced(func(c *call, x, y, dy string, n float64) string { return c.Div(dy, c.Unary("Exp", y)) }),
	"ReduceLogSumExp": reduced(func(c *call, x, y, dy string, n float64) string {
		return c.Mul(dy, c.Unary("Exp", c.Sub(x, y)))
	}),
	"ReduceMax": reduced(reduceExtreme),
	"ReduceMin": reduced(reduceExtreme),

	"GlobalAveragePool": func(c *call) {
		s := c.Shape(c.in(0))
		n := c.Type(c.in(0)).Elements() / max(s[0]*s[1], 1)
		c.give(0, c.Expand(c.Scale(c.dy[0], 1/float64(max(n, 1))), s))
	},
	"GlobalMaxPool": func(c *call) {
		x := c.in(0)
		axes := axesFrom(2, len(c.Shape(x)))
		c.give(0, c.shared(x, c.out(0), c.dy[0], axes))
	},
})

// reduced is the rule of a reduction: f gets the result and its gradient with the
// reduced axes of size 1, and the number of elements that were reduced to one.
func reduced(f func(c *call, x, y, dy string, n float64) string) rule {
	return func(c *call) {
		if !c.want(0) {
			return
		}
		x := c.in(0)
		kept := c.Shape(x).Clone()
		n := 1.0
		for _, a := range c.reducedAxes() {
			n *= float64(kept[a])
			kept[a] = 1
		}
		y, dy := c.Reshape(c.out(0), kept...), c.Reshape(c.dy[0], kept...)
		c.give(0, c.Expand(f(c, x, y, dy, n), c.Shape(x)))
	}
}

// reducedAxes lists the axes that the node reduces, counted from the first.
func (c *call) reducedAxes() []int64 {
	rank := len(c.Shape(c.in(0)))
	axes := slices.Clone(c.node.AttrInts("axes"))
	if c.in(1) != "" {
		axes = slices.Clone(c.ints(1))
	}
	if len(axes) == 0 && c.node.AttrInt("noop_with_empty_axes", 0) == 0 {
		return axesFrom(0, rank)
	}
	for i, a := range axes {
		if a < 0 {
			axes[i] = a + int64(rank)
		}
	}
	return axes
}

func reduceExtreme(c *call, x, y, dy string, n float64) string {
	return c.shared(x, y, dy, c.reducedAxes())
}

// shared divides dy equally among the elements of x that equal y, their extreme over
// the axes.
func (g *Graph) shared(x, y, dy string, axes []int64) string {
	hit := g.Cast(g.Binary("Equal", x, y), g.Type(x).DType)
	return g.Mul(hit, g.Div(dy, g.Sum(hit, axes...)))
}
