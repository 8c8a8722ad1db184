package quant_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// body returns a graph around nodes, for If and Loop.
func body(name string, outputs []string, nodes ...*onnx.Node) *onnx.Graph {
	g := &onnx.Graph{Name: name, Nodes: nodes}
	for _, o := range outputs {
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: o, Type: onnx.TensorType(tensor.Float32, -1, -1)})
	}
	return g
}

func product(name, x, w, y string) *onnx.Node {
	return onnx.NewNode("MatMul", name, []string{x, w}, []string{y})
}

// branch adds an If whose branches are chosen by the data.
func (n *net) branch(x string, then, otherwise *onnx.Graph) string {
	sum := n.op("ReduceSum", []string{x}, onnx.IntAttr("keepdims", 0))
	yes := n.op("Greater", []string{sum, n.floats("nothing", []float32{0})})
	return n.op("If", []string{yes}, onnx.GraphAttr("then_branch", then), onnx.GraphAttr("else_branch", otherwise))
}

// inBodies builds a model with an If; the weights lie outside, inside, or are
// used on both sides.
func inBodies(where string) *onnx.Model {
	n := newNet(17)
	x := n.input("x", 4, 64)
	outer := n.weight("outer", 64, 64)
	then := body("then", []string{"then_y"}, product("same", "x", "outer", "then_y"))
	otherwise := body("else", []string{"else_y"}, onnx.NewNode("Neg", "neg", []string{"x"}, []string{"else_y"}))
	switch where {
	case "inside":
		otherwise = body("else", []string{"else_y"}, product("same", "x", "inner", "else_y"))
		otherwise.Initializers = append(otherwise.Initializers,
			onnx.NewTensor("inner", tensor.Of(tensor.Float32, tensor.Shape{64, 64}, n.normal(64*64, 0.1))))
	case "both sides":
		otherwise = body("else", []string{"else_y"}, product("same", "x", "outer", "else_y"))
		y := n.op("MatMul", []string{x, outer})
		n.last().Name = "same"
		n.output(y)
	case "captured":
		h := n.op("MatMul", []string{x, n.weight("first", 64, 64)})
		then.Nodes[0].Inputs[0] = h
	}
	return n.output(n.branch(x, then, otherwise))
}

func TestWeightsOfBodies(t *testing.T) {
	for _, where := range []string{"outside", "inside", "both sides", "captured"} {
		t.Run(where, func(t *testing.T) {
			apply(t, inBodies(where), options(t, quant.Dynamic)).close(0.02).nodes("MatMul:0").floatsBelow(64)
			apply(t, inBodies(where), options(t, quant.WeightOnly, func(o *quant.Options) { o.BlockSize = 32 })).
				close(0.02).nodes("MatMul:0").floatsBelow(192)
		})
	}
}

// TestLoopBody: the state of a loop goes through a product with an outer weight.
func TestLoopBody(t *testing.T) {
	build := func() *onnx.Model {
		n := newNet(17)
		x := n.input("x", 4, 64)
		n.weight("w", 64, 64)
		g := body("body", []string{"on", "next"},
			onnx.NewNode("Identity", "keep", []string{"cond"}, []string{"on"}),
			product("p", "state", "w", "sum"), onnx.NewNode("Tanh", "t", []string{"sum"}, []string{"next"}))
		g.Outputs[0].Type = onnx.TensorType(tensor.Bool)
		g.Inputs = []*onnx.ValueInfo{
			{Name: "i", Type: onnx.TensorType(tensor.Int64)}, {Name: "cond", Type: onnx.TensorType(tensor.Bool)},
			{Name: "state", Type: onnx.TensorType(tensor.Float32, 4, 64)},
		}
		n.tensor("three", tensor.Of(tensor.Int64, nil, []int64{3}))
		y := n.op("Loop", []string{"three", "", x}, onnx.GraphAttr("body", g))
		return n.output(y, n.op("MatMul", []string{y, n.weight("v", 64, 32)}))
	}
	apply(t, build(), options(t, quant.Dynamic)).close(0.05).nodes("MatMul:0").floatsBelow(64)
	apply(t, build(), options(t, quant.Static)).close(0.05).nodes("MatMul:0").floatsBelow(64)
}

// TestStaticKeepsCapturedValues: a value that a body captures is still there,
// with the same meaning, when its producer runs on integers.
func TestStaticKeepsCapturedValues(t *testing.T) {
	n := newNet(17)
	x := n.input("x", 1, 32, 12, 12)
	h := n.op("Conv", []string{x, n.weight("w", 64, 32, 3, 3)})
	h = n.op("Relu", []string{h})
	n.weight("inner", 8, 64, 3, 3)
	then := body("then", []string{"then_y"}, onnx.NewNode("Conv", "conv", []string{h, "inner"}, []string{"then_y"}))
	n.weight("turned", 64, 8, 3, 3)
	otherwise := body("else", []string{"else_y"}, onnx.NewNode("ConvTranspose", "up", []string{h, "turned"}, []string{"else_y"}))
	for _, g := range []*onnx.Graph{then, otherwise} {
		g.Outputs[0].Type = onnx.TensorType(tensor.Float32, -1, -1, -1, -1)
	}
	y := n.branch(x, then, otherwise)
	z := n.op("Conv", []string{h, n.weight("v", 64, 64, 3, 3)})
	apply(t, n.output(y, z), options(t, quant.Static)).close(0.03).runs("QLinearConv:2").
		left("Conv", "a body of If, Loop or Scan").left("ConvTranspose", "no integer kernel").nodes("Conv:3 ConvTranspose:1")
}
