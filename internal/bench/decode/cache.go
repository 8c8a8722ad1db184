package decode

import (
	"fmt"
	"slices"
	"strings"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// cache is a tensor of keys or values, or of both: what a run reads as past, and
// the run before has written as present.
type cache struct {
	past    ort.Info
	present string
	shape   tensor.Shape // of one sample; 0 along axis
	axis    int          // of the positions
}

// at returns the shape with n positions. Its elements are contiguous for each n.
func (c cache) at(n int) tensor.Shape {
	s := c.shape.Clone()
	s[c.axis] = int64(n)
	return s
}

// view returns the cache with n positions at the beginning of a buffer.
func (c cache) view(buffer []byte, n int) (tensor.Tensor, error) {
	shape := c.at(n)
	size, err := shape.Bytes(c.past.DType)
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("cache %q: %w", c.past.Name, err)
	}
	return tensor.Tensor{DType: c.past.DType, Shape: shape, Data: buffer[:size]}, nil
}

// findCaches finds the caches of a model, and the output that belongs to each.
func findCaches(inputs, outputs []ort.Info, logits string) ([]cache, error) {
	var caches []cache
	for _, in := range inputs {
		if !dataset.IsPast(in) {
			continue
		}
		batch, axis, err := dataset.PastAxes(in)
		if err != nil {
			return nil, err
		}
		c := cache{past: in, shape: tensor.Shape(slices.Clone(in.Dims)), axis: axis}
		if c.shape[axis] = 0; batch >= 0 {
			c.shape[batch] = 1
		}
		caches = append(caches, c)
	}
	if len(caches) == 0 {
		return nil, nil
	}
	return caches, pairCaches(caches, outputs, logits)
}

// pairCaches finds the present of each past: by what their names have in common
// (past_key_values.0.key and present.0.key, past_0 and present_0), else by the
// order.
func pairCaches(caches []cache, outputs []ort.Info, logits string) error {
	byKey := map[string][]string{}
	var others []ort.Info
	for _, o := range outputs {
		if o.Name == logits {
			continue
		}
		key := cacheKey(o.Name)
		byKey[key] = append(byKey[key], o.Name)
		others = append(others, o)
	}
	named := true
	for i := range caches {
		found := byKey[cacheKey(caches[i].past.Name)]
		if len(found) != 1 {
			named = false
			break
		}
		caches[i].present = found[0]
	}
	if named {
		return nil
	}
	others = slices.DeleteFunc(others, func(o ort.Info) bool {
		return !slices.ContainsFunc(caches, func(c cache) bool { return alike(c, o) })
	})
	if len(others) != len(caches) {
		return fmt.Errorf("%d inputs like %q are a cache, and %d outputs can be: they cannot be told which belongs to which",
			len(caches), caches[0].past.Name, len(others))
	}
	for i, o := range others {
		if !alike(caches[i], o) {
			return fmt.Errorf("input %q is a cache, and no output belongs to it", caches[i].past.Name)
		}
		caches[i].present = o.Name
	}
	return nil
}

// cacheKey returns what the names of a past and its present have in common.
func cacheKey(name string) string {
	name = strings.ToLower(name)
	for _, prefix := range []string{"past_key_values", "present_key_values", "past", "present"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return strings.Trim(strings.ReplaceAll(rest, "_", "."), ".")
		}
	}
	return name
}

// alike reports whether an output can be the present of a cache.
func alike(c cache, o ort.Info) bool {
	if o.DType != c.past.DType || len(o.Dims) != len(c.shape) {
		return false
	}
	for i, d := range o.Dims {
		if i != c.axis && d >= 0 && d != c.shape[i] {
			return false
		}
	}
	return true
}
