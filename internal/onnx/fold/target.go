package fold

import (
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// target is a layer that a normalization goes into.
type target struct {
	weight *onnx.Tensor
	bias   string       // name of the bias; empty: none
	values *onnx.Tensor // of the bias; nil: none
	biasAt int          // input of the Add that is the bias
	beta   float64      // factor of the bias (Gemm)
	// The output channel of element i of the weight is
	// i / inner % width + i / outer * width: width channels in each of the
	// groups along the outermost axis.
	inner, width, outer int64
}

// target returns the layer with what is to be changed; nil if it does not fit.
func (b *bnPass) target(layer, add *onnx.Node, channels int64) (*target, error) {
	w := b.weight(layer.Input(1))
	if w == nil || layer.Input(0) == layer.Input(1) {
		return nil, nil
	}
	t := &target{weight: w, beta: 1}
	fits := false
	switch {
	case layer.Is("Conv"):
		fits = t.conv(channels)
	case layer.Is("ConvTranspose"):
		fits = t.convTranspose(channels, layer.AttrInt("group", 1))
	case layer.Is("Gemm"):
		t.beta = float64(layer.AttrFloat("beta", 1))
		fits = t.matrix(channels, layer.AttrInt("transB", 0) != 0)
	case layer.Is("MatMul"):
		// Channels are axis 1, which is the last one for two axes alone.
		fits = b.scope.Of(layer.Input(0)).Rank == 2 && t.matrix(channels, false)
	}
	if !fits {
		return nil, nil
	}
	if add != nil {
		if add.Inputs[0] == layer.Outputs[0] {
			t.biasAt = 1
		}
		t.bias = add.Inputs[t.biasAt]
	} else {
		t.bias = layer.Input(2)
	}
	return b.withBias(t, channels)
}

// withBias completes the target with a constant bias of one element for each
// channel, or for all of them.
func (b *bnPass) withBias(t *target, channels int64) (*target, error) {
	if t.bias == "" {
		return t, nil
	}
	v := b.weight(t.bias)
	if v == nil || len(v.Shape) > 2 || len(v.Shape) == 2 && v.Shape[0] != 1 {
		return nil, nil
	}
	n, err := v.Shape.Elements()
	if err != nil {
		return nil, err
	}
	if n != channels && n != 1 {
		return nil, nil
	}
	t.values = v
	return t, nil
}

// conv: the weight is [M, C/group, …], output channels first.
func (t *target) conv(channels int64) bool {
	s := t.weight.Shape
	if len(s) < 3 || s[0] != channels {
		return false
	}
	size, err := s.Elements()
	if err != nil || size == 0 {
		return false
	}
	t.inner, t.width, t.outer = size/channels, channels, size
	return true
}

// convTranspose: the weight is [C, M/group, …], and the input channels of one
// group come one after the other.
func (t *target) convTranspose(channels, group int64) bool {
	s := t.weight.Shape
	if len(s) < 3 || group < 1 || s[0]%group != 0 || channels%group != 0 || s[1] != channels/group {
		return false
	}
	size, err := s.Elements()
	if err != nil || size == 0 {
		return false
	}
	t.inner, t.width, t.outer = size/s[0]/s[1], s[1], size/group
	return true
}

// matrix: the weight is [K, N], or [N, K] where it is transposed.
func (t *target) matrix(channels int64, transposed bool) bool {
	s := t.weight.Shape
	if len(s) != 2 || s[0] == 0 || s[1] == 0 {
		return false
	}
	size := s[0] * s[1]
	if transposed {
		t.inner, t.width, t.outer = s[1], s[0], size
		return s[0] == channels
	}
	t.inner, t.width, t.outer = 1, s[1], size
	return s[1] == channels
}

// scaled adds the weight times a, computed when it is written, and returns its
// name.
func (b *bnPass) scaled(t *target, f *normalization) string {
	key := fmt.Sprintf("w %q %d %d %s", t.weight.Name, t.inner, t.outer, f.key)
	if b.made[key] != "" {
		return b.made[key]
	}
	source, layout, a := t.weight, *t, f.a
	name := b.names.Fresh(source.Name + "_bn")
	b.add(key, onnx.NewLazyTensor(name, tensor.Float32, source.Shape, func(dst []byte) error {
		defer source.Release()
		v, err := source.Value()
		if err != nil {
			return err
		}
		w, err := v.Float32s()
		if err != nil {
			return err
		}
		out := make([]float32, len(w))
		layout.scale(out, w, a)
		copy(dst, tensor.AsBytes(out))
		return nil
	}))
	return name
}

// scale multiplies every element of w by the factor of its channel.
func (t *target) scale(dst, w []float32, a []float64) {
	for i := int64(0); i < int64(len(w)); i += t.inner {
		f := a[i/t.inner%t.width+i/t.outer*t.width]
		for j := i; j < i+t.inner; j++ {
			dst[j] = float32(float64(w[j]) * f)
		}
	}
}

// bias adds the bias of the merged layer, [M], and returns its name.
func (b *bnPass) bias(t *target, f *normalization) string {
	key := fmt.Sprintf("b %q %v %s", t.bias, t.beta, f.key)
	if b.made[key] != "" {
		return b.made[key]
	}
	base := t.bias
	if base == "" {
		base = t.weight.Name + "_bias"
	}
	values, beta := t.values, t.beta
	name := b.names.Fresh(base + "_bn")
	shape := tensor.Shape{int64(len(f.a))}
	b.add(key, onnx.NewLazyTensor(name, tensor.Float32, shape, func(dst []byte) error {
		old := []float32{0}
		if values != nil {
			v, err := values.Value()
			if err != nil {
				return err
			}
			if old, err = v.Float32s(); err != nil {
				return err
			}
		}
		out := make([]float32, len(f.a))
		for i := range out {
			x := beta * float64(old[i%len(old)])
			out[i] = float32(f.a[i]*(x-f.mean[i]) + f.shift[i])
		}
		copy(dst, tensor.AsBytes(out))
		return nil
	}))
	return name
}

func (b *bnPass) add(key string, t *onnx.Tensor) {
	b.made[key] = t.Name
	b.graph.Initializers = append(b.graph.Initializers, t)
}
