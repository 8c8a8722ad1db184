package quant

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"optim/internal/checkpoint"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// takeFloats replaces initializers by the checkpoint's tensors of their name.
func (f *fitting) takeFloats(list []*checkpoint.Tensor) (notes []string, err error) {
	home := map[string]*onnx.Graph{}
	for _, s := range f.scopes {
		for _, t := range s.graph.Initializers {
			home[t.Name] = s.graph
		}
	}
	claims := map[string]int{} // of the graph's names
	names := make([]string, len(list))
	for i, c := range list {
		if c.DType.IsFloat() {
			names[i] = unique(home, c.Name)
			claims[names[i]]++
		}
	}
	taken, left := 0, []string{}
	for i, c := range list {
		name := names[i]
		switch {
		case !c.DType.IsFloat():
			continue
		case strings.HasSuffix(c.Name, ".scales") && name == "":
			return nil, fmt.Errorf("the checkpoint divides an activation by %q, for which the graph has no operator", c.Name)
		case name == "" || claims[name] > 1:
			left = append(left, c.Name)
			continue
		}
		at := slices.IndexFunc(home[name].Initializers, func(t *onnx.Tensor) bool { return t.Name == name })
		changed, err := takeFloat(&home[name].Initializers[at], c)
		if err != nil {
			return nil, err
		}
		if changed {
			taken++
		}
	}
	if taken > 0 {
		notes = append(notes, fmt.Sprintf("%d tensors in float taken over from the checkpoint", taken))
	}
	if len(left) > 0 {
		notes = append(notes, fmt.Sprintf("%d tensors of the checkpoint have no counterpart by name, and the graph keeps its own: %s", len(left), someOf(left)))
	}
	return notes, nil
}

// takeFloat replaces an initializer that differs by more than the rounding of
// the checkpoint's element type.
func takeFloat(at **onnx.Tensor, c *checkpoint.Tensor) (bool, error) {
	t := *at
	if !t.DType.IsFloat() {
		return false, nil
	}
	if !t.Shape.Equal(c.Shape) {
		return false, fmt.Errorf("tensor %q of the checkpoint is %v, and %q of the graph %v", c.Name, c.Shape, t.Name, t.Shape)
	}
	new, err := c.Value()
	if err != nil {
		return false, err
	}
	old, err := t.Value()
	if err != nil {
		return false, err
	}
	defer c.Release()
	defer t.Release()
	a, err := old.Float32s()
	if err != nil {
		return false, err
	}
	b, err := new.Float32s()
	if err != nil {
		return false, err
	}
	if tensor.FirstNonFinite(b) >= 0 {
		return false, fmt.Errorf("tensor %q of the checkpoint: %w", c.Name, tensor.ErrNotFinite)
	}
	if withinRounding(a, b, steps[c.DType]) {
		return false, nil
	}
	*at = onnx.NewLazyTensor(t.Name, t.DType, t.Shape, func(dst []byte) error {
		v, err := c.Value()
		if err != nil {
			return err
		}
		defer c.Release()
		v, err = tensor.Convert(v, t.DType)
		copy(dst, v.Data)
		return err
	})
	return true, nil
}

// step is what rounding to a float type can change: relative, and near zero.
type step struct{ relative, absolute float64 }

var steps = map[tensor.DType]step{tensor.Float16: {0x1p-10, 0x1p-24}, tensor.BFloat16: {0x1p-7, 0}}

// withinRounding reports whether b is a up to a step.
func withinRounding(a, b []float32, s step) bool {
	for i, x := range a {
		if d := math.Abs(float64(x) - float64(b[i])); d > s.relative*math.Abs(float64(x))+s.absolute {
			return false
		}
	}
	return true
}
