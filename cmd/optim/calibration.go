package main

import (
	"fmt"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/onnx"
)

// calibration opens data that a model is observed on: at most so many samples, from all over
// a text, the two texts of a pair one by one.
func (d *dataFlags) calibration(source string, info dataset.ModelInfo, m *onnx.Model, samples int, seed int64) (*dataset.Set, error) {
	read, err := d.options()
	if err != nil {
		return nil, err
	}
	read.Samples, read.Seed, read.SplitPairs, read.Spread = samples, seed, true, true
	read.Vocab, read.PositionRows = inspect.Tables(m)
	set, err := dataset.Open(source, info, read)
	return set, badInput(err)
}

// fewSamples is how many calibration samples are too few to go unsaid.
const fewSamples = 8

// doubts says what makes the ranges that calibration found worth little.
func doubts(g *onnx.Graph, r *calibrate.Result) []string {
	var out []string
	if r.Samples < fewSamples {
		out = append(out, fmt.Sprintf("%d calibration samples are few: what they do not show is cut off; 32 and more are usual", r.Samples))
	}
	index := onnx.NewIndex(g)
	for _, v := range g.Inputs {
		o := r.Observations[v.Name]
		for _, n := range index.Consumers(v.Name) { // a node that only moves the input about is observed in its place
			if o == nil && n.Is("Flatten", "Reshape", "Transpose", "Identity", "Unsqueeze", "Squeeze", "Cast") {
				o = r.Observations[n.Output(0)]
			}
		}
		if o != nil && o.Min == o.Max {
			out = append(out, fmt.Sprintf("all calibration values of input %q are %v: ranges say nothing about other data", v.Name, o.Min))
		}
	}
	return out
}
