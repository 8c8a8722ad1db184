package autodiff

import (
	"math"

	"optim/internal/tensor"
)

var _ = register(map[string]rule{
	"Softmax":                      softmaxGrad,
	"LogSoftmax":                   logSoftmaxGrad,
	"LayerNormalization":           layerNormGrad,
	"SimplifiedLayerNormalization": rmsNormGrad,
	"InstanceNormalization":        instanceNormGrad,
	"Gelu":                         geluGrad,
	"com.microsoft::Gelu":          unary(erfGeluGrad),
	"com.microsoft::FastGelu":      fastGeluGrad,
	"com.microsoft::BiasGelu":      biasGeluGrad,
	"com.microsoft::QuickGelu":     unary(quickGeluGrad),
})

// softmaxGrad: dx = y·(dy − Σ dy·y).
func softmaxGrad(c *call) {
	y, dy := c.out(0), c.dy[0]
	axis := int64(c.axis("axis", -1, len(c.Shape(y))))
	d := c.Mul(dy, y)
	c.give(0, c.Sub(d, c.Mul(y, c.Sum(d, axis))))
}

// logSoftmaxGrad: dx = dy − e^y·Σ dy.
func logSoftmaxGrad(c *call) {
	y, dy := c.out(0), c.dy[0]
	axis := int64(c.axis("axis", -1, len(c.Shape(y))))
	c.give(0, c.Sub(dy, c.Mul(c.Unary("Exp", y), c.Sum(dy, axis))))
}

// layerNormGrad: with x̂ = (x − μ)/σ and g = γ·dy,
// dx = (g − mean(g) − x̂·mean(g·x̂))/σ (Ba et al., Layer Normalization).
// The operator gives μ and 1/σ itself.
func layerNormGrad(c *call) {
	x, dy := c.in(0), c.dy[0]
	rank := len(c.Shape(x))
	axis := c.axis("axis", -1, rank)
	axes := axesFrom(axis, rank)
	mean, inv := c.moments(axis)
	xhat := c.Mul(c.Sub(x, mean), inv)
	c.give(1, c.Mul(dy, xhat))
	c.give(2, dy)
	if c.want(0) {
		c.give(0, c.normGrad(c.Mul(dy, c.in(1)), xhat, inv, axes, true))
	}
}

// moments returns mean and 1/σ of a LayerNormalization, its second and third output.
func (c *call) moments(axis int) (mean, inv string) {
	for len(c.node.Outputs) < 3 {
		c.node.Outputs = append(c.node.Outputs, "")
	}
	t := c.Type(c.in(0))
	shape := t.Shape.Clone()
	for i := axis; i < len(shape); i++ {
		shape[i] = 1
	}
	for i := 1; i < 3; i++ {
		if c.node.Outputs[i] == "" {
			c.node.Outputs[i] = c.fresh("moment")
			c.types[c.node.Outputs[i]] = Type{tensor.Float32, shape} // stash_type
		}
	}
	return c.Cast(c.node.Outputs[1], t.DType), c.Cast(c.node.Outputs[2], t.DType)
}

// normGrad adds (g − mean(g) − x̂·mean(g·x̂))·inv, the means over axes; that of g only
// where the mean of x was taken off.
func (g *Graph) normGrad(d, xhat, inv string, axes []int64, centred bool) string {
	out := g.Mul(xhat, g.Mean(g.Mul(d, xhat), axes...))
	if centred {
		out = g.Add(out, g.Mean(d, axes...))
	}
	return g.Mul(g.Sub(d, out), inv)
}

// rmsNormGrad: y = γ·x/√(mean(x²) + ε).
func rmsNormGrad(c *call) {
	x, dy := c.in(0), c.dy[0]
	rank := len(c.Shape(x))
	axes := axesFrom(c.axis("axis", -1, rank), rank)
	ms := c.Offset(c.Mean(c.Mul(x, x), axes...), float64(c.node.AttrFloat("epsilon", 1e-5)))
	inv := c.Unary("Reciprocal", c.Unary("Sqrt", ms))
	xhat := c.Mul(x, inv)
	c.give(1, c.Mul(dy, xhat))
	if c.want(0) {
		c.give(0, c.normGrad(c.Mul(dy, c.in(1)), xhat, inv, axes, false))
	}
}

// instanceNormGrad normalizes each channel of each sample.
func instanceNormGrad(c *call) {
	x, dy := c.in(0), c.dy[0]
	s := c.Shape(x)
	axes := axesFrom(2, len(s))
	mean, inv := c.momentsOver(x, axes, float64(c.node.AttrFloat("epsilon", 1e-5)))
	xhat := c.Mul(c.Sub(x, mean), inv)
	c.give(1, c.Reshape(c.Sum(c.Mul(dy, xhat), without(1, len(s))...), s[1]))
	c.give(2, c.Reshape(c.Sum(dy, without(1, len(s))...), s[1]))
	if c.want(0) {
		g := c.Mul(dy, c.perChannel(c.in(1), len(s)))
		c.give(0, c.normGrad(g, xhat, inv, axes, true))
	}
}

// momentsOver adds the mean of x over axes and 1/√(variance + epsilon).
func (g *Graph) momentsOver(x string, axes []int64, epsilon float64) (mean, inv string) {
	mean = g.Mean(x, axes...)
	centred := g.Sub(x, mean)
	variance := g.Mean(g.Mul(centred, centred), axes...)
	return mean, g.Unary("Reciprocal", g.Unary("Sqrt", g.Offset(variance, epsilon)))
}

// perChannel adds a vector as [C, 1, …], to go with values [N, C, …] of that rank.
func (g *Graph) perChannel(v string, rank int) string {
	shape := tensor.Shape{g.Type(v).Elements()}
	for range rank - 2 {
		shape = append(shape, 1)
	}
	return g.Reshape(v, shape...)
}

// without lists the axes below rank but for one.
func without(axis, rank int) []int64 {
	return append(axesFrom(0, axis), axesFrom(axis+1, rank)...)
}

// geluGrad is that of opset 20.
func geluGrad(c *call) {
	if c.node.AttrString("approximate", "none") == "tanh" {
		c.give(0, tanhGeluGrad(c, c.in(0), c.out(0), c.dy[0]))
		return
	}
	c.give(0, erfGeluGrad(c, c.in(0), c.out(0), c.dy[0]))
}

// erfGeluGrad: x·Φ(x) has slope Φ(x) + x·φ(x).
func erfGeluGrad(c *call, x, y, dy string) string {
	cdf := c.Scale(c.Offset(c.Unary("Erf", c.Scale(x, math.Sqrt2/2)), 1), 0.5)
	pdf := c.Scale(c.Unary("Exp", c.Scale(c.Mul(x, x), -0.5)), 1/math.Sqrt(2*math.Pi))
	return c.Mul(dy, c.Add(cdf, c.Mul(x, pdf)))
}

// tanhGeluGrad: x·s with s = sigmoid(2u), u = √(2/π)·(x + 0.044715·x³), has slope
// s + x·s·(1 − s)·2u'.
func tanhGeluGrad(c *call, x, y, dy string) string {
	const k = 0.7978845608028654 // √(2/π)
	square := c.Mul(x, x)
	two := c.Mul(x, c.Offset(c.Scale(square, 2*k*0.044715), 2*k))
	s := c.Unary("Sigmoid", two)
	slope := c.Offset(c.Scale(square, 6*k*0.044715), 2*k)
	return c.Mul(dy, c.Add(s, c.Mul(c.Mul(x, c.Sub(s, c.Mul(s, s))), slope)))
}

func fastGeluGrad(c *call) {
	x := c.in(0)
	if c.in(1) != "" {
		x = c.Add(x, c.in(1))
	}
	d := tanhGeluGrad(c, x, c.out(0), c.dy[0])
	c.give(0, d)
	c.give(1, d)
}

func biasGeluGrad(c *call) {
	d := erfGeluGrad(c, c.Add(c.in(0), c.in(1)), c.out(0), c.dy[0])
	c.give(0, d)
	c.give(1, d)
}

// quickGeluGrad: x·sigmoid(αx) has slope s + α·y·(1 − s).
func quickGeluGrad(c *call, x, y, dy string) string {
	a := alpha(c, 1.702)
	s := c.Unary("Sigmoid", c.Scale(x, a))
	return c.Mul(dy, c.Add(s, c.Scale(c.Mul(y, c.Sub(c.like(x, 1), s)), a)))
}
