package dataset

import (
	"errors"
	"fmt"
	"io"

	"optim/internal/tensor"
)

// Batch is several samples in one run.
type Batch struct {
	Inputs  map[string]tensor.Tensor
	Samples []Sample
	Rows    int      // samples in the inputs; may be more than len(Samples), see Collate
	Length  int      // positions per row; 0: the model has no ids
	Masks   [][]bool // per sample, Length long: which positions are real; nil: all
}

// FixedBatch returns the batch size that the model's inputs prescribe, or 0.
func (s *Set) FixedBatch() int {
	fixed := int64(0)
	for _, in := range s.shape.model.Inputs {
		switch {
		case len(in.Dims) == 0:
			return 0
		case in.Dims[0] <= 0 || fixed != 0 && in.Dims[0] != fixed:
			return 0
		}
		fixed = in.Dims[0]
	}
	return int(fixed)
}

// Batch reads the next n samples (at the end fewer) as one batch; io.EOF when
// there is none. A model with a fixed batch size gets that many, whatever n is.
func (s *Set) Batch(n int) (Batch, error) {
	sample, err := s.Next()
	if err != nil {
		return Batch{}, err
	}
	n = s.PerRun(sample, n)
	samples := []Sample{sample}
	for len(samples) < n {
		sample, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Batch{}, err
		}
		samples = append(samples, sample)
	}
	return s.Collate(samples)
}

// PerRun returns how many samples like the given one make a run, where n are
// asked for: a model with a fixed batch size gets that many, or one that holds
// them all.
func (s *Set) PerRun(sample Sample, n int) int {
	fixed := s.FixedBatch()
	if fixed > 1 && s.isWhole(sample, fixed) {
		return 1
	}
	if fixed > 0 {
		return fixed
	}
	return n
}

// isWhole reports whether a sample already has the leading axis that the model
// fixes: arrays with one axis more than the input, or a model without a batch.
func (s *Set) isWhole(sample Sample, fixed int) bool {
	for _, in := range s.shape.model.Inputs {
		if t := sample.Inputs[in.Name]; len(t.Shape) == 0 || t.Shape[0] != int64(fixed) {
			return false
		}
	}
	return true
}

// Collate stacks samples along the leading axis. Texts of different lengths are
// padded on the right and masked; without an attention mask they are refused.
// Where the model's batch size is fixed and there are fewer samples, the last
// one is repeated: rows beyond len(Samples) mean nothing.
func (s *Set) Collate(samples []Sample) (Batch, error) {
	b := Batch{Samples: samples, Inputs: map[string]tensor.Tensor{}}
	if len(samples) == 0 {
		panic("dataset: Collate of no samples")
	}
	rows := samples
	if fixed := s.FixedBatch(); fixed > 1 && !s.isWhole(samples[0], fixed) {
		if len(samples) > fixed {
			return Batch{}, fail(s.Source, "a batch of %d samples, the model's batch size is %d", len(samples), fixed)
		}
		for len(rows) < fixed {
			rows = append(rows[:len(rows):len(rows)], rows[len(rows)-1])
		}
	}
	if err := s.pad(&b, rows); err != nil {
		return Batch{}, &Error{File: s.Source, Err: err}
	}
	b.Rows = len(rows)
	for _, in := range s.shape.model.Inputs {
		if _, ok := rows[0].Inputs[in.Name]; !ok {
			continue // optional
		}
		t, err := s.stack(in.Name, rows, b.Length)
		if err != nil {
			return Batch{}, fail(s.Source, "input %q: %w", in.Name, err)
		}
		b.Inputs[in.Name] = t
	}
	return b, nil
}

// pad finds the length of the rows and their masks.
func (s *Set) pad(b *Batch, rows []Sample) error {
	shortest := -1
	for _, r := range rows {
		ids, ok := r.Inputs[s.shape.ids]
		if !ok || len(ids.Shape) != 2 || ids.Shape[0] != 1 {
			return nil
		}
		n := int(ids.Shape[1])
		if b.Length = max(b.Length, n); shortest < 0 || n < shortest {
			shortest = n
		}
	}
	if shortest != b.Length && s.shape.mask == "" {
		return fmt.Errorf("texts of %d to %d ids in one batch, and the model has no attention mask: use a batch of 1", shortest, b.Length)
	}
	b.Masks = make([][]bool, len(b.Samples))
	for i, r := range b.Samples {
		n := int(r.Inputs[s.shape.ids].Shape[1])
		if r.Mask == nil && n == b.Length {
			continue
		}
		mask := make([]bool, b.Length)
		for j := range n {
			mask[j] = r.Mask == nil || r.Mask[j]
		}
		b.Masks[i] = mask
	}
	return nil
}

// stack joins one input of all rows. Tensors that go with the ids position by
// position are padded with zeros to length; positions go on counting.
func (s *Set) stack(name string, rows []Sample, length int) (tensor.Tensor, error) {
	head := rows[0].Inputs[name]
	if len(rows) == 1 {
		return head, nil
	}
	byPosition := name == s.shape.ids || name == s.shape.mask || name == s.shape.types || name == s.shape.positions
	if !byPosition || length == 0 {
		return s.join(name, rows, head)
	}
	size := head.DType.Bits() / 8
	out := make([]byte, 0, len(rows)*length*size)
	for _, r := range rows {
		t := r.Inputs[name]
		if len(t.Shape) != 2 || t.Shape[1] != r.Inputs[s.shape.ids].Shape[1] {
			return tensor.Tensor{}, fmt.Errorf("%s: shape %v cannot be padded: use a batch of 1", r.Name, t.Shape)
		}
		out = append(out, t.Data...)
		missing := make([]int64, length-int(t.Shape[1]))
		if name == s.shape.positions {
			for i := range missing {
				missing[i] = t.Shape[1] + int64(i)
			}
		}
		fill, err := encode(values{ints: missing}, head.DType)
		if err != nil {
			return tensor.Tensor{}, err
		}
		out = append(out, fill...)
	}
	return tensor.Tensor{DType: head.DType, Shape: tensor.Shape{int64(len(rows)), int64(length)}, Data: out}, nil
}

// join stacks tensors of equal shapes. An input whose leading axis the model
// fixes to 1 is no part of the batch: it is shared, and has to be the same.
func (s *Set) join(name string, rows []Sample, head tensor.Tensor) (tensor.Tensor, error) {
	in, _ := s.shape.input(name)
	shared := len(in.Dims) == 0 || in.Dims[0] == 1
	var out []byte
	if !shared {
		out = make([]byte, 0, len(rows)*len(head.Data))
	}
	for _, r := range rows {
		t := r.Inputs[name]
		switch {
		case !t.Shape.Equal(head.Shape):
			return tensor.Tensor{}, fmt.Errorf("%s has shape %v, %s has %v: use a batch of 1", rows[0].Name, head.Shape, r.Name, t.Shape)
		case shared && string(t.Data) != string(head.Data):
			return tensor.Tensor{}, fmt.Errorf("%s differs from %s, and the input has no batch: use a batch of 1", r.Name, rows[0].Name)
		case !shared && t.Shape[0] != 1:
			return tensor.Tensor{}, fmt.Errorf("%s has shape %v, which is a batch of its own: use a batch of 1", r.Name, t.Shape)
		}
		if !shared {
			out = append(out, t.Data...)
		}
	}
	if shared {
		return head, nil
	}
	shape := head.Shape.Clone()
	shape[0] = int64(len(rows))
	return tensor.Tensor{DType: head.DType, Shape: shape, Data: out}, nil
}
