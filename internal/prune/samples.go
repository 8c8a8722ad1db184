package prune

import (
	"context"
	"slices"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/workload"
)

// Samples makes two inputs up for Find, of different sizes wherever the model takes
// them: two samples, and three of other lengths.
func Samples(ctx context.Context, rt *ort.Runtime, m *onnx.Model, o ort.Options) (in, other map[string]tensor.Tensor, err error) {
	folder := m.Folder()
	file, err := m.Weightless(folder)
	if err != nil {
		return nil, nil, err
	}
	o.ExternalFolder = folder
	s, err := rt.OpenBytes(file, o)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	model := workload.Model{Graph: m, Session: s}
	first, err := workload.Find(ctx, model, "", dataset.Options{}, workload.Small)
	if err != nil {
		return nil, nil, err
	}
	longer := first.Inputs
	read := dataset.Options{Dims: longerSizes(s, first.Inputs)}
	if found, err := workload.Find(ctx, model, "", read, workload.Small); err == nil {
		longer = found.Inputs
	}
	return stacked(ctx, s, first.Inputs, 2), stacked(ctx, s, longer, 3), ctx.Err()
}

// longerSizes adds one to the size of each named dimension.
func longerSizes(s *ort.Session, in map[string]tensor.Tensor) map[string]int64 {
	out := map[string]int64{}
	for _, info := range s.Inputs() {
		for i, name := range info.Symbols {
			if t := in[info.Name]; name != "" && i < len(t.Shape) {
				out[name] = t.Shape[i] + 1
			}
		}
	}
	return out
}

// stacked repeats a sample along the open first axes of its inputs; a model that does
// not run with that gets the sample as it is.
func stacked(ctx context.Context, s *ort.Session, in map[string]tensor.Tensor, n int) map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for _, info := range s.Inputs() {
		t, ok := in[info.Name]
		if !ok {
			continue
		}
		if len(info.Dims) > 0 && info.Dims[0] < 0 && t.Shape[0] == 1 {
			t.Shape, t.Data = t.Shape.Clone(), slices.Repeat(t.Data, n)
			t.Shape[0] = int64(n)
		}
		out[info.Name] = t
	}
	if _, err := s.RunContext(ctx, out, nil); err != nil {
		return in
	}
	return out
}
