package quant

import (
	"fmt"
	"math"
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Bias correction (Nagel et al. 2019, "Data-Free Quantization", with means
// from calibration): rounding a weight shifts the mean of a product by
// (W − W~)·E[x]; the bias takes that back.

// correction returns (W − W~)·E[x] per output channel, or nil where the means
// of the input were not observed.
func (w *weight) correction(u *unit, mean []float64) ([]float64, error) {
	if mean == nil {
		return nil, nil
	}
	if w.smooth != nil {
		mean = slices.Clone(mean)
		for j, s := range w.smooth.factor {
			mean[j] /= float64(s)
		}
	}
	var out []float64
	err := w.floats(func(v []float32) error {
		q := make([]byte, len(v))
		if err := w.affine.Quantize(q, v, w.flat); err != nil {
			return err
		}
		r := make([]float32, len(v))
		if err := w.affine.Dequantize(r, q, w.flat); err != nil {
			return err
		}
		for i := range r {
			r[i] = v[i] - r[i]
		}
		out = u.project(r, mean)
		return nil
	})
	return out, err
}

// project multiplies a weight-shaped difference with the means of the input
// channels. For a convolution every kernel position sees the channel's mean.
func (u *unit) project(d []float32, mean []float64) []float64 {
	n := int(u.channels())
	out := make([]float64, n)
	if u.node.OpType == "Conv" {
		s := u.weight.tensor.Shape
		perGroup, taps := int(s[1]), int(s[2]*s[3])
		group := int(u.node.AttrInt("group", 1))
		for c := range n {
			first := c / (n / group) * perGroup
			for i := range perGroup * taps {
				out[c] += float64(d[c*perGroup*taps+i]) * mean[first+i/taps]
			}
		}
		return out
	}
	k := len(d) / n
	byRow := u.weight.tensor.Shape[0] == int64(n) && u.turned()
	for i, v := range d {
		if byRow {
			out[i/k] += float64(v) * mean[i%k]
		} else {
			out[i%n] += float64(v) * mean[i/n]
		}
	}
	return out
}

// turned reports whether the weight is stored with output channels first.
func (u *unit) turned() bool {
	return transB(u.node) != (u.weight.transposed != nil)
}

// means returns the observed channel means of a unit's input where they fit
// its weight.
func (p *staticPass) means(u *unit) []float64 {
	o := p.obs[u.inputs[0]]
	if o == nil || !o.finite() {
		return nil
	}
	want := u.weight.tensor.Elements() / max(u.channels(), 1)
	if u.node.OpType == "Conv" {
		want = u.weight.tensor.Shape[1] * u.node.AttrInt("group", 1)
	}
	if int64(len(o.Mean)) != want {
		return nil
	}
	return o.Mean
}

// biasValues computes the corrected bias as floats; it needs the scales.
func (w *weight) biasValues(u *unit, bias *onnx.Tensor, mean []float64) ([]float64, error) {
	out := make([]float64, u.channels())
	if bias != nil {
		t, err := bias.Value()
		if err != nil {
			return nil, err
		}
		v, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		if len(v) != len(out) {
			return nil, fmt.Errorf("tensor %q: %d biases for %d channels", bias.Name, len(v), len(out))
		}
		for i := range out {
			out[i] = float64(v[i])
		}
	}
	fix, err := w.correction(u, mean)
	for i := range fix {
		out[i] += fix[i]
	}
	return out, err
}

// integerBias makes the unit's bias a 32-bit integer with scale s_a·s_w and
// zero point 0, and returns its DequantizeLinear; nil where there is nothing
// to add.
func (p *staticPass) integerBias(u *unit, w *weight, in codes) *onnx.Node {
	old, _ := p.s.constant(u.biasName())
	mean := p.means(u)
	if old == nil && mean == nil {
		return nil
	}
	if old != nil {
		w.reserve(old, in.scale)
	}
	base := u.node.Name + "_bias"
	shape := tensor.Shape{u.channels()}
	scaleOf := func(i int) float64 { return float64(in.scale * w.affine.Scale[i%len(w.affine.Scale)]) }
	data := onnx.NewLazyTensor(p.namer.Fresh(base+"_quantized"), tensor.Int32, shape, func(dst []byte) error {
		v, err := w.biasValues(u, old, mean)
		if err != nil {
			return err
		}
		out := make([]int32, len(v))
		for i := range v {
			q := math.RoundToEven(v[i] / scaleOf(i))
			out[i] = int32(max(math.MinInt32, min(math.MaxInt32, q)))
		}
		copy(dst, tensor.AsBytes(out))
		return nil
	})
	scale := onnx.NewLazyTensor(p.namer.Fresh(base+"_scale"), tensor.Float32, shape, func(dst []byte) error {
		out := make([]float32, shape[0])
		for i := range out {
			out[i] = float32(scaleOf(i))
		}
		copy(dst, tensor.AsBytes(out))
		return nil
	})
	zero := onnx.NewTensor(p.namer.Fresh(base+"_zero_point"), tensor.Tensor{DType: tensor.Int32, Shape: shape, Data: make([]byte, 4*shape[0])})
	p.s.graph.Initializers = append(p.s.graph.Initializers, data, scale, zero)
	restored := p.namer.Fresh(base + "_restored")
	for len(u.node.Inputs) < 3 {
		u.node.Inputs = append(u.node.Inputs, "")
	}
	u.node.Inputs[2] = restored
	dq := onnx.NewNode("DequantizeLinear", p.namer.Fresh(base+"_DequantizeLinear"), []string{data.Name, scale.Name, zero.Name}, []string{restored})
	dq.SetAttr(onnx.IntAttr("axis", 0))
	return dq
}

// reserve keeps the scale of every channel so large that its bias fits into 32
// bits: |b| ≤ 2^30·s_a·s_w.
func (w *weight) reserve(bias *onnx.Tensor, inScale float32) {
	t, err := bias.Value()
	if err != nil {
		return // reported when the bias is written
	}
	v, err := t.Float32s()
	if err != nil {
		return
	}
	if w.least == nil {
		w.least = make([]float32, w.scales())
	}
	for i, b := range v {
		c := i % len(w.least)
		w.least[c] = max(w.least[c], float32(math.Abs(float64(b))/(1<<30)/float64(inScale)))
	}
}

// floatBias returns the name of the corrected bias of a product whose output
// is float; empty where there is none.
func (p *staticPass) floatBias(u *unit, w *weight) string {
	old, _ := p.s.constant(u.biasName())
	mean := p.means(u)
	if old == nil && mean == nil {
		return ""
	}
	t := onnx.NewLazyTensor(p.namer.Fresh(u.node.Name+"_bias_corrected"), tensor.Float32, tensor.Shape{u.channels()}, func(dst []byte) error {
		v, err := w.biasValues(u, old, mean)
		if err != nil {
			return err
		}
		out := make([]float32, len(v))
		for i := range v {
			out[i] = float32(v[i])
		}
		copy(dst, tensor.AsBytes(out))
		return nil
	})
	p.s.graph.Initializers = append(p.s.graph.Initializers, t)
	return t.Name
}
