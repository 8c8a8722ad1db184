package prune

import (
	"context"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/train"
)

// Influence is how much each layer changes what goes through it: 1 − the mean cosine of
// a position before and after (Men et al., ShortGPT), over the positions of all samples
// that count.
func Influence(ctx context.Context, rt *ort.Runtime, m *onnx.Model, layers []Layer, rows *train.Rows, o ort.Options) ([]float64, error) {
	names := []string{layers[0].Begin}
	for _, l := range layers {
		names = append(names, l.End)
	}
	s, err := exposed(rt, m, names, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	batch, err := rows.Batch(1)
	if err != nil {
		return nil, err
	}
	counted := batch[train.Counted].Data
	sum, n := make([]float64, len(layers)), 0
	for sample := range rows.Len() {
		rows.Copy(batch, 0, sample)
		seen, err := s.RunContext(ctx, inputsOf(s, batch), names)
		if err != nil {
			return nil, err
		}
		for p, c := range counted {
			if c == 0 {
				continue
			}
			n++
			for i := range layers {
				sum[i] += 1 - tensor.Cosine(position(seen[names[i]], p, len(counted)), position(seen[names[i+1]], p, len(counted)))
			}
		}
	}
	for i := range sum {
		sum[i] /= float64(max(n, 1))
	}
	return sum, nil
}

// position is the part of a value that belongs to one of so many positions.
func position(t tensor.Tensor, p, of int) []float32 {
	v := tensor.As[float32](t.Data)
	width := len(v) / of
	return v[p*width : (p+1)*width]
}
