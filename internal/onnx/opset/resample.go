package opset

import (
	"errors"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// upsample9 makes the scales an input.
func upsample9(b *body, n *onnx.Node) (string, error) {
	a := n.Attr("scales")
	if a == nil || len(a.Floats) == 0 {
		return "", errors.New("attribute \"scales\" is missing")
	}
	t := tensor.Of(tensor.Float32, tensor.Shape{int64(len(a.Floats))}, a.Floats)
	n.RemoveAttr("scales")
	setInput(n, 1, b.constant("scales", t))
	return "", nil
}

// resize11 spells out what Resize meant before it had coordinate modes: output
// index over scale, without half pixels. The nearest one is below it where the
// tensor grows and above it where it shrinks (ONNX Runtime; the specification
// of version 10 does not say).
func resize11(b *body, n *onnx.Node) (string, error) {
	if !hasInput(n, 1) {
		return "", errors.New("input \"scales\" is missing")
	}
	n.SetAttr(onnx.StrAttr("coordinate_transformation_mode", "asymmetric"))
	note := ""
	if n.AttrString("mode", "nearest") == "nearest" {
		nearest := "floor"
		scales, known := b.scope.Floats(n.Inputs[1])
		grows, shrinks := false, false
		for _, s := range scales {
			grows = grows || s > 1
			shrinks = shrinks || s < 1
		}
		switch {
		case !known:
			note = "asymmetric coordinates made explicit, the scales being taken for at least 1"
		case grows && shrinks:
			return "", errors.New("some axes grow and others shrink, which no nearest_mode expresses")
		case shrinks:
			nearest = "ceil"
		}
		n.SetAttr(onnx.StrAttr("nearest_mode", nearest))
	}
	// The region of interest is a required input until version 13.
	roi := b.constant("roi", tensor.Of(tensor.Float32, tensor.Shape{0}, []float32{}))
	n.Inputs = []string{n.Inputs[0], roi, n.Inputs[1]}
	return note, nil
}

// resize13 leaves out empty constants, which stood for inputs that were not
// optional: given beside sizes, empty scales are an error from here on.
func resize13(b *body, n *onnx.Node) (string, error) {
	note := unchanged
	for i := 1; i < len(n.Inputs); i++ {
		t := b.scope.Const(n.Inputs[i])
		if t == nil || len(t.Shape) != 1 || t.Shape[0] != 0 {
			continue
		}
		if i == 1 && n.AttrString("coordinate_transformation_mode", "") == "tf_crop_and_resize" {
			continue
		}
		n.Inputs[i] = ""
		note = ""
	}
	for len(n.Inputs) > 1 && n.Inputs[len(n.Inputs)-1] == "" {
		n.Inputs = n.Inputs[:len(n.Inputs)-1]
	}
	return note, nil
}

// roiAlign16 keeps the old coordinates: the default became half_pixel.
func roiAlign16(_ *body, n *onnx.Node) (string, error) {
	n.SetAttr(onnx.StrAttr("coordinate_transformation_mode", "output_half_pixel"))
	return "", nil
}

// gridSample20 renames the modes, which are no longer bound to two dimensions.
func gridSample20(_ *body, n *onnx.Node) (string, error) {
	switch n.AttrString("mode", "bilinear") {
	case "bilinear":
		n.SetAttr(onnx.StrAttr("mode", "linear"))
	case "bicubic":
		n.SetAttr(onnx.StrAttr("mode", "cubic"))
	default:
		return unchanged, nil
	}
	return "", nil
}
