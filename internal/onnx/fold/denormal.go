package fold

import (
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Denormals sets the denormal numbers among the float32 weights of m to zero
// and returns how many weights had some. Training with weight decay leaves
// whole channels of them. They lie below 1.2e-38 and change no result, but every
// multiplication with one is microcode: a convolution was seen to take 100 times
// as long. Only weights that of accepts are looked at. They are only read here,
// and changed when they are written.
func Denormals(m *onnx.Model, of func(*onnx.Tensor) bool) (int, error) {
	n := 0
	var err error
	m.WalkGraphs(func(g *onnx.Graph, _ string) {
		for i, t := range g.Initializers {
			if err != nil || t.DType != tensor.Float32 || len(t.Shape) == 0 || !of(t) {
				continue
			}
			var found bool
			if found, err = hasDenormals(t); err != nil {
				err = fmt.Errorf("tensor %q: %w", t.Name, err)
			} else if found {
				g.Initializers[i] = flushed(t)
				n++
			}
		}
	})
	return n, err
}

func hasDenormals(t *onnx.Tensor) (bool, error) {
	b, err := t.Bytes()
	if err != nil {
		return false, err
	}
	defer t.Release()
	return tensor.HasSubnormal(tensor.As[float32](b)), nil
}

// denormal reports whether u are the bits of a float32 with exponent 0 that is
// not zero.
func denormal(u uint32) bool { return u<<1-1 < 1<<24-1 }

// flushed returns t with zeros in the place of denormal numbers.
func flushed(t *onnx.Tensor) *onnx.Tensor {
	out := onnx.NewLazyTensor(t.Name, t.DType, t.Shape, func(dst []byte) error {
		b, err := t.Bytes()
		if err != nil {
			return err
		}
		defer t.Release()
		v := append([]uint32(nil), tensor.As[uint32](b)...)
		for i, u := range v {
			if denormal(u) {
				v[i] = 0
			}
		}
		copy(dst, tensor.AsBytes(v))
		return nil
	})
	out.Doc, out.Metadata = t.Doc, t.Metadata
	return out
}
