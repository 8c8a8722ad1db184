package fold_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

const (
	f32 = tensor.Float32
	i64 = tensor.Int64
)

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func ins(list ...string) []string { return list }

func node(op string, in, out []string, attrs ...*onnx.Attribute) *onnx.Node {
	return onnx.NewNode(op, op+"_"+out[0], in, out, attrs...)
}

// graph is a graph from x to y with these nodes and weights.
func graph(dims []int64, nodes []*onnx.Node, weights ...*onnx.Tensor) *onnx.Graph {
	return &onnx.Graph{Nodes: nodes, Initializers: weights,
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("x", f32, dims...)},
		Outputs: []*onnx.ValueInfo{onnxtest.Output("y")}}
}

func nodes(list ...*onnx.Node) []*onnx.Node { return list }

func dims(v ...int64) []int64 { return v }

// ops lists the operators of a graph, weights its initializers, in order.
func ops(g *onnx.Graph) string {
	list := make([]string, len(g.Nodes))
	for i, n := range g.Nodes {
		list[i] = n.OpType
	}
	return strings.Join(list, " ")
}

func weights(g *onnx.Graph) string {
	list := make([]string, len(g.Initializers))
	for i, x := range g.Initializers {
		list[i] = x.Name
	}
	return strings.Join(list, " ")
}

func marshal(t *testing.T, m *onnx.Model) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// simplify folds m and compares what it computes; it folds a copy, too, and
// compares the bytes.
func simplify(t *testing.T, m *onnx.Model, tol float64, sizes map[string]int64) fold.Report {
	t.Helper()
	in := onnxtest.Inputs(t, m, 1, sizes)
	want := onnxtest.Run(t, m, in)
	twin := onnxtest.Reparse(t, m)
	r, err := fold.Simplify(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Inputs {
		delete(in, x)
	}
	onnxtest.Equal(t, onnxtest.Run(t, onnxtest.Reparse(t, m), in), want, tol)
	if _, err := fold.Simplify(twin); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(marshal(t, m), marshal(t, twin)) {
		t.Error("two runs over one model differ")
	}
	again, err := fold.Simplify(twin)
	if err != nil || again.Constants+again.Identities+again.Folded+again.Merged+len(again.Inputs) > 0 {
		t.Errorf("a second run over its result finds %+v, error %v", again, err)
	}
	return r
}
