package profile_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/bench/profile"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// read returns a model file's bytes.
func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, b []byte) *onnx.Model {
	t.Helper()
	m, err := onnx.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// subject is what Run is given.
type subject struct {
	open   func(ort.Options) (*ort.Session, error)
	o      ort.Options
	inputs map[string]tensor.Tensor
	runs   int
	m      *onnx.Model
}

// subjectOf is a model in memory with seeded inputs.
func subjectOf(t *testing.T, b []byte, o ort.Options) subject {
	t.Helper()
	m := parse(t, b)
	return subject{
		open: func(o ort.Options) (*ort.Session, error) { return orttest.Runtime(t).OpenBytes(b, o) },
		o:    o, runs: 3, m: m,
		inputs: onnxtest.Inputs(t, m, 1, map[string]int64{"batch": 1, "sequence": 16}),
	}
}

func run(t *testing.T, s subject) profile.Profile {
	t.Helper()
	p, err := profile.Run(context.Background(), s.open, s.o, s.inputs, s.runs, s.m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// flagged counts the nodes that could be integer, by operator.
func flagged(p profile.Profile) map[string]int {
	out := map[string]int{}
	for _, n := range p.Nodes {
		if n.CouldBeInteger {
			out[n.Op]++
		}
	}
	return out
}

// dynamic returns a model in integers.
func dynamic(t *testing.T, source []byte) []byte {
	t.Helper()
	m := parse(t, source)
	if _, err := quant.Prepare(m, &quant.Options{}); err != nil {
		t.Fatal(err)
	}
	target, err := quant.ParseTarget("vnni")
	if err != nil {
		t.Fatal(err)
	}
	o := &quant.Options{Format: quant.Int8, Method: quant.Dynamic, Form: quant.AutoForm, Bits: 8, Target: target}
	if _, err := quant.Quantize(context.Background(), m, o, quant.Observations{}, 2); err != nil {
		t.Fatal(err)
	}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRealModels: products with weights are flagged while they are float, those
// of two activations never, however the weights are held.
func TestRealModels(t *testing.T) {
	root := orttest.Root(t)
	type counts = map[string]int
	for _, c := range []struct {
		file         string
		float, after counts // flagged before and after quantization
		activations  int    // products of two activations
	}{
		{"testdata/models/digits-mlp/digits-mlp.onnx", counts{"FusedGemm": 2, "Gemm": 1}, counts{}, 0},
		{"testdata/models/mnist-cnn/mnist-cnn.onnx", counts{"Conv": 6, "Gemm": 1}, counts{"Conv": 6}, 0},
		{"testdata/models/tinygpt/tinygpt.onnx", counts{"Gemm": 16, "MatMul": 1}, counts{}, 8},
		{"testdata/models/tinygpt/tinygpt-dynamo.onnx", counts{"Gemm": 16, "MatMul": 1}, counts{}, 8},
		{"../shared/models/minilm/minilm.onnx", counts{"MatMul": 36}, counts{}, 12},
	} {
		path := filepath.Join(root, c.file)
		if _, err := os.Stat(path); err != nil && strings.HasPrefix(c.file, "..") {
			continue
		}
		b := read(t, path)
		for _, o := range []ort.Options{{Threads: 2}, {Threads: 1, NoPrepack: true}} {
			p := run(t, subjectOf(t, b, o))
			if got := flagged(p); !maps.Equal(got, c.float) {
				t.Errorf("%s, %+v: flagged %v, want %v", c.file, o, got, c.float)
			}
			products := 0
			for _, n := range p.Nodes {
				if strings.Contains(n.Op, "MatMul") && !n.CouldBeInteger {
					products++
				}
			}
			if products != c.activations {
				t.Errorf("%s: %d products of activations, want %d", c.file, products, c.activations)
			}
			consistent(t, p)
		}
		if got := flagged(run(t, subjectOf(t, dynamic(t, b), ort.Options{Threads: 2}))); !maps.Equal(got, c.after) {
			t.Errorf("%s in integers: flagged %v, want %v", c.file, got, c.after)
		}
	}
}

// consistent checks that the parts of a profile add up.
func consistent(t *testing.T, p profile.Profile) {
	t.Helper()
	var sum, shares, perOp, could float64
	nodes := 0
	for _, n := range p.Nodes {
		sum, shares = sum+n.MS, shares+n.Share
		if n.MS < 0 || n.Calls != 1 {
			t.Errorf("%+v", n)
		}
		if n.CouldBeInteger {
			could += n.Share
		}
	}
	for _, o := range p.Operators {
		perOp += o.MS
		nodes += o.Nodes
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9*max(1, b) }
	if p.Runs != 3 || p.KernelMS <= 0 || p.RunMS <= 0 || p.ProfilerMS < 0 || !near(sum, p.KernelMS) || !near(perOp, p.KernelMS) || !near(shares, 1) ||
		!near(could, p.CouldBeInteger) || nodes != len(p.Nodes) || p.NodesPerProvider["cpu"] != nodes {
		t.Errorf("%d runs, %g ms: nodes %g, operators %g, shares %g; %d of %d nodes; %v",
			p.Runs, p.KernelMS, sum, perOp, shares, nodes, len(p.Nodes), p.NodesPerProvider)
	}
	if !slices.IsSortedFunc(p.Nodes, func(a, b profile.Node) int { return cmp.Compare(b.MS, a.MS) }) {
		t.Error("the nodes are not sorted")
	}
}

// made returns a model of those nodes over x, from which y is made.
func made(t *testing.T, dims []int64, nodes []*onnx.Node, constants ...*onnx.Tensor) []byte {
	t.Helper()
	m := onnxtest.Model(21, &onnx.Graph{Nodes: nodes, Initializers: constants,
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, dims...)},
		Outputs: []*onnx.ValueInfo{onnxtest.Output("y")}})
	m.IRVersion = 10
	m.SetOpset("com.microsoft", 1)
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCouldBeInteger looks at operators and forms that the real models lack.
func TestCouldBeInteger(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(name string, dims ...int64) *onnx.Tensor { return onnxtest.Random(r, name, -1, 1, dims...) }
	node := func(op string, in []string, attrs ...*onnx.Attribute) *onnx.Node {
		return onnx.NewNode(op, "n", in, []string{"y"}, attrs...)
	}
	microsoft := func(n *onnx.Node) *onnx.Node { n.Domain = "com.microsoft"; return n }
	in := func(names ...string) []string { return names }
	codes := onnx.NewTensor("q", tensor.Of(tensor.Int8, tensor.Shape{8, 4}, make([]int8, 32)))
	blocks := []*onnx.Tensor{onnx.NewTensor("b", tensor.Of(tensor.Uint8, tensor.Shape{4, 1, 16}, make([]uint8, 64))), random("s", 4, 1)}
	bits := func(level int64) *onnx.Node {
		return microsoft(node("MatMulNBits", in("x", "b", "s"), onnx.IntAttr("K", 32), onnx.IntAttr("N", 4), onnx.IntAttr("bits", 4),
			onnx.IntAttr("block_size", 32), onnx.IntAttr("accuracy_level", level)))
	}
	off, packed := ort.Options{Threads: 1, GraphOpt: ort.GraphOptOff, NoPrepack: true}, ort.Options{Threads: 1}
	for name, c := range map[string]struct {
		model []byte
		o     ort.Options
		op    string
		want  bool
	}{
		"square Gemm with a full bias": {made(t, []int64{8, 8}, []*onnx.Node{node("Gemm", in("x", "w", "c"))}, random("w", 8, 8), random("c", 8, 8)), packed, "Gemm", true},
		"Gemm of activations":          {made(t, []int64{8, 8}, []*onnx.Node{node("Gemm", in("x", "x", "c"))}, random("c", 8)), packed, "Gemm", false},
		"weight behind codes":          {made(t, []int64{2, 8}, []*onnx.Node{onnx.NewNode("DequantizeLinear", "d", in("q", "s"), in("w")), node("MatMul", in("x", "w"))}, codes, random("s")), off, "MatMul", true},
		"LSTM":                         {made(t, []int64{5, 1, 4}, []*onnx.Node{node("LSTM", in("x", "w", "r"), onnx.IntAttr("hidden_size", 3))}, random("w", 1, 12, 4), random("r", 1, 12, 3)), packed, "LSTM", true},
		"LSTM, not packed":             {made(t, []int64{5, 1, 4}, []*onnx.Node{node("LSTM", in("x", "w", "r"), onnx.IntAttr("hidden_size", 3))}, random("w", 1, 12, 4), random("r", 1, 12, 3)), off, "LSTM", true},
		"LSTM of activations":          {made(t, []int64{1, 12, 4}, []*onnx.Node{node("LSTM", in("x", "x", "r"), onnx.IntAttr("hidden_size", 3))}, random("r", 1, 12, 3)), packed, "LSTM", false},
		"GRU has no integer kernel":    {made(t, []int64{5, 1, 4}, []*onnx.Node{node("GRU", in("x", "w", "r"), onnx.IntAttr("hidden_size", 3))}, random("w", 1, 9, 4), random("r", 1, 9, 3)), packed, "GRU", false},
		"Attention":                    {made(t, []int64{1, 5, 8}, []*onnx.Node{microsoft(node("Attention", in("x", "w", "b"), onnx.IntAttr("num_heads", 2)))}, random("w", 8, 24), random("b", 24)), packed, "Attention", true},
		"Attention, not packed":        {made(t, []int64{1, 5, 8}, []*onnx.Node{microsoft(node("Attention", in("x", "w", "b"), onnx.IntAttr("num_heads", 2)))}, random("w", 8, 24), random("b", 24)), off, "Attention", true},
		"heads alone":                  {made(t, []int64{1, 5, 8}, []*onnx.Node{microsoft(node("MultiHeadAttention", in("x", "x", "x"), onnx.IntAttr("num_heads", 2)))}), packed, "MultiHeadAttention", false},
		"blocks in float":              {made(t, []int64{2, 32}, []*onnx.Node{bits(0)}, blocks...), packed, "MatMulNBits", true},
		"blocks in integers":           {made(t, []int64{2, 32}, []*onnx.Node{bits(4)}, blocks...), packed, "MatMulNBits", false},
		"elementwise":                  {made(t, []int64{2, 32}, []*onnx.Node{node("Mul", in("x", "s"))}, random("s", 2, 32)), packed, "Mul", false},
		"scaled product":               {made(t, []int64{2, 8}, []*onnx.Node{onnx.NewNode("MatMul", "m", in("x", "w"), in("h")), node("Mul", in("h", "s"))}, random("w", 8, 4), random("s")), packed, "FusedMatMul", true},
	} {
		p := run(t, subjectOf(t, c.model, c.o))
		i := slices.IndexFunc(p.Nodes, func(n profile.Node) bool { return n.Op == c.op })
		if i < 0 || p.Nodes[i].CouldBeInteger != c.want {
			t.Errorf("%s: %+v", name, p.Nodes)
		}
	}
}

// TestBodies: a body's node is called once for each turn, and its weight, which
// the profile takes for an activation, is found in the graph.
func TestBodies(t *testing.T) {
	const turns = 4
	body := &onnx.Graph{Name: "body",
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("i", tensor.Int64), onnxtest.Value("c", tensor.Bool), onnxtest.Value("s", tensor.Float32, 2, 8)},
		Outputs: []*onnx.ValueInfo{onnxtest.Value("c2", tensor.Bool), onnxtest.Value("s2", tensor.Float32, 2, 8)},
		Nodes: []*onnx.Node{
			onnx.NewNode("Identity", "id", []string{"c"}, []string{"c2"}),
			onnx.NewNode("MatMul", "mm", []string{"s", "w"}, []string{"s2"}),
		}}
	b := made(t, []int64{2, 8}, []*onnx.Node{onnx.NewNode("Loop", "loop", []string{"turns", "true", "x"}, []string{"y"}, onnx.GraphAttr("body", body))},
		onnxtest.Random(rand.New(rand.NewPCG(1, 2)), "w", -0.1, 0.1, 8, 8),
		onnx.NewTensor("turns", tensor.Of(tensor.Int64, tensor.Shape{}, []int64{turns})),
		onnx.NewTensor("true", tensor.Tensor{DType: tensor.Bool, Data: []byte{1}}))
	for _, known := range []bool{true, false} {
		s := subjectOf(t, b, ort.Options{Threads: 1, NoPrepack: true})
		if !known {
			s.m = nil
		}
		p := run(t, s)
		i := slices.IndexFunc(p.Nodes, func(n profile.Node) bool { return n.Op == "MatMul" })
		if i < 0 || p.Nodes[i].Calls != turns || p.Nodes[i].CouldBeInteger != known {
			t.Errorf("graph known %v: %+v", known, p.Nodes)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	good := subjectOf(t, read(t, filepath.Join(orttest.Root(t), "testdata/models/digits-mlp/digits-mlp.onnx")), ort.Options{Threads: 1})
	ended, end := context.WithCancel(context.Background())
	end()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		ctx    context.Context
		change func(*subject)
		want   string
	}{
		"no runs":   {context.Background(), func(s *subject) { s.runs = 0 }, "no runs"},
		"no inputs": {context.Background(), func(s *subject) { s.inputs = nil }, "is missing"},
		"open": {context.Background(), func(s *subject) {
			s.open = func(ort.Options) (*ort.Session, error) { return nil, broken }
		}, "broken"},
		"cancelled": {ended, func(*subject) {}, context.Canceled.Error()},
	} {
		s := good
		c.change(&s)
		if p, err := profile.Run(c.ctx, s.open, s.o, s.inputs, s.runs, s.m); err == nil || !strings.Contains(err.Error(), c.want) || p.Nodes != nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}
