package eval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// named is a model with its name for messages.
type named struct {
	name string
	Model
}

// pass feeds the same samples to one or several models.
type pass struct {
	ctx    context.Context
	models []named
	names  [][]string // by model: outputs that are wanted
	set    *dataset.Set
	o      Options
}

// step is one batch and what the models said to it.
type step struct {
	batch     *dataset.Batch
	views     []map[string]view // by model
	pair      *dataset.Batch    // other texts of scored pairs; nil: none
	pairViews []map[string]view
}

// view is an output as numbers.
type view struct {
	name  string
	shape tensor.Shape
	v     []float32
	ints  []int64 // instead of v, for integer outputs
}

// each reads the set from its beginning to its end and calls f for each batch.
// It returns the number of samples.
func (p *pass) each(f func(step) error) (int, error) {
	if err := p.set.Rewind(); err != nil {
		return 0, err
	}
	total, known := p.set.Len()
	if !known {
		total = 0
	}
	done := 0
	for {
		if err := p.ctx.Err(); err != nil {
			return done, err
		}
		batch, err := p.set.Batch(max(p.o.Batch, 1))
		if errors.Is(err, io.EOF) {
			return done, nil
		}
		if err != nil {
			return done, err
		}
		s, err := p.step(&batch)
		if err == nil {
			err = f(s)
		}
		if err != nil {
			return done, err
		}
		done += len(batch.Samples)
		if p.o.Progress != nil {
			p.o.Progress(done, total)
		}
	}
}

// step runs the models on a batch, and on its pairs.
func (p *pass) step(batch *dataset.Batch) (step, error) {
	s := step{batch: batch}
	var err error
	if s.views, err = p.run(batch); err != nil || batch.Samples[0].Pair == nil {
		return s, err
	}
	pairs := make([]dataset.Sample, len(batch.Samples))
	for i, sample := range batch.Samples {
		if sample.Pair == nil {
			return s, &dataset.Error{File: p.set.Source, Err: fmt.Errorf("%s: no second text", sample.Name)}
		}
		pairs[i] = *sample.Pair
	}
	pair, err := p.set.Collate(pairs)
	if err != nil {
		return s, err
	}
	s.pair = &pair
	s.pairViews, err = p.run(&pair)
	return s, err
}

// run gives a batch to every model.
func (p *pass) run(b *dataset.Batch) ([]map[string]view, error) {
	all := make([]map[string]view, len(p.models))
	for i, m := range p.models {
		out, err := m.RunContext(p.ctx, b.Inputs, p.names[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", m.name, b.Samples[0].Name, err)
		}
		all[i] = map[string]view{}
		for name, t := range out {
			v, err := newView(name, t, b)
			if err != nil {
				return nil, blame(m.name, err)
			}
			all[i][name] = v
		}
	}
	return all, nil
}

// newView reads an output as numbers and refuses NaN.
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
	if i := slices.IndexFunc(out.v, func(x float32) bool { return x != x }); i >= 0 {
		row := min(i/max(out.perSample(b), 1), len(b.Samples)-1)
		return view{}, &OutputError{Output: name, Sample: b.Samples[row].Name, What: "NaN"}
	}
	return out, nil
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
