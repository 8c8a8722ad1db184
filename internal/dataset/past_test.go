package dataset

import (
	"strings"
	"testing"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// TestPastAxes of the layouts that exporters write, by names and by order.
func TestPastAxes(t *testing.T) {
	for _, c := range []struct {
		dims        []int64
		symbols     []string
		batch, past int
		empty       tensor.Shape
	}{
		{[]int64{-1, 4, -1, 48}, []string{"batch", "", "past_sequence", ""}, 0, 2, tensor.Shape{1, 4, 0, 48}},
		{[]int64{-1, 4, -1, 48}, []string{"", "", "", ""}, 0, 2, tensor.Shape{1, 4, 0, 48}},
		{[]int64{-1, 4, -1, 48}, nil, 0, 2, tensor.Shape{1, 4, 0, 48}},
		{[]int64{-1, 4, -1, 48}, []string{"B", "", "L", ""}, 0, 2, tensor.Shape{1, 4, 0, 48}},
		{[]int64{1, 4, -1, 48}, []string{"", "", "L", ""}, -1, 2, tensor.Shape{1, 4, 0, 48}},
		{[]int64{3, 4, -1, 48}, []string{"", "", "past", ""}, -1, 2, tensor.Shape{1, 4, 0, 48}},
		{[]int64{-1, 4, 48, -1}, []string{"batch_size", "", "", "past_len"}, 0, 3, tensor.Shape{1, 4, 48, 0}},
		{[]int64{2, -1, 12, -1, 64}, []string{"", "batch", "", "past_seq", ""}, 1, 3, tensor.Shape{2, 1, 12, 0, 64}},
		{[]int64{2, -1, 12, -1, 64}, nil, 1, 3, tensor.Shape{2, 1, 12, 0, 64}},
		{[]int64{2, 1, 12, -1, 64}, nil, -1, 3, tensor.Shape{2, 1, 12, 0, 64}},
	} {
		in := ort.Info{Name: "past_0", DType: tensor.Float32, Dims: c.dims, Symbols: c.symbols}
		batch, past, err := PastAxes(in)
		if err != nil || batch != c.batch || past != c.past {
			t.Errorf("%s: axes %d and %d, %v, want %d and %d", in, batch, past, err, c.batch, c.past)
		}
		if e, err := emptyPast(in); err != nil || !e.Shape.Equal(c.empty) || len(e.Data) != 0 {
			t.Errorf("%s: empty %v, %v, want %v", in, e.Shape, err, c.empty)
		}
	}
	for want, in := range map[string]ort.Info{
		"fixed size":             {Dims: []int64{-1, 4, 128, 48}, Symbols: []string{"batch", "", "", ""}},
		"fixed size (float32[1 ": {Dims: []int64{1, 4, 128, 48}},
		"cannot be told apart":   {Dims: []int64{-1, -1, -1, 48}, Symbols: []string{"batch", "heads", "past", ""}},
	} {
		in.Name, in.DType = "past_0", tensor.Float32
		if _, _, err := PastAxes(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
		if _, err := emptyPast(in); err == nil {
			t.Errorf("%s has an empty cache", in)
		}
	}
}
