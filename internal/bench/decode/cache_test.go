package decode

import (
	"fmt"
	"strings"
	"testing"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// TestPairs finds the present of each past.
func TestPairs(t *testing.T) {
	info := func(name string, d tensor.DType, width int64) ort.Info {
		return ort.Info{Name: name, DType: d, Dims: []int64{-1, 4, -1, width}}
	}
	infos := func(list string) (out []ort.Info) {
		for name := range strings.FieldsSeq(list) {
			switch {
			case strings.HasSuffix(name, "/half"):
				out = append(out, info(strings.TrimSuffix(name, "/half"), tensor.Float16, 8))
			case strings.HasSuffix(name, "/wide"):
				out = append(out, info(strings.TrimSuffix(name, "/wide"), tensor.Float32, 16))
			default:
				out = append(out, info(name, tensor.Float32, 8))
			}
		}
		return out
	}
	for _, c := range []struct{ inputs, outputs, want string }{
		{"past_key_values.0.key past_key_values.0.value", "logits present.0.value present.0.key", "present.0.key present.0.value"},
		{"past_key_values.1.key past_key_values.10.key", "present.10.key logits present.1.key", "present.1.key present.10.key"},
		{"past_key_values.0.key", "logits present_key_values.0.key", "present_key_values.0.key"},
		{"past_0 past_1", "logits present_1 present_0", "present_0 present_1"},
		{"past_key_0 past_value_0", "present_value_0 present_key_0 logits", "present_key_0 present_value_0"},
		{"past.0.key", "logits present_0_key", "present_0_key"},
		// No names in common: by the order, where types and sizes fit.
		{"cache_a cache_b/half", "logits hidden/wide new_a new_b/half", "new_a new_b"},
		// Two outputs have the key: by the order.
		{"past_0 past_1", "logits present_0 present.0", "present_0 present.0"},
		{"ids mask", "logits", ""},
		{"cache_a cache_b", "logits new_a", "error: 2 inputs like \"cache_a\" are a cache, and 1 outputs can be: they cannot be told which belongs to which"},
		{"cache_a cache_b/half", "logits new_b/half new_a", "error: input \"cache_a\" is a cache, and no output belongs to it"},
		{"cache_a", "logits other/wide", "error: 1 inputs like \"cache_a\" are a cache, and 0 outputs can be: they cannot be told which belongs to which"},
	} {
		caches, err := findCaches(infos(c.inputs), infos(c.outputs), "logits")
		var got []string
		for _, c := range caches {
			got = append(got, c.present)
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = fmt.Sprintf("error: %v", err)
		}
		if text != c.want {
			t.Errorf("%s with %s: %s, want %s", c.inputs, c.outputs, text, c.want)
		}
	}
}

// TestViews are contiguous at the beginning of the buffer, for each length.
func TestViews(t *testing.T) {
	c := cache{past: ort.Info{Name: "past", DType: tensor.Float16}, shape: tensor.Shape{2, 1, 3, 0, 4}, axis: 3}
	buffer := make([]byte, 2*3*5*4*2)
	for n := range 6 {
		v, err := c.view(buffer, n)
		if err != nil || !v.Shape.Equal(tensor.Shape{2, 1, 3, int64(n), 4}) || len(v.Data) != 48*n {
			t.Errorf("%d positions: %v with %d bytes, %v", n, v.Shape, len(v.Data), err)
		}
	}
	if c.shape[3] != 0 {
		t.Error("a view changed the cache")
	}
}
