package dataset

import "optim/internal/tensor"

// Cut returns a sample of text with its first n ids, and the rest of what goes
// with them position by position. A sample that is not longer, or has no ids, is
// returned as it is. Inputs of a fixed length stay as they are.
func (s *Set) Cut(sample Sample, n int) Sample {
	ids, ok := sample.Inputs[s.shape.ids]
	if !ok || s.shape.sequence() >= 0 || len(ids.Shape) != 2 || n < 1 || int64(n) >= ids.Shape[1] {
		return sample
	}
	long := ids.Shape[1]
	out := sample
	out.Inputs = map[string]tensor.Tensor{}
	for name, t := range sample.Inputs {
		byPosition := name == s.shape.ids || name == s.shape.mask || name == s.shape.types || name == s.shape.positions
		if byPosition && len(t.Shape) == 2 && t.Shape[0] == 1 && t.Shape[1] == long {
			size := t.DType.Bits() / 8
			t = tensor.Tensor{DType: t.DType, Shape: tensor.Shape{1, int64(n)}, Data: t.Data[: n*size : n*size]}
		}
		out.Inputs[name] = t
	}
	if sample.Mask != nil {
		out.Mask = sample.Mask[:n]
	}
	return out
}
