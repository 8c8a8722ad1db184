package dataset

import (
	"fmt"
	"maps"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// Fit returns inputs with the float types that a model wants: those of a data
// set that was read for a model in float32 serve the same model in half
// precision, too. Nothing is copied where the types are the same.
func Fit(in map[string]tensor.Tensor, want []ort.Info) (map[string]tensor.Tensor, error) {
	out, own := in, false
	for _, info := range want {
		t, ok := in[info.Name]
		if !ok || t.DType == info.DType || !Halved(t.DType, info.DType) && !Halved(info.DType, t.DType) {
			continue
		}
		c, err := tensor.Convert(t, info.DType)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", info.Name, err)
		}
		if !own {
			out, own = maps.Clone(in), true
		}
		out[info.Name] = c
	}
	return out, nil
}

// Halved reports whether half is a type of 16 bits that stands for float32.
func Halved(full, half tensor.DType) bool {
	return full == tensor.Float32 && (half == tensor.Float16 || half == tensor.BFloat16)
}
