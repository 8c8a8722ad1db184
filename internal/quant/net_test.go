package quant_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// net builds a small model node by node.
type net struct {
	m    *onnx.Model
	rand *rand.Rand
	made int
}

// newNet returns an empty model of an operator set.
func newNet(opset int64) *net {
	return &net{
		m: &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: opset}}, Graph: &onnx.Graph{Name: "g"}},
		// Every model has the same weights each time it is built.
		rand: rand.New(rand.NewPCG(7, 7)),
	}
}

// input adds a graph input of floats.
func (n *net) input(name string, dims ...int64) string {
	n.m.Graph.Inputs = append(n.m.Graph.Inputs, &onnx.ValueInfo{Name: name, Type: onnx.TensorType(tensor.Float32, dims...)})
	return name
}

// output makes values graph outputs, whose type the runtime infers.
func (n *net) output(names ...string) *onnx.Model {
	for _, name := range names {
		n.m.Graph.Outputs = append(n.m.Graph.Outputs, &onnx.ValueInfo{Name: name})
	}
	return n.m
}

// op adds a node with one output and returns that.
func (n *net) op(op string, in []string, attrs ...*onnx.Attribute) string {
	n.made++
	name := fmt.Sprintf("%s_%d", strings.ToLower(op), n.made)
	n.m.Graph.Nodes = append(n.m.Graph.Nodes, onnx.NewNode(op, name+"_node", in, []string{name}, attrs...))
	return name
}

// last is the node that was added last.
func (n *net) last() *onnx.Node { return n.m.Graph.Nodes[len(n.m.Graph.Nodes)-1] }

// normal draws values around 0.
func (n *net) normal(count int64, deviation float64) []float32 {
	v := make([]float32, count)
	for i := range v {
		v[i] = float32(n.rand.NormFloat64() * deviation)
	}
	return v
}

// weight adds a float32 initializer with values around 0.
func (n *net) weight(name string, dims ...int64) string {
	count, err := tensor.Shape(dims).Elements()
	if err != nil {
		panic(err)
	}
	return n.floats(name, n.normal(count, 0.2), dims...)
}

// floats adds a float32 initializer.
func (n *net) floats(name string, v []float32, dims ...int64) string {
	return n.tensor(name, tensor.Of(tensor.Float32, tensor.Shape(dims), v))
}

// ints adds an int64 initializer, a vector.
func (n *net) ints(name string, v ...int64) string {
	return n.tensor(name, tensor.Of(tensor.Int64, tensor.Shape{int64(len(v))}, v))
}

func (n *net) tensor(name string, t tensor.Tensor) string {
	n.m.Graph.Initializers = append(n.m.Graph.Initializers, onnx.NewTensor(name, t))
	return name
}

// options are the defaults of the command, for a processor with VNNI.
func options(t testing.TB, method quant.Method, change ...func(*quant.Options)) *quant.Options {
	t.Helper()
	target, err := quant.ParseTarget("vnni")
	if err != nil {
		t.Fatal(err)
	}
	o := &quant.Options{
		Format: quant.Int8, Method: method, Form: quant.AutoForm, Bits: 8, BlockSize: 128, Embeddings: true,
		Calibrator: quant.AutoCalibrator, Smooth: quant.SmoothAuto, Target: target,
	}
	for _, f := range change {
		f(o)
	}
	return o
}

func marshal(t testing.TB, m *onnx.Model) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, b []byte) *onnx.Model {
	t.Helper()
	m, err := onnx.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// session opens a model that is closed when the test ends.
func session(t testing.TB, b []byte) *ort.Session {
	t.Helper()
	return orttest.SessionOf(t, b, ort.Options{Threads: 1, NoSpin: true})
}

func pattern(s string) []*regexp.Regexp { return []*regexp.Regexp{regexp.MustCompile(s)} }
