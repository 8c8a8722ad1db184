package fold

import (
	"fmt"
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// affine returns the convolution in front of n and what n does to its channels,
// where n multiplies, divides or shifts them by constants; nil for other nodes.
// Exporters write biases and learned scales that way, in shapes that ONNX
// Runtime does not merge.
func (b *bnPass) affine(n *onnx.Node) (*onnx.Node, *normalization, error) {
	if !n.Is("Mul", "Div", "Add", "Sub") || len(n.Inputs) != 2 || n.Output(0) == "" {
		return nil, nil, nil
	}
	at := 1
	c := b.weight(n.Inputs[1])
	if c == nil && n.Is("Mul", "Add") {
		at = 0
		c = b.weight(n.Inputs[0])
	}
	layer := b.before(n, n.Inputs[1-at])
	if c == nil || layer == nil || !layer.Is("Conv", "ConvTranspose") {
		return nil, nil, nil
	}
	w := b.weight(layer.Input(1))
	if w == nil || len(w.Shape) < 3 {
		return nil, nil, nil
	}
	channels := w.Shape[0]
	if layer.Is("ConvTranspose") {
		channels = w.Shape[1] * layer.AttrInt("group", 1)
	}
	if channels <= 0 || !perChannel(c.Shape, len(w.Shape), channels) {
		return nil, nil, nil
	}
	f, err := affineOf(n, n.Inputs[at], c, int(channels))
	if f == nil || err != nil {
		return nil, nil, err
	}
	return layer, f, nil
}

// perChannel reports whether a constant of that shape has one element, or one
// for each channel (axis 1), of a value of that rank.
func perChannel(s tensor.Shape, rank int, channels int64) bool {
	if len(s) > rank {
		return false
	}
	for i, d := range s {
		if channel := i+rank-len(s) == 1; d != 1 && (!channel || d != channels) {
			return false
		}
	}
	return true
}

// affineOf reads the constant of n; nil if the result would not be finite.
func affineOf(n *onnx.Node, name string, c *onnx.Tensor, channels int) (*normalization, error) {
	t, err := c.Value()
	if err != nil {
		return nil, err
	}
	v, err := t.Float32s()
	if err != nil || len(v) == 0 {
		return nil, err
	}
	f := &normalization{a: make([]float64, channels), mean: make([]float64, channels), shift: make([]float64, channels),
		key: fmt.Sprintf("%s %q", n.OpType, name)}
	for i := range channels {
		x := float64(v[i%len(v)])
		f.a[i] = 1
		switch n.OpType {
		case "Mul":
			f.a[i] = x
		case "Div":
			f.a[i] = 1 / x
		case "Add":
			f.shift[i] = x
		case "Sub":
			f.shift[i] = -x
		}
		if math.IsNaN(f.a[i]+f.shift[i]) || math.IsInf(f.a[i]+f.shift[i], 0) {
			return nil, nil
		}
	}
	return f, nil
}
