package dataset

import (
	"testing"

	"optim/internal/ort"
	"optim/internal/tensor"
)

func TestRolesOfInputs(t *testing.T) {
	in := func(name string, d tensor.DType, dims ...int64) ort.Info {
		return ort.Info{Name: name, DType: d, Dims: dims, Symbols: make([]string, len(dims))}
	}
	text := ModelInfo{Inputs: []ort.Info{
		in("attention_mask", tensor.Int64, -1, -1), in("input_ids", tensor.Int64, -1, -1), in("token_type_ids", tensor.Int64, -1, -1),
		in("position_ids", tensor.Int64, -1, -1), in("past_key_values.0.key", tensor.Float32, -1, 4, -1, 8),
		in("use_cache_branch", tensor.Bool, 1), in("pixels", tensor.Float32, -1, 3, -1, -1)}}
	if got := text.IDs(); got != "input_ids" {
		t.Errorf("ids are %q", got)
	}
	for i, want := range []bool{true, false, true, true, true, true, false} {
		if got := text.IsMade(text.Inputs[i]); got != want {
			t.Errorf("%q is made: %t", text.Inputs[i].Name, got)
		}
	}
	// Without ids nothing follows from them, whatever it is called.
	picture := ModelInfo{Inputs: []ort.Info{in("attention_mask", tensor.Float32, -1, -1)}}
	if picture.IDs() != "" || picture.IsMade(picture.Inputs[0]) {
		t.Errorf("ids %q, and %q follows from them", picture.IDs(), picture.Inputs[0].Name)
	}
}
