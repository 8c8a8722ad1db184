package dataset

import (
	"fmt"
	"strings"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// finish completes a sample: inputs that the data lacks and that can only be
// one thing are made, the shapes are checked, and the mask is read.
func (s *Set) finish(sample *Sample) error {
	for _, in := range s.shape.model.Inputs {
		t, ok := sample.Inputs[in.Name]
		if !ok && in.Optional {
			continue
		}
		if !ok {
			var err error
			if t, err = s.make(in, sample); err != nil {
				return &Error{File: s.Source, Err: at(sample.Name, err)}
			}
			sample.Inputs[in.Name] = t
		}
		if err := s.shape.fits(in, t.Shape); err != nil {
			return &Error{File: s.Source, Err: at(sample.Name, err)}
		}
	}
	if sample.Mask == nil {
		sample.Mask = s.readMask(sample)
	}
	return nil
}

// at puts the place in the data before an error.
func at(place string, err error) error {
	if err == nil || place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", place, err)
}

// make returns an input that is not in the data.
func (s *Set) make(in ort.Info, sample *Sample) (tensor.Tensor, error) {
	sh := s.shape
	if IsPast(in) {
		s.note("input %q and its like: an empty cache", strings.SplitN(in.Name, ".", 2)[0])
		return emptyPast(in)
	}
	if in.Name == "use_cache_branch" && in.DType == tensor.Bool {
		s.note("input %q: false", in.Name)
		return tensor.New(tensor.Bool, tensor.Shape{1})
	}
	ids, ok := sample.Inputs[sh.ids]
	if !ok || len(ids.Shape) != 2 {
		return tensor.Tensor{}, fmt.Errorf("no data for input %q (%s)", in.Name, in)
	}
	n := int(ids.Shape[1])
	switch in.Name {
	case sh.mask:
		if _, ok := s.givenPast(sample); ok {
			return tensor.Tensor{}, fmt.Errorf("no data for input %q, while a cache is given", in.Name)
		}
		s.note("input %q: ones", in.Name)
		return maskTensor(in, sample.Mask, n)
	case sh.types:
		s.note("input %q: zeros", in.Name)
		return row(in, make([]int64, n))
	case sh.positions:
		if _, ok := s.givenPast(sample); ok {
			return tensor.Tensor{}, fmt.Errorf("no data for input %q, while a cache is given", in.Name)
		}
		s.note("input %q: 0, 1, 2, …", in.Name)
		return row(in, ascending(n))
	}
	return tensor.Tensor{}, fmt.Errorf("no data for input %q (%s)", in.Name, in)
}

// givenPast returns the name of a cache input that the data brings and that is
// not empty.
func (s *Set) givenPast(sample *Sample) (string, bool) {
	for _, in := range s.shape.model.Inputs {
		if t, ok := sample.Inputs[in.Name]; ok && IsPast(in) && len(t.Data) > 0 {
			return in.Name, true
		}
	}
	return "", false
}

// row returns integers as a [1, n] tensor of the input's type.
func row(in ort.Info, v []int64) (tensor.Tensor, error) {
	data, err := encode(values{ints: v}, in.DType)
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("input %q: %w", in.Name, err)
	}
	return tensor.Tensor{DType: in.DType, Shape: tensor.Shape{1, int64(len(v))}, Data: data}, nil
}

// maskTensor returns an attention mask: ones where real is nil.
func maskTensor(in ort.Info, real []bool, n int) (tensor.Tensor, error) {
	v := make([]int64, n)
	for i := range v {
		if real == nil || real[i] {
			v[i] = 1
		}
	}
	return row(in, v)
}

func ascending(n int) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(i)
	}
	return v
}

// readMask returns which positions of the ids are real, or nil for all. With a
// cache the mask also covers the past, which lies before.
func (s *Set) readMask(sample *Sample) []bool {
	mask, ok := sample.Inputs[s.shape.mask]
	ids, text := sample.Inputs[s.shape.ids]
	if !ok || !text || mask.DType.Bits() < 8 {
		return nil
	}
	n, all := int(ids.Shape[1]), mask.Len()
	if ids.Shape[0] != 1 || mask.Shape[0] != 1 || all < n {
		return nil
	}
	size := mask.DType.Bits() / 8
	real, padded := make([]bool, n), false
	for i := range real {
		at := (all - n + i) * size
		for _, b := range mask.Data[at : at+size] {
			real[i] = real[i] || b != 0
		}
		padded = padded || !real[i]
	}
	if !padded {
		return nil
	}
	return real
}
