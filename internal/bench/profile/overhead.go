package profile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// profilerCost returns what the profiler adds to the time of a kernel. Writing
// down shapes, memory and the threads' work falls into the time that it measures:
// one to five microseconds, more than many a kernel takes, and more with more
// threads. So a chain of nodes that negate one number is profiled; the median
// node stands for it.
func profilerCost(ctx context.Context, rt *ort.Runtime, o ort.Options) (time.Duration, error) {
	const nodes, runs = 32, 20
	value := func(i int) string { return fmt.Sprint("v", i) }
	one := func(name string) *onnx.ValueInfo {
		return &onnx.ValueInfo{Name: name, Type: onnx.TensorType(tensor.Float32, 1)}
	}
	g := &onnx.Graph{Name: "chain", Inputs: []*onnx.ValueInfo{one(value(0))}, Outputs: []*onnx.ValueInfo{one(value(nodes))}}
	for i := range nodes {
		g.Nodes = append(g.Nodes, onnx.NewNode("Neg", value(i), []string{value(i)}, []string{value(i + 1)}))
	}
	b, err := (&onnx.Model{IRVersion: 7, Opsets: []onnx.Opset{{Version: 13}}, Graph: g}).Marshal()
	if err != nil {
		return 0, err
	}
	open := func(o ort.Options) (*ort.Session, error) { return rt.OpenBytes(b, o) }
	like := ort.Options{Threads: o.Threads, InterThreads: o.InterThreads, NoSpin: o.NoSpin, GraphOpt: ort.GraphOptOff, Stop: o.Stop}
	in := map[string]tensor.Tensor{value(0): tensor.Of(tensor.Float32, tensor.Shape{1}, []float32{1})}
	t, err := ort.ProfileRuns(ctx, open, like, in, warmup, runs)
	if err != nil {
		return 0, err
	}
	var calls []time.Duration
	for _, n := range t.Nodes {
		calls = append(calls, n.Total/time.Duration(n.Calls))
	}
	slices.Sort(calls)
	return calls[len(calls)/2], nil
}
