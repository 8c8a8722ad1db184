package opset

import (
	"errors"
	"fmt"

	"optim/internal/onnx"
)

// batchNorm9 removes spatial. Without it, every position had parameters of its
// own; that is the same thing where there are no positions, that is, where the
// parameters have one dimension.
func batchNorm9(b *body, n *onnx.Node) (string, error) {
	if n.Attr("spatial") == nil {
		return unchanged, nil
	}
	if n.AttrInt("spatial", 1) == 0 {
		if len(n.Inputs) < 2 || b.scope.Of(n.Inputs[1]).Rank != 1 {
			return "", errors.New("spatial is 0 and the scale is not known to have one dimension")
		}
	}
	n.RemoveAttr("spatial")
	return "", nil
}

// batchNorm14 takes away outputs without a name. Named ones meant training.
func batchNorm14(_ *body, n *onnx.Node) (string, error) {
	if len(n.Outputs) < 2 {
		return unchanged, nil
	}
	for _, v := range n.Outputs[1:] {
		if v != "" {
			return "", fmt.Errorf("its output %q makes it a training node", v)
		}
	}
	n.Outputs = n.Outputs[:1]
	return "", nil
}

// groupNorm21 repeats scale and bias, which were given for groups, for the
// channels of each group:
//
//	[G] → Unsqueeze [G 1] → Expand [G C/G] → Reshape [C]
func groupNorm21(b *body, n *onnx.Node) (string, error) {
	groups := n.AttrInt("num_groups", 0)
	if groups < 1 || len(n.Inputs) != 3 {
		return "", errors.New("num_groups, scale and bias are needed")
	}
	shape := b.insert("Shape", "channels", n.Inputs[:1], onnx.IntAttr("start", 1), onnx.IntAttr("end", 2))
	size := b.insert("Div", "group_size", []string{shape, b.ints("groups", []int64{groups})})
	to := b.insert("Concat", "expanded", []string{b.ints("one", []int64{1}), size}, onnx.IntAttr("axis", 0))
	for i := 1; i <= 2; i++ {
		v := b.insert("Unsqueeze", "group", []string{n.Inputs[i], b.ints("one", []int64{1})})
		v = b.insert("Expand", "channel", []string{v, to})
		n.Inputs[i] = b.insert("Reshape", "channel", []string{v, b.ints("flat", []int64{-1})})
	}
	return "", nil
}

// softmax13 keeps the meaning of axis, which used to be the first of all the
// axes that are normalized together. Where it is the last one that is the same
// thing; else
//
//	x → Flatten(axis) → Softmax(-1) → Reshape(Shape(x))
func softmax13(b *body, n *onnx.Node) (string, error) {
	if len(n.Inputs) != 1 || len(n.Outputs) != 1 {
		return "", errors.New("one input and one output are needed")
	}
	axis := n.AttrInt("axis", 1)
	rank := int64(b.scope.Of(n.Inputs[0]).Rank)
	n.SetAttr(onnx.IntAttr("axis", -1))
	if axis == -1 || rank > 0 && axis == rank-1 {
		return "", nil
	}
	x, y := n.Inputs[0], n.Outputs[0]
	shape := b.insert("Shape", x+"_shape", []string{x})
	n.Inputs[0] = b.insert("Flatten", x+"_flat", []string{x}, onnx.IntAttr("axis", axis))
	n.Outputs[0] = b.c.names.Fresh(y + "_flat")
	b.after = append(b.after, onnx.NewNode("Reshape", n.Outputs[0], []string{n.Outputs[0], shape}, []string{y}))
	return "flattened from its axis on", nil
}
