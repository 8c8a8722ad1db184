package prune

import (
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// exposed opens a session of m whose outputs are the named values.
func exposed(rt *ort.Runtime, m *onnx.Model, names []string, o ort.Options) (*ort.Session, error) {
	graph := *m.Graph
	graph.Outputs = nil
	for _, v := range names {
		graph.Outputs = append(graph.Outputs, &onnx.ValueInfo{Name: v})
	}
	copied := *m
	copied.Graph = &graph
	o.ExternalFolder = m.Folder()
	file, err := copied.Weightless(o.ExternalFolder)
	if err != nil {
		return nil, err
	}
	return rt.OpenBytes(file, o)
}

// inputsOf are the inputs of a session from a batch.
func inputsOf(s *ort.Session, batch map[string]tensor.Tensor) map[string]tensor.Tensor {
	in := map[string]tensor.Tensor{}
	for _, info := range s.Inputs() {
		in[info.Name] = batch[info.Name]
	}
	return in
}
