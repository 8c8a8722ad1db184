package dataset

import (
	"fmt"
	"slices"
	"strings"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// IsPast reports whether an input is a cache of keys or values.
func IsPast(in ort.Info) bool {
	name := strings.ToLower(in.Name)
	return in.DType.IsFloat() && len(in.Dims) >= 3 &&
		(strings.HasPrefix(name, "past_") || strings.HasPrefix(name, "past.") || strings.HasPrefix(name, "cache"))
}

// PastAxes returns which open axes of a cache are the batch (-1: it is fixed) and
// the positions: [batch, heads, past, width], or [2, batch, heads, past, width]
// where keys and values are one tensor. Names decide, else the order.
func PastAxes(in ort.Info) (batch, past int, err error) {
	batch, past = -1, -1
	var open []int
	for i, d := range in.Dims {
		name := ""
		if i < len(in.Symbols) {
			name = strings.ToLower(in.Symbols[i])
		}
		switch {
		case d >= 0:
		case strings.Contains(name, "past"):
			past = i
		case strings.Contains(name, "batch") && batch < 0:
			batch = i
		default:
			open = append(open, i)
		}
	}
	if batch < 0 && len(open) > 0 && (open[0] == 0 || open[0] < past || len(open) > 1) {
		batch, open = open[0], open[1:]
	}
	if past < 0 && len(open) > 0 {
		past, open = open[0], open[1:]
	}
	switch {
	case past < 0:
		return 0, 0, fmt.Errorf("input %q is a cache of fixed size (%s)", in.Name, in)
	case len(open) > 0:
		return 0, 0, fmt.Errorf("input %q is a cache whose axes cannot be told apart (%s)", in.Name, in)
	}
	return batch, past, nil
}

// emptyPast returns a cache with no positions, of one sample.
func emptyPast(in ort.Info) (tensor.Tensor, error) {
	batch, past, err := PastAxes(in)
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("no data: %w", err)
	}
	shape := tensor.Shape(slices.Clone(in.Dims))
	shape[past] = 0
	if batch >= 0 {
		shape[batch] = 1
	} else if len(shape) == 4 {
		shape[0] = 1 // a sample is one, whatever batch the model wants
	}
	return tensor.New(in.DType, shape)
}
