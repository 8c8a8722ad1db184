package quant

import (
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// halfCount is one constant and how many of its numbers the half type cannot hold.
type halfCount struct {
	source        *onnx.Tensor
	clamped, zero int64
}

// convert makes the constant in half precision: computed when it is written,
// and counted when the plan is made.
func (h *halfPass) convert(t *onnx.Tensor, name string) *onnx.Tensor {
	h.counts = append(h.counts, &halfCount{source: t})
	d := h.half
	return onnx.NewLazyTensor(name, d, t.Shape, func(dst []byte) error {
		defer t.Release()
		b, err := t.Bytes()
		if err != nil {
			return err
		}
		tensor.ToHalf(tensor.As[uint16](dst), tensor.As[float32](b), d)
		return nil
	})
}

// count reads the constant. NaN is refused, as in every format; infinities stay.
func (c *halfCount) count(d tensor.DType) error {
	defer c.source.Release()
	b, err := c.source.Bytes()
	if err != nil {
		return err
	}
	for i, x := range tensor.As[float32](b) {
		if x != x {
			return fmt.Errorf("tensor %q: element %d is NaN: %w (--keep REGEX leaves a tensor in float)", c.source.Name, i, tensor.ErrNotFinite)
		}
	}
	c.clamped, c.zero = tensor.HalfLosses(tensor.As[float32](b), d)
	return nil
}
