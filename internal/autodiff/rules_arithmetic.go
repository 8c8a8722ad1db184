package autodiff

import "optim/internal/tensor"

var _ = register(map[string]rule{
	"Add": func(c *call) { c.give(0, c.dy[0]); c.give(1, c.dy[0]) },
	"Sub": func(c *call) {
		c.give(0, c.dy[0])
		if c.want(1) {
			// Summed first, negated then: a bias has fewer elements.
			c.give(1, c.Unary("Neg", c.sumTo(c.dy[0], c.Shape(c.in(1)))))
		}
	},
	"Mul": mulGrad,
	"Div": divGrad,
	"Pow": powGrad,
	"Sum": func(c *call) {
		for i := range c.node.Inputs {
			c.give(i, c.dy[0])
		}
	},
	"Mean": func(c *call) {
		for i := range c.node.Inputs {
			c.give(i, c.Scale(c.dy[0], 1/float64(len(c.node.Inputs))))
		}
	},
	"Max":   extremeGrad,
	"Min":   extremeGrad,
	"Where": whereGrad,
})

func mulGrad(c *call) {
	for i := range 2 {
		if c.want(i) {
			c.give(i, c.Mul(c.dy[0], c.in(1-i)))
		}
	}
}

func divGrad(c *call) {
	if c.want(0) {
		c.give(0, c.Div(c.dy[0], c.in(1)))
	}
	if c.want(1) {
		c.give(1, c.Unary("Neg", c.Div(c.Mul(c.dy[0], c.out(0)), c.in(1))))
	}
}

// powGrad: x^e has slope e·x^(e−1) in x, and y·ln x in e, which is 0 where x is.
func powGrad(c *call) {
	x, e, dy := c.in(0), c.in(1), c.dy[0]
	if c.want(0) {
		c.give(0, c.Mul(dy, c.powSlope(x, e)))
	}
	if c.want(1) {
		log := c.Where(c.positive(x), c.Unary("Log", x), c.like(x, 0))
		c.give(1, c.Mul(dy, c.Mul(c.out(0), log)))
	}
}

// powSlope adds e·x^(e−1), with products for the usual exponents: a general power
// takes ten times as long.
func (g *Graph) powSlope(x, e string) string {
	d := g.Type(x).DType
	switch f, ok := g.scalar(e); {
	case ok && f == 1:
		return g.like(x, 1)
	case ok && f == 2:
		return g.Scale(x, 2)
	case ok && f == 3:
		return g.Scale(g.Mul(x, x), 3)
	case ok && f == 0.5:
		return g.Div(g.like(x, 0.5), g.Unary("Sqrt", x))
	}
	e = g.Cast(e, d)
	return g.Mul(e, g.Binary("Pow", x, g.Offset(e, -1)))
}

// extremeGrad gives the gradient to the inputs that equal the result; of equal ones
// each gets its share, as in PyTorch.
func extremeGrad(c *call) {
	var hit []string
	for i := range c.node.Inputs {
		v := c.in(i)
		hit = append(hit, c.Cast(c.Binary("Equal", v, c.out(0)), c.Type(v).DType))
	}
	count := hit[0]
	for _, h := range hit[1:] {
		count = c.Add(count, h)
	}
	share := c.Div(c.dy[0], count)
	for i := range hit {
		c.give(i, c.Mul(share, hit[i]))
	}
}

func whereGrad(c *call) {
	cond, dy := c.in(0), c.dy[0]
	if c.Type(cond).DType != tensor.Bool {
		c.failf("its condition is not boolean")
		return
	}
	c.give(1, c.keep(cond, dy))
	if c.want(2) {
		c.give(2, c.Where(cond, c.like(dy, 0), dy))
	}
}
