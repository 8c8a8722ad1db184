package main

import (
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// opsetVersion is the version of the default operator set that models are
// written for: the first with LayerNormalization, which most exporters write.
const opsetVersion = 17

// graph collects nodes and weights of a model under construction. Every method
// that adds a node returns the name of its output.
type graph struct {
	g    *onnx.Graph
	seed uint64
	n    int             // nodes so far, for unique names
	have map[string]bool // constants that exist already, by name
}

func newGraph(name string, seed uint64) *graph {
	return &graph{g: &onnx.Graph{Name: name}, seed: seed, have: map[string]bool{}}
}

func (g *graph) model() *onnx.Model {
	return &onnx.Model{
		IRVersion:    8, // the IR version that came with operator set 15 to 18
		Opsets:       []onnx.Opset{{Version: opsetVersion}},
		ProducerName: "genmodel",
		Graph:        g.g,
	}
}

func value(name string, d tensor.DType, dims ...onnx.Dim) *onnx.ValueInfo {
	return &onnx.ValueInfo{Name: name, Type: &onnx.Type{DType: d, HasShape: true, Dims: dims}}
}

func symbol(s string) onnx.Dim { return onnx.Dim{Symbol: s} }
func fixed(n int64) onnx.Dim   { return onnx.Dim{Value: n} }

func (g *graph) node(op string, in []string, attrs ...*onnx.Attribute) string {
	return g.nodes(op, 1, in, attrs...)[0]
}

// nodes adds a node with several outputs.
func (g *graph) nodes(op string, outputs int, in []string, attrs ...*onnx.Attribute) []string {
	g.n++
	name := fmt.Sprintf("%s_%d", op, g.n)
	out := make([]string, outputs)
	for i := range out {
		out[i] = fmt.Sprintf("%s_out%d", name, i)
	}
	g.g.Nodes = append(g.g.Nodes, onnx.NewNode(op, name, in, out, attrs...))
	return out
}

// output makes value v the graph's output under the name given.
func (g *graph) output(v, name string, d tensor.DType, dims ...onnx.Dim) {
	last := g.g.Nodes[len(g.g.Nodes)-1]
	if last.Outputs[0] != v {
		panic("genmodel: output of " + v + ", which is not the last value")
	}
	last.Outputs[0] = name
	g.g.Outputs = append(g.g.Outputs, value(name, d, dims...))
}

// weight adds a float32 initializer of normally distributed numbers.
func (g *graph) weight(name string, deviation float64, shape ...int64) string {
	fill := normal(tensorSeed(g.seed, name), deviation)
	g.g.Initializers = append(g.g.Initializers, onnx.NewLazyTensor(name, tensor.Float32, shape, fill))
	return name
}

// full adds a float32 initializer whose elements are all v.
func (g *graph) full(name string, v float32, n int64) string {
	data := make([]float32, n)
	for i := range data {
		data[i] = v
	}
	g.add(onnx.NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape{n}, data)))
	return name
}

// scalar adds a float32 constant, once for each name.
func (g *graph) scalar(name string, v float32) string {
	g.add(onnx.NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape{}, []float32{v})))
	return name
}

// ints adds a list of int64, once for each name.
func (g *graph) ints(name string, v ...int64) string {
	g.add(onnx.NewTensor(name, tensor.Of(tensor.Int64, tensor.Shape{int64(len(v))}, v)))
	return name
}

// index adds an int64 scalar, once for each name.
func (g *graph) index(name string, v int64) string {
	g.add(onnx.NewTensor(name, tensor.Of(tensor.Int64, tensor.Shape{}, []int64{v})))
	return name
}

func (g *graph) add(t *onnx.Tensor) {
	if !g.have[t.Name] {
		g.have[t.Name] = true
		g.g.Initializers = append(g.g.Initializers, t)
	}
}
