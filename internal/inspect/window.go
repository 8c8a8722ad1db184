package inspect

import (
	"slices"

	"optim/internal/onnx"
)

// convolved returns the dimensions after a convolution with weight w.
func convolved(n *onnx.Node, in, w []int64) []int64 {
	if len(w) != len(in) || len(in) < 3 || n.AttrInt("channels_last", 0) != 0 ||
		w[1] > sizeLimit || in[1] != w[1]*bounded(n.AttrInt("group", 1)) {
		return nil
	}
	return window(n, in, w[2:], w[0])
}

// pooled returns the dimensions after a pooling.
func pooled(n *onnx.Node, in []int64) []int64 {
	if len(in) < 3 || n.AttrInt("channels_last", 0) != 0 {
		return nil
	}
	return window(n, in, n.AttrInts("kernel_shape"), in[1])
}

// window returns the dimensions after a window has slid over in; see the
// operators' formulas in the ONNX specification.
func window(n *onnx.Node, in, kernel []int64, channels int64) []int64 {
	w, ok := slidingOf(n, len(in)-2)
	if !ok || len(kernel) != len(in)-2 {
		return nil
	}
	auto, ceil := n.AttrString("auto_pad", "NOTSET"), n.AttrInt("ceil_mode", 0) != 0
	out := []int64{in[0], channels}
	for i, k := range kernel {
		d := slide(in[i+2], k, w.strides[i], w.dilations[i], w.pads[i], w.pads[i+len(kernel)], auto, ceil)
		if d < 0 {
			return nil
		}
		out = append(out, d)
	}
	return out
}

// sliding is how a window moves, by axis.
type sliding struct {
	strides, dilations, pads []int64 // pads: all before, then all behind
}

// slidingOf reads the attributes of n for so many axes.
func slidingOf(n *onnx.Node, axes int) (sliding, bool) {
	s := sliding{orFill(n.AttrInts("strides"), axes, 1), orFill(n.AttrInts("dilations"), axes, 1),
		orFill(n.AttrInts("pads"), 2*axes, 0)}
	return s, len(s.strides) == axes && len(s.dilations) == axes && len(s.pads) == 2*axes
}

func orFill(v []int64, n int, fill int64) []int64 {
	if v == nil {
		v = slices.Repeat([]int64{fill}, n)
	}
	return v
}

// sizeLimit bounds the numbers of a window, so that their sums cannot overflow.
const sizeLimit = 1 << 30

// bounded returns v, or -1 where it is no size that may be multiplied.
func bounded(v int64) int64 {
	if v < 0 || v > sizeLimit {
		return -1
	}
	return v
}

// slide returns the number of places of a window along one axis; -1: none.
func slide(size, kernel, stride, dilation, before, after int64, auto string, ceil bool) int64 {
	if slices.Min([]int64{bounded(size), bounded(kernel), bounded(stride), bounded(dilation), bounded(before), bounded(after)}) < 0 ||
		stride < 1 || dilation > sizeLimit/max(kernel, 1) {
		return -1
	}
	switch auto {
	case "SAME_UPPER", "SAME_LOWER":
		return (size + stride - 1) / stride
	case "VALID":
		before, after = 0, 0
	}
	room := size + before + after - (dilation*(kernel-1) + 1)
	if room < 0 {
		return -1
	}
	places := room/stride + 1
	// With ceil_mode the last window may stand out, if it begins inside.
	if ceil && room%stride != 0 && places*stride < size+before {
		places++
	}
	return places
}

// convTransposed returns the dimensions after a ConvTranspose with explicit
// padding: the size that a convolution would have come from.
func convTransposed(n *onnx.Node, in, w []int64) []int64 {
	axes := len(in) - 2
	if axes < 1 || len(w) != len(in) || in[1] != w[0] ||
		n.Attr("output_shape") != nil || n.AttrString("auto_pad", "NOTSET") != "NOTSET" {
		return nil
	}
	s, ok := slidingOf(n, axes)
	extra := orFill(n.AttrInts("output_padding"), axes, 0)
	channels, fits := times(w[1], n.AttrInt("group", 1))
	if !ok || !fits || len(extra) != axes {
		return nil
	}
	out := []int64{in[0], channels}
	for i := range axes {
		steps, ok1 := times(s.strides[i], in[i+2]-1)
		reach, ok2 := times(s.dilations[i], w[i+2]-1)
		if !ok1 || !ok2 || slices.Min([]int64{bounded(extra[i]), bounded(s.pads[i]), bounded(s.pads[i+axes])}) < 0 {
			return nil
		}
		out = append(out, steps+extra[i]+reach+1-s.pads[i]-s.pads[i+axes])
	}
	return out
}

// times returns the product of two sizes; ok is false where one is none.
func times(a, b int64) (p int64, ok bool) {
	return a * b, bounded(a) >= 0 && bounded(b) >= 0
}

func globalPool(in []int64) []int64 {
	if len(in) < 2 {
		return nil
	}
	out := slices.Clone(in)
	for i := 2; i < len(out); i++ {
		out[i] = 1
	}
	return out
}
