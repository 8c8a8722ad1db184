package decode

import (
	"context"
	"fmt"
	"math"

	"optim/internal/tensor"
)

// probe runs the model once, on the first n ids and an empty cache, and looks at
// the shapes of what it gives: memory is prepared for them.
func (m *model) probe(ctx context.Context, mem memory, n int) error {
	in, err := m.feed(mem, 0, n)
	if err != nil {
		return err
	}
	names := []string{m.logits.Name}
	for _, c := range m.caches {
		if in[c.past.Name], err = c.view(nil, 0); err != nil {
			return err
		}
		names = append(names, c.present)
	}
	out, err := m.session.RunContext(ctx, in, names)
	if err != nil {
		return err
	}
	shape := out[m.logits.Name].Shape
	if len(shape) != 3 || shape[0] != 1 || shape[1] != 1 && shape[1] != int64(n) || shape[2] < 1 {
		return fmt.Errorf("output %q has shape %v for %d ids: want [1, %d, vocabulary]", m.logits.Name, shape, n, n)
	}
	m.last, m.width = shape[1] == 1, shape[2]
	for _, c := range m.caches {
		if got := out[c.present].Shape; !got.Equal(c.at(n)) || out[c.present].DType != c.past.DType {
			return fmt.Errorf("output %q is %s%v after %d ids, which input %q (%s) does not take",
				c.present, out[c.present].DType, got, n, c.past.Name, c.past)
		}
	}
	return nil
}

// needs returns the bytes that decoding takes beside the model: two buffers for
// each cache, the logits of both ways, the bindings of each step.
func (m *model) needs(prompt, fresh int) (int64, error) {
	const value = 600 // a tensor of ONNX Runtime in a binding, about
	total := int64(prompt + fresh - 1)
	parts := []tensor.Shape{m.logitsShape(int(total))}
	if len(m.caches) > 0 {
		parts = append(parts, m.logitsShape(prompt))
	}
	sum := float64(fresh) * value * float64(3*len(m.caches)+8)
	for _, p := range parts {
		n, err := p.Bytes(m.logits.DType)
		if err != nil {
			return 0, fmt.Errorf("output %q: %w", m.logits.Name, err)
		}
		sum += float64(n)
	}
	for _, c := range m.caches {
		n, err := c.at(int(total)).Bytes(c.past.DType)
		if err != nil {
			return 0, fmt.Errorf("cache %q: %w", c.past.Name, err)
		}
		sum += 2 * float64(n)
	}
	return int64(min(sum, math.MaxInt64/2)), nil
}

// logitsShape returns the shape of the logits of a run on n ids.
func (m *model) logitsShape(n int) tensor.Shape {
	if m.last {
		n = 1
	}
	return tensor.Shape{1, int64(n), m.width}
}
