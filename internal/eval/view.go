package eval

import (
	"fmt"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// view is an output as numbers. Its memory may be lent: it is good for one step.
type view struct {
	name  string
	shape tensor.Shape
	v     []float32
	ints  []int64 // instead of v, for integer outputs
}

// newView reads an output as numbers.
func newView(name string, t tensor.Tensor, b *dataset.Batch) (view, error) {
	out := view{name: name, shape: t.Shape}
	var err error
	if t.DType.IsInteger() {
		out.ints, err = t.Int64s()
	} else {
		out.v, err = t.Float32s()
	}
	if err != nil {
		return view{}, fmt.Errorf("output %q: %w", name, err)
	}
	if n := len(b.Samples); n > 1 && (len(t.Shape) == 0 || t.Shape[0] < int64(n)) {
		return view{}, fmt.Errorf("output %q has shape %v for a batch of %d: use a batch of 1", name, t.Shape, n)
	}
	return out, nil
}

// checkNaN refuses an output that has a NaN anywhere, padding included.
func (v view) checkNaN(b *dataset.Batch) error {
	i := tensor.FirstNonFinite(v.v)
	for ; i >= 0 && i < len(v.v); i++ {
		if v.v[i] != v.v[i] {
			return v.nanAt(b, i)
		}
	}
	return nil
}

// nanAt says that element i is NaN.
func (v view) nanAt(b *dataset.Batch, i int) error {
	row := min(i/max(v.perSample(b), 1), len(b.Samples)-1)
	return &OutputError{Output: v.name, Sample: b.Samples[row].Name, What: "NaN"}
}

// perSample returns how many elements belong to one sample. Without a batch
// axis all of them belong to the only one.
func (v view) perSample(b *dataset.Batch) int {
	n := len(v.v) + len(v.ints)
	if len(b.Samples) == 1 && (len(v.shape) == 0 || v.shape[0] != int64(b.Rows)) {
		return n
	}
	return n / int(max(v.shape[0], 1))
}

// sample returns the elements of sample i.
func (v view) sample(b *dataset.Batch, i int) []float32 {
	n := v.perSample(b)
	return v.v[i*n : (i+1)*n]
}

// positions reports whether the output has one row per position of the ids, and
// how wide a row is.
func (v view) positions(b *dataset.Batch) (width int, ok bool) {
	if b.Length == 0 || len(v.shape) < 3 || v.shape[1] != int64(b.Length) {
		return 0, false
	}
	return v.perSample(b) / b.Length, true
}

// real returns the elements of sample i that count: for an output with one row
// per position, those of positions that are not padding.
func (v view) real(b *dataset.Batch, i int) []float32 {
	all := v.sample(b, i)
	width, ok := v.positions(b)
	if !ok || b.Masks[i] == nil {
		return all
	}
	kept := make([]float32, 0, len(all))
	for p, real := range b.Masks[i] {
		if real {
			kept = append(kept, all[p*width:(p+1)*width]...)
		}
	}
	return kept
}

// pick returns the name of the output that fits, preferring names.
func pick(outs []ort.Info, fits func(ort.Info) bool, preferred ...string) (string, bool) {
	for _, name := range preferred {
		for _, o := range outs {
			if o.Name == name && fits(o) {
				return name, true
			}
		}
	}
	for _, o := range outs {
		if fits(o) {
			return o.Name, true
		}
	}
	return "", false
}

// argmax returns the index of the greatest value, the first of equals.
func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
