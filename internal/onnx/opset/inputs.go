package opset

import (
	"errors"
	"fmt"
	"math"

	"optim/internal/onnx"
	"optim/internal/onnx/infer"
	"optim/internal/tensor"
)

// slice10 makes the attributes of Slice its inputs.
func slice10(b *body, n *onnx.Node) (string, error) {
	starts, ends := n.AttrInts("starts"), n.AttrInts("ends")
	if len(starts) == 0 || len(starts) != len(ends) {
		return "", fmt.Errorf("%d starts and %d ends", len(starts), len(ends))
	}
	setInput(n, 1, b.ints("starts", starts))
	setInput(n, 2, b.ints("ends", ends))
	if axes := n.AttrInts("axes"); len(axes) > 0 {
		setInput(n, 3, b.ints("axes", axes))
	}
	n.RemoveAttr("starts")
	n.RemoveAttr("ends")
	n.RemoveAttr("axes")
	return "", nil
}

// topK10 makes attribute k an input.
func topK10(b *body, n *onnx.Node) (string, error) {
	if n.Attr("k") == nil {
		return "", errors.New("attribute \"k\" is missing")
	}
	setInput(n, 1, b.ints("k", []int64{n.AttrInt("k", 0)}))
	n.RemoveAttr("k")
	return "", nil
}

// clip11 makes the limits inputs of the data's type. A limit at the greatest
// finite number is the default, then as now.
func clip11(b *body, n *onnx.Node) (string, error) {
	lo := n.AttrFloat("min", -math.MaxFloat32)
	hi := n.AttrFloat("max", math.MaxFloat32)
	n.RemoveAttr("min")
	n.RemoveAttr("max")
	if len(n.Inputs) == 0 {
		return "", errors.New("input is missing")
	}
	n.Inputs = n.Inputs[:1]
	for i, limit := range []struct {
		name      string
		v, absent float32
	}{{"min", lo, -math.MaxFloat32}, {"max", hi, math.MaxFloat32}} {
		if limit.v == limit.absent {
			continue
		}
		d, err := b.floatType(n.Inputs[0])
		if err != nil {
			return "", err
		}
		v, err := b.scalar(limit.name, d, limit.v)
		if err != nil {
			return "", err
		}
		setInput(n, i+1, v)
	}
	return "", nil
}

// pad11 makes pads and value inputs.
func pad11(b *body, n *onnx.Node) (string, error) {
	pads := n.AttrInts("pads")
	value := n.AttrFloat("value", 0)
	n.RemoveAttr("pads")
	n.RemoveAttr("value")
	if len(n.Inputs) == 0 {
		return "", errors.New("input is missing")
	}
	setInput(n, 1, b.ints("pads", pads))
	if value == 0 {
		return "", nil
	}
	d, err := b.floatType(n.Inputs[0])
	if err != nil {
		return "", err
	}
	v, err := b.scalar("pad_value", d, value)
	if err != nil {
		return "", err
	}
	setInput(n, 2, v)
	return "", nil
}

// dropMask takes the mask away: its type and, in inference, its meaning
// changed with versions 10 and 12.
func dropMask(b *body, n *onnx.Node) (string, error) {
	if len(n.Outputs) < 2 {
		return unchanged, nil
	}
	if mask := n.Outputs[1]; mask != "" {
		if b.used(mask) {
			return "", fmt.Errorf("its mask %q is used", mask)
		}
		b.gone[mask] = true
	}
	n.Outputs = n.Outputs[:1]
	return "", nil
}

// dropout12 makes ratio an input; without the third input nothing is dropped.
func dropout12(b *body, n *onnx.Node) (string, error) {
	if _, err := dropMask(b, n); err != nil {
		return "", err
	}
	if n.Attr("ratio") == nil {
		return unchanged, nil
	}
	ratio, err := b.scalar("ratio", tensor.Float32, n.AttrFloat("ratio", 0.5))
	if err != nil {
		return "", err
	}
	n.RemoveAttr("ratio")
	setInput(n, 1, ratio)
	return "", nil
}

// split18 counts the outputs where no split is given: the parts need no longer
// be equal, and equal ones remain so.
func split18(_ *body, n *onnx.Node) (string, error) {
	if hasInput(n, 1) {
		return unchanged, nil
	}
	n.SetAttr(onnx.IntAttr("num_outputs", int64(len(n.Outputs))))
	return "", nil
}

// dft20 makes the axis an input; its default went from 1 to -2.
func dft20(b *body, n *onnx.Node) (string, error) {
	axis := n.AttrInt("axis", 1)
	n.RemoveAttr("axis")
	setInput(n, 2, b.constant("axis", tensor.Of(tensor.Int64, nil, []int64{axis})))
	return "", nil
}

// floatType returns the element type of v. Where it cannot be inferred it is
// float32, if the model has no other floating-point type at all.
func (b *body) floatType(v string) (tensor.DType, error) {
	if d := b.scope.Of(v).DType; d != tensor.Undefined {
		return d, nil
	}
	if b.c.otherFloats() {
		return 0, fmt.Errorf("the element type of %q is not known", v)
	}
	return tensor.Float32, nil
}

// otherFloats reports whether the model mentions a floating-point type other
// than float32.
func (c *converter) otherFloats() bool {
	if c.widths == 0 {
		c.widths = 1
		if c.model.Graph != nil && graphHasOther(c.model.Graph) {
			c.widths = 2
		}
		for _, f := range c.model.Functions {
			if nodesHaveOther(f.Nodes) || valuesHaveOther(f.ValueInfo) {
				c.widths = 2
			}
		}
	}
	return c.widths == 2
}

func other(d tensor.DType) bool { return d.IsFloat() && d != tensor.Float32 }

func graphHasOther(g *onnx.Graph) bool {
	for _, t := range g.Initializers {
		if other(t.DType) {
			return true
		}
	}
	return valuesHaveOther(g.Inputs) || valuesHaveOther(g.Outputs) ||
		valuesHaveOther(g.ValueInfo) || nodesHaveOther(g.Nodes)
}

func valuesHaveOther(list []*onnx.ValueInfo) bool {
	for _, v := range list {
		if v.Type != nil && other(v.Type.DType) {
			return true
		}
	}
	return false
}

func nodesHaveOther(list []*onnx.Node) bool {
	for _, n := range list {
		if !infer.Standard(n.Domain) {
			return true // its outputs may be of any type
		}
		for _, a := range n.Attrs {
			if a.T != nil && other(a.T.DType) || a.G != nil && graphHasOther(a.G) {
				return true
			}
			if (a.Name == "to" || a.Name == "dtype") && other(tensor.DType(a.I)) {
				return true
			}
		}
	}
	return false
}
