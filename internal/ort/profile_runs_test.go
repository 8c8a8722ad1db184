package ort_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// loopModel multiplies x by w and then, n times, by w again in a Loop. Both
// products have the same name.
func loopModel(t *testing.T, n int64) []byte {
	t.Helper()
	w := onnxtest.Random(rand.New(rand.NewPCG(1, 1)), "w", -0.1, 0.1, 32, 32)
	body := &onnx.Graph{Name: "body",
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("i", tensor.Int64), onnxtest.Value("c", tensor.Bool), onnxtest.Value("s", tensor.Float32, 8, 32)},
		Outputs: []*onnx.ValueInfo{onnxtest.Value("c2", tensor.Bool), onnxtest.Value("s2", tensor.Float32, 8, 32)},
		Nodes: []*onnx.Node{
			onnx.NewNode("Identity", "go on", []string{"c"}, []string{"c2"}),
			onnx.NewNode("MatMul", "mm", []string{"s", "w"}, []string{"s2"}),
		}}
	m := onnxtest.Model(13, &onnx.Graph{
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, 8, 32)},
		Outputs: []*onnx.ValueInfo{onnxtest.Value("y", tensor.Float32, 8, 32)},
		Initializers: []*onnx.Tensor{w, onnx.NewTensor("n", tensor.Of(tensor.Int64, tensor.Shape{}, []int64{n})),
			onnx.NewTensor("true", tensor.Tensor{DType: tensor.Bool, Data: []byte{1}})},
		Nodes: []*onnx.Node{
			onnx.NewNode("MatMul", "mm", []string{"x", "w"}, []string{"h"}),
			onnx.NewNode("Loop", "loop", []string{"n", "true", "h"}, []string{"y"}, onnx.GraphAttr("body", body)),
		}})
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestProfileRuns profiles a loop: its body's nodes are called once for each
// turn and run, and their time is not the loop's, too.
func TestProfileRuns(t *testing.T) {
	const turns, runs = 5, 3
	model := loopModel(t, turns)
	x, err := tensor.New(tensor.Float32, tensor.Shape{8, 32})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []ort.Options{{Threads: 1}, {Threads: 2, InterThreads: 2}, {Threads: 1, NoPrepack: true}} {
		open := func(o ort.Options) (*ort.Session, error) { return orttest.Runtime(t).OpenBytes(model, o) }
		trace, err := ort.ProfileRuns(context.Background(), open, o, map[string]tensor.Tensor{"x": x}, 2, runs)
		if err != nil {
			t.Fatal(err)
		}
		var sum time.Duration
		calls := map[string]int{}
		for _, n := range trace.Nodes {
			if sum += n.Total; n.Median > n.Total {
				t.Errorf("%+v", n)
			}
			calls[fmt.Sprint(n.Op, n.Index)] += n.Calls
			wantInputs, wantBytes := []ort.Slot{{DType: tensor.Float32, Shape: tensor.Shape{8, 32}}}, int64(0)
			if o.NoPrepack { // then the weight is seen, and as a constant where it is one of the same graph
				wantInputs = append(wantInputs, ort.Slot{DType: tensor.Float32, Shape: tensor.Shape{32, 32}})
				wantBytes = 4 * 32 * 32 * int64(1-n.Index)
			}
			if n.Op == "MatMul" && (n.Name != "mm" || !reflect.DeepEqual(n.Inputs, wantInputs) || n.ConstantBytes != wantBytes) {
				t.Errorf("%+v: %+v", o, n)
			}
		}
		if want := map[string]int{"MatMul0": runs, "MatMul1": runs * turns, "Identity0": runs * turns, "Loop1": runs}; !reflect.DeepEqual(calls, want) {
			t.Errorf("%+v: calls %v, want %v", o, calls, want)
		}
		if trace.Runs != runs || sum > trace.Wall || len(trace.Plain) != runs || !slices.IsSorted(trace.Plain) || trace.Plain[0] <= 0 {
			t.Errorf("%+v: %d runs, kernels of %v in %v, without profiler %v", o, trace.Runs, sum, trace.Wall, trace.Plain)
		}
	}
}

// TestProfileStrings: strings cannot be bound, and are profiled all the same.
func TestProfileStrings(t *testing.T) {
	m := onnxtest.Model(13, &onnx.Graph{
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("x", tensor.String, -1)},
		Outputs: []*onnx.ValueInfo{onnxtest.Value("y", tensor.String, -1)},
		Nodes:   []*onnx.Node{onnx.NewNode("Identity", "n", []string{"x"}, []string{"y"})}})
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	open := func(o ort.Options) (*ort.Session, error) { return orttest.Runtime(t).OpenBytes(b, o) }
	in := map[string]tensor.Tensor{"x": {DType: tensor.String, Shape: tensor.Shape{2}, Strings: []string{"a", "b"}}}
	trace, err := ort.ProfileRuns(context.Background(), open, ort.Options{GraphOpt: ort.GraphOptOff}, in, 1, 2)
	if err != nil || trace.Runs != 2 || len(trace.Plain) != 2 || len(trace.Nodes) != 1 || trace.Nodes[0].Calls != 2 {
		t.Errorf("%+v, %v", trace, err)
	}
}
