package autodiff

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

var _ = register(map[string]rule{
	"Gather":          gatherGrad,
	"GatherElements":  gatherElementsGrad,
	"GatherND":        gatherNDGrad,
	"ScatterElements": scatterElementsGrad,
	"CumSum":          cumSumGrad,
})

// gatherGrad adds the slices of the gradient up where they were read from.
func gatherGrad(c *call) {
	if !c.want(0) {
		return
	}
	x, idx := c.Shape(c.in(0)), c.in(1)
	axis := c.axis("axis", 0, len(x))
	flat := append(x[:axis:axis].Clone(), c.Type(idx).Elements())
	flat = append(flat, x[axis+1:]...)
	at := c.nonNegative(c.Reshape(idx, c.Type(idx).Elements()), x[axis])
	c.give(0, c.scatterAxis(c.Reshape(c.dy[0], flat...), axis, at, x[axis]))
}

// nonNegative adds indices counted from the start; ONNX lets them count from the end.
func (g *Graph) nonNegative(idx string, n int64) string {
	idx = g.Cast(idx, tensor.Int64)
	return g.Where(g.Binary("Less", idx, g.Scalar(tensor.Int64, 0)), g.Add(idx, g.Scalar(tensor.Int64, float64(n))), idx)
}

func gatherElementsGrad(c *call) {
	if c.want(0) {
		t := c.Type(c.in(0))
		axis := c.axis("axis", 0, len(t.Shape))
		c.give(0, c.scatter(c.dy[0], axis, c.nonNegative(c.in(1), t.Shape[axis]), t))
	}
}

func gatherNDGrad(c *call) {
	if c.node.AttrInt("batch_dims", 0) != 0 {
		c.failf("no gradient with batch_dims")
		return
	}
	t := c.Type(c.in(0))
	c.give(0, c.Op("ScatterND", t, []string{c.Full(t, 0), c.in(1), c.dy[0]}, onnx.StrAttr("reduction", "add")))
}

// scatterElementsGrad: what was overwritten has no gradient, and what was written
// that of its place.
func scatterElementsGrad(c *call) {
	axis := c.axis("axis", 0, len(c.Shape(c.in(0))))
	at := onnx.IntAttr("axis", int64(axis))
	updates := c.Type(c.in(2))
	picked := c.Op("GatherElements", updates, []string{c.dy[0], c.in(1)}, at)
	switch c.node.AttrString("reduction", "none") {
	case "none":
		c.give(0, c.Op("ScatterElements", c.Type(c.in(0)), []string{c.dy[0], c.in(1), c.Full(updates, 0)}, at))
	case "add":
		c.give(0, c.dy[0])
	default:
		c.failf("no gradient with reduction %q", c.node.AttrString("reduction", ""))
		return
	}
	c.give(2, picked)
}

func cumSumGrad(c *call) {
	back := int64(1) - c.node.AttrInt("reverse", 0)
	c.give(0, c.Op("CumSum", c.Type(c.in(0)), []string{c.dy[0], c.in(1)},
		flag("exclusive", c.node.AttrInt("exclusive", 0) != 0), flag("reverse", back != 0)))
}
