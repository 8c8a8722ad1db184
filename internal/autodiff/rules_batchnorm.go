package autodiff

var _ = register(map[string]rule{
	"BatchNormalization": batchNormGrad,
	"GroupNormalization": groupNormGrad,
})

// batchNormGrad is that of the operator in inference, where it is a factor and a
// shift for each channel; see TrainBatchNorm for training.
func batchNormGrad(c *call) {
	if c.node.AttrInt("training_mode", 0) != 0 {
		c.failf("it is in training mode; export the model for inference")
		return
	}
	x, dy := c.in(0), c.dy[0]
	rank := len(c.Shape(x))
	channel := func(i int) string { return c.perChannel(c.in(i), rank) }
	inv := c.Unary("Reciprocal", c.Unary("Sqrt", c.Offset(c.in(4), float64(c.node.AttrFloat("epsilon", 1e-5)))))
	spread := c.perChannel(inv, rank)
	over := without(1, rank)
	size := c.Shape(x)[1]
	if c.want(0) {
		c.give(0, c.Mul(dy, c.perChannel(c.Mul(c.in(1), inv), rank)))
	}
	if c.want(1) {
		xhat := c.Mul(c.Sub(x, channel(3)), spread)
		c.give(1, c.Reshape(c.Sum(c.Mul(dy, xhat), over...), size))
	}
	if c.want(2) {
		c.give(2, c.Reshape(c.Sum(dy, over...), size))
	}
}

// groupNormGrad normalizes groups of channels; scale and bias are per channel.
func groupNormGrad(c *call) {
	x, dy := c.in(0), c.dy[0]
	s := c.Shape(x)
	groups := c.node.AttrInt("num_groups", 1)
	grouped := func(v string) string { return c.Reshape(v, s[0], groups, c.Type(x).Elements()/max(s[0]*groups, 1)) }
	mean, inv := c.momentsOver(grouped(x), []int64{2}, float64(c.node.AttrFloat("epsilon", 1e-5)))
	xhat := c.Mul(c.Sub(grouped(x), mean), inv)
	over := without(1, len(s))
	if c.want(1) {
		c.give(1, c.Reshape(c.Sum(c.Mul(dy, c.Reshape(xhat, s...)), over...), s[1]))
	}
	c.give(2, c.Reshape(c.Sum(dy, over...), s[1]))
	if c.want(0) {
		d := c.Mul(dy, c.perChannel(c.in(1), len(s)))
		c.give(0, c.Reshape(c.normGrad(grouped(d), xhat, inv, []int64{2}, true), s...))
	}
}
