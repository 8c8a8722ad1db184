package autodiff

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// local is the derivative of an elementwise function: it returns its product with
// dy, for input x and output y.
type local func(c *call, x, y, dy string) string

func unary(f local) rule {
	return func(c *call) {
		if c.want(0) {
			c.give(0, f(c, c.in(0), c.out(0), c.dy[0]))
		}
	}
}

var _ = register(map[string]rule{
	"Identity": unary(func(c *call, x, y, dy string) string { return dy }),
	"Neg":      unary(func(c *call, x, y, dy string) string { return c.Unary("Neg", dy) }),
	"Abs":      unary(func(c *call, x, y, dy string) string { return c.Mul(dy, c.Unary("Sign", x)) }),
	"Exp":      unary(func(c *call, x, y, dy string) string { return c.Mul(dy, y) }),
	"Log":      unary(func(c *call, x, y, dy string) string { return c.Div(dy, x) }),
	"Sqrt":     unary(func(c *call, x, y, dy string) string { return c.Scale(c.Div(dy, y), 0.5) }),
	"Sin":      unary(func(c *call, x, y, dy string) string { return c.Mul(dy, c.Unary("Cos", x)) }),
	"Cos":      unary(func(c *call, x, y, dy string) string { return c.Unary("Neg", c.Mul(dy, c.Unary("Sin", x))) }),
	"Tanh":     unary(func(c *call, x, y, dy string) string { return c.Sub(dy, c.Mul(dy, c.Mul(y, y))) }),
	"Sigmoid":  unary(func(c *call, x, y, dy string) string { return c.Mul(dy, c.Sub(y, c.Mul(y, y))) }),
	"Softplus": unary(func(c *call, x, y, dy string) string { return c.Mul(dy, c.Unary("Sigmoid", x)) }),
	"Reciprocal": unary(func(c *call, x, y, dy string) string {
		return c.Unary("Neg", c.Mul(dy, c.Mul(y, y)))
	}),
	"Softsign": unary(func(c *call, x, y, dy string) string {
		d := c.Offset(c.Unary("Abs", x), 1)
		return c.Div(dy, c.Mul(d, d))
	}),
	"Erf":              unary(erfGrad),
	"Relu":             unary(reluGrad),
	"LeakyRelu":        unary(leakyGrad),
	"ThresholdedRelu":  unary(thresholdedGrad),
	"Elu":              unary(func(c *call, x, y, dy string) string { return c.expUnit(x, y, dy, alpha(c, 1), 1) }),
	"Selu":             unary(seluGrad),
	"Celu":             unary(celuGrad),
	"HardSigmoid":      unary(hardSigmoidGrad),
	"HardSwish":        unary(hardSwishGrad),
	"Mish":             unary(mishGrad),
	"Clip":             clipGrad,
	"Cast":             castGrad,
	"Dropout":          dropoutGrad,
	"PRelu":            preluGrad,
	"Floor":            nil,
	"Ceil":             nil,
	"Round":            nil,
	"Sign":             nil,
	"Equal":            nil,
	"Greater":          nil,
	"Less":             nil,
	"GreaterOrEqual":   nil,
	"LessOrEqual":      nil,
	"ArgMax":           nil,
	"ArgMin":           nil,
	"Shape":            nil,
	"Size":             nil,
	"IsNaN":            nil,
	"IsInf":            nil,
	"ConstantOfShape":  nil,
	"NonZero":          nil,
	"QuantizeLinear":   nil,
	"OneHot":           nil,
	"EyeLike":          nil,
	"RandomNormalLike": nil, "RandomUniformLike": nil,
})

// alpha is the attribute of that name.
func alpha(c *call, def float32) float64 { return float64(c.node.AttrFloat("alpha", def)) }

// positive adds x > 0.
func (g *Graph) positive(x string) string { return g.Binary("Greater", x, g.like(x, 0)) }

// keep adds dy where cond holds, else 0.
func (g *Graph) keep(cond, dy string) string { return g.Where(cond, dy, g.like(dy, 0)) }

// erfGrad: erf'(x) = 2/√π · e^(−x²).
func erfGrad(c *call, x, y, dy string) string {
	e := c.Unary("Exp", c.Unary("Neg", c.Mul(x, x)))
	return c.Scale(c.Mul(dy, e), 2/math.SqrtPi)
}

func leakyGrad(c *call, x, y, dy string) string {
	return c.Where(c.positive(x), dy, c.Scale(dy, alpha(c, 0.01)))
}

func thresholdedGrad(c *call, x, y, dy string) string {
	return c.keep(c.Binary("Greater", x, c.like(x, alpha(c, 1))), dy)
}

// expUnit is the gradient of gamma·x for x > 0, gamma·a·(e^x − 1) else, where the
// latter has slope y + gamma·a.
func (g *Graph) expUnit(x, y, dy string, a, gamma float64) string {
	return g.Where(g.positive(x), g.Scale(dy, gamma), g.Mul(dy, g.Offset(y, a*gamma)))
}

func seluGrad(c *call, x, y, dy string) string {
	gamma := float64(c.node.AttrFloat("gamma", 1.05070102214813232421875))
	return c.expUnit(x, y, dy, alpha(c, 1.67326319217681884765625), gamma)
}

// celuGrad: a·(e^(x/a) − 1) for x < 0 has slope y/a + 1.
func celuGrad(c *call, x, y, dy string) string {
	return c.Where(c.positive(x), dy, c.Mul(dy, c.Offset(c.Scale(y, 1/alpha(c, 1)), 1)))
}

// inside adds lo < x and x < hi.
func (g *Graph) inside(x string, lo, hi float64) string {
	a, b := g.Binary("Greater", x, g.like(x, lo)), g.Binary("Less", x, g.like(x, hi))
	return g.Op("And", g.Type(a), []string{a, b})
}

func hardSigmoidGrad(c *call, x, y, dy string) string {
	return c.keep(c.inside(y, 0, 1), c.Scale(dy, alpha(c, 0.2)))
}

// hardSwishGrad: x·clip(x/6 + 1/2, 0, 1) has slope x/3 + 1/2 between −3 and 3.
func hardSwishGrad(c *call, x, y, dy string) string {
	middle := c.Mul(dy, c.Offset(c.Scale(x, 1.0/3), 0.5))
	return c.Where(c.inside(x, -3, 3), middle, c.keep(c.positive(x), dy))
}

// mishGrad: x·tanh(softplus(x)) has slope t + x·(1 − t²)·sigmoid(x).
func mishGrad(c *call, x, y, dy string) string {
	t := c.Unary("Tanh", c.Unary("Softplus", x))
	slope := c.Add(t, c.Mul(c.Mul(x, c.Unary("Sigmoid", x)), c.Sub(c.like(x, 1), c.Mul(t, t))))
	return c.Mul(dy, slope)
}

// clipGrad passes what lies within the limits, as PyTorch does, limits included.
func clipGrad(c *call) {
	cond := ""
	for i, op := range []string{1: "GreaterOrEqual", 2: "LessOrEqual"} {
		if i == 0 || c.in(i) == "" {
			continue
		}
		in := c.Binary(op, c.in(0), c.in(i))
		if cond == "" {
			cond = in
		} else {
			cond = c.Op("And", c.Type(in), []string{cond, in})
		}
	}
	if cond == "" {
		c.give(0, c.dy[0])
		return
	}
	c.give(0, c.keep(cond, c.dy[0]))
}

func castGrad(c *call) {
	if d := c.Type(c.in(0)).DType; isReal(d) {
		c.give(0, c.Cast(c.dy[0], d))
	}
}

// dropoutGrad scales what was kept; in inference the operator is the identity.
func dropoutGrad(c *call) {
	if c.in(2) == "" {
		c.give(0, c.dy[0])
		return
	}
	training, ok := c.Constant(c.in(2))
	if !ok || training.DType != tensor.Bool {
		c.failf("whether it is in training is not constant")
		return
	}
	if training.Data[0] != 0 {
		c.failf("it is in training; export the model for inference")
		return
	}
	c.give(0, c.dy[0])
}

func preluGrad(c *call) {
	x, dy := c.in(0), c.dy[0]
	pos := c.positive(x)
	c.give(0, c.Where(pos, dy, c.Mul(dy, c.in(1))))
	c.give(1, c.Where(pos, c.like(x, 0), c.Mul(dy, x)))
}

// reluGrad passes dy on where y is above 0. HardSigmoid with a steep slope is 1 there and 0
// elsewhere, and runs on all cores, which Greater and Where do not.
func reluGrad(c *call, x, y, dy string) string {
	if c.Type(y).DType != tensor.Float32 {
		return c.keep(c.positive(y), dy)
	}
	return c.Mul(dy, c.Unary("HardSigmoid", y, onnx.FloatAttr("alpha", 1e38), onnx.FloatAttr("beta", 0)))
}
