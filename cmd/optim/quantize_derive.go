package main

import (
	"context"
	"fmt"
	"slices"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/workload"
)

// derive looks whether convolutions can be quantized without data: their ranges
// follow from the batch normalization of the model. Where they do, the method
// is static, with what was derived as observations.
func (j *quantizeJob) derive(ctx context.Context) (quant.Observations, error) {
	if !j.mayDerive() {
		return nil, nil
	}
	m, err := onnx.Open(j.o.model)
	if err != nil {
		return nil, badInput(err)
	}
	defer m.Close()
	derived, err := quant.Derive(m)
	if err != nil || len(derived) == 0 {
		return nil, err
	}
	static := *j.q
	static.Method = quant.Static
	values, _ := quant.Activations(j.work, &static)
	values = slices.DeleteFunc(values, func(v string) bool { _, ok := derived[v]; return !ok })
	obs, err := j.shaped(ctx, values, derived)
	if err != nil {
		return nil, err
	}
	convolutions := 0
	for _, n := range j.work.Graph.Nodes {
		if n.Is("Conv") && obs[n.Inputs[0]] != nil {
			convolutions++
		}
	}
	if convolutions == 0 {
		return nil, nil
	}
	j.q.Method, j.q.Calibrator = quant.Static, quant.MinMax
	j.said = append(j.said, fmt.Sprintf("the ranges of %d activations follow from batch normalization, not from data: see what it costs with --eval, and give --calib for ranges that were observed", len(obs)))
	return obs, nil
}

// mayDerive reports whether ranges are to be derived, if they can be.
func (j *quantizeJob) mayDerive() bool {
	normalized := slices.ContainsFunc(j.source.Graph.Nodes, func(n *onnx.Node) bool { return n.Is("BatchNormalization") })
	return normalized && j.q.Format == quant.Int8 && quant.Method(j.o.method) == quant.Auto && j.o.calib == ""
}

// shaped makes observations of what was derived, with the shapes that values
// have in a run on made-up inputs; values that do not fit are left out.
func (j *quantizeJob) shaped(ctx context.Context, values []string, derived map[string]quant.Derived) (quant.Observations, error) {
	if len(values) == 0 {
		return nil, nil
	}
	if j.rt == nil {
		var err error
		if j.rt, err = j.runtime(); err != nil {
			return nil, err
		}
	}
	graph := *j.work.Graph
	graph.Outputs = nil
	for _, v := range values {
		graph.Outputs = append(graph.Outputs, &onnx.ValueInfo{Name: v})
	}
	m := *j.work
	m.Graph = &graph
	s, err := calibrate.Open(j.rt, &m, j.sessionOptions())
	if err != nil {
		return nil, badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	defer s.Close()
	read, err := j.o.read.options()
	if err != nil {
		return nil, err
	}
	read.Seed = j.o.write.seed
	found, err := workload.Find(ctx, workload.Model{Graph: j.source, Session: s}, dataset.Random, read, workload.Typical)
	if err != nil {
		return nil, nil // the gate says what the model does not run with
	}
	obs := quant.Observations{}
	for _, v := range values {
		if o, ok := derived[v].Divided(j.divided[v]).Observe(found.Outputs[v].Shape); ok {
			obs[v] = o
		}
	}
	return obs, nil
}
