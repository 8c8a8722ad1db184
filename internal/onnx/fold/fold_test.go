package fold_test

import (
	"path/filepath"
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// big is a weight above the size that may be duplicated.
func big(name string) *onnx.Tensor { return onnxtest.Random(rng(7), name, -1, 1, 32, 16) }

func constant(out string, attr *onnx.Attribute) *onnx.Node {
	return node("Constant", nil, ins(out), attr)
}

func perm(v ...int64) *onnx.Attribute { return onnx.IntListAttr("perm", v...) }

// halves is a weight of zeros in float16, which is large as float32.
func halves(name string) *onnx.Tensor {
	return onnx.NewTensor(name, tensor.Tensor{DType: tensor.Float16, Shape: tensor.Shape{32, 16}, Data: make([]byte, 1024)})
}

var foldCases = []struct {
	name         string
	graph        *onnx.Graph
	ops, weights string
	report       fold.Report
}{
	{"constants", graph(dims(3), nodes(
		constant("a", onnx.TensorAttr("value", onnxtest.Floats("", tensor.Shape{3}, 1, 2, 3))),
		constant("b", onnx.FloatAttr("value_float", 2)),
		constant("c", onnx.FloatListAttr("value_floats", 1, 2, 3)),
		node("Mul", ins("x", "a"), ins("xa")), node("Mul", ins("xa", "b"), ins("xb")),
		node("Mul", ins("xb", "c"), ins("y")))), "Mul Mul Mul", "a b c", fold.Report{Constants: 3}},
	{"integer constants", graph(dims(6), nodes(constant("a", onnx.IntListAttr("value_ints", 2, 3)),
		constant("b", onnx.IntAttr("value_int", 0)), node("Reshape", ins("x", "a"), ins("r")),
		node("Gather", ins("r", "b"), ins("y")))), "Reshape Gather", "a b", fold.Report{Constants: 2}},
	{"constant output", func() *onnx.Graph {
		g := graph(dims(2), nodes(constant("c", onnx.FloatAttr("value_float", 2)), node("Abs", ins("x"), ins("y"))))
		g.Outputs = append(g.Outputs, onnxtest.Output("c"))
		return g
	}(), "Constant Abs", "", fold.Report{}},
	{"identities", graph(dims(2), nodes(node("Identity", ins("x"), ins("a")), node("Identity", ins("a"), ins("b")),
		node("Abs", ins("b"), ins("c")), node("Identity", ins("c"), ins("d")), node("Identity", ins("d"), ins("y")))),
		"Abs", "", fold.Report{Identities: 4}},
	{"identity between input and output", graph(dims(2), nodes(node("Identity", ins("x"), ins("y")))),
		"Identity", "", fold.Report{}},
	{"identity of two outputs", func() *onnx.Graph {
		g := graph(dims(2), nodes(node("Abs", ins("x"), ins("y")), node("Identity", ins("y"), ins("z")),
			node("Identity", ins("z"), ins("w"))))
		g.Outputs = append(g.Outputs, onnxtest.Output("z"), onnxtest.Output("w"))
		return g
	}(), "Abs Identity Identity", "", fold.Report{}},
	{"identity read on both sides", graph(dims(2), nodes(node("Abs", ins("x"), ins("a")),
		node("Identity", ins("a"), ins("b")), node("Add", ins("a", "b"), ins("c")), node("Identity", ins("c"), ins("y")))),
		"Abs Add", "", fold.Report{Identities: 2}},
	{"transposed weight", graph(dims(2, 16), nodes(node("Transpose", ins("w"), ins("wt"), perm(1, 0)),
		node("MatMul", ins("x", "wt"), ins("y"))), big("w")), "MatMul", "wt", fold.Report{Folded: 1}},
	{"chain to a weight", graph(dims(2, 16), nodes(node("Reshape", ins("w", "s"), ins("a")),
		node("Transpose", ins("a"), ins("b")), node("Unsqueeze", ins("b", "zero"), ins("c")),
		node("Squeeze", ins("c", "zero"), ins("d")), node("Flatten", ins("d"), ins("e")),
		node("MatMul", ins("x", "e"), ins("y"))), big("w"), onnxtest.Ints("s", 32, -1), onnxtest.Ints("zero", 0)),
		"MatMul", "e", fold.Report{Folded: 5}},
	{"half weight", graph(dims(2, 32), nodes(node("Cast", ins("w"), ins("c"), onnx.IntAttr("to", int64(f32))),
		node("MatMul", ins("x", "c"), ins("y"))), halves("w")), "MatMul", "c", fold.Report{Folded: 1}},
	{"tied weight", graph(dims(2, 16), nodes(node("Transpose", ins("w"), ins("wt"), perm(1, 0)),
		node("MatMul", ins("x", "wt"), ins("a")), node("MatMul", ins("a", "w"), ins("y"))), big("w")),
		"Transpose MatMul MatMul", "w", fold.Report{Tied: []string{"w"}}},
	{"tied twice", graph(dims(2, 16), nodes(node("Transpose", ins("w"), ins("t"), perm(1, 0)),
		node("Transpose", ins("w"), ins("u"), perm(1, 0)), node("MatMul", ins("x", "t"), ins("a")),
		node("MatMul", ins("a", "w"), ins("b")), node("MatMul", ins("b", "u"), ins("y"))), big("w")),
		"Transpose Transpose MatMul MatMul MatMul", "w", fold.Report{Tied: []string{"w"}}},
	{"shared by equal readers", graph(dims(2, 16), nodes(node("Transpose", ins("w"), ins("t"), perm(1, 0)),
		node("MatMul", ins("x", "t"), ins("a")), node("Transpose", ins("w"), ins("u")),
		node("MatMul", ins("x", "u"), ins("b")), node("Add", ins("a", "b"), ins("y"))), big("w")),
		"MatMul MatMul Add", "t", fold.Report{Folded: 1, Merged: 1}},
	{"shape arithmetic", graph(dims(2, 6), nodes(node("Shape", ins("w"), ins("s")),
		node("Gather", ins("s", "one"), ins("n")), node("Div", ins("n", "two"), ins("h")),
		node("Concat", ins("minus", "two", "h"), ins("to"), onnx.IntAttr("axis", 0)),
		node("Reshape", ins("x", "to"), ins("y"))), onnxtest.Random(rng(1), "w", 0, 1, 3, 6),
		onnxtest.Ints("one", 1), onnxtest.Ints("two", 2), onnxtest.Ints("minus", -1)),
		"Reshape", "to", fold.Report{Folded: 4}},
	{"dequantized weight", graph(dims(2, 2), nodes(node("DequantizeLinear", ins("q", "s"), ins("d")),
		node("MatMul", ins("x", "d"), ins("y"))), onnxtest.Floats("s", nil, 0.5),
		onnx.NewTensor("q", tensor.Of(tensor.Int8, tensor.Shape{2, 2}, []int8{1, 2, 3, 4}))),
		"DequantizeLinear MatMul", "s q", fold.Report{}},
}

// TestSimplify folds small graphs: the nodes and weights that are left.
func TestSimplify(t *testing.T) {
	for _, c := range foldCases {
		t.Run(c.name, func(t *testing.T) {
			m := onnxtest.Reparse(t, onnxtest.Model(13, c.graph))
			r := simplify(t, m, 0, nil)
			if got := ops(m.Graph); got != c.ops {
				t.Errorf("operators %q, want %q", got, c.ops)
			}
			if got := weights(m.Graph); got != c.weights {
				t.Errorf("weights %q, want %q", got, c.weights)
			}
			if r.Constants != c.report.Constants || r.Identities != c.report.Identities || r.Folded != c.report.Folded ||
				r.Merged != c.report.Merged || !slices.Equal(r.Tied, c.report.Tied) {
				t.Errorf("report %+v, want %+v", r, c.report)
			}
		})
	}
}

// TestInputs takes initializers out of the inputs, in the order of these.
func TestInputs(t *testing.T) {
	g := graph(dims(3), nodes(node("Mul", ins("x", "b"), ins("m")), node("Add", ins("m", "a"), ins("y"))),
		onnxtest.Floats("a", nil, 1), onnxtest.Floats("b", nil, 2))
	g.Inputs = append(g.Inputs, onnxtest.Value("b", f32), onnxtest.Value("a", f32))
	m := onnxtest.Model(10, g)
	m.IRVersion = 3
	r := simplify(t, m, 0, nil)
	if !slices.Equal(r.Inputs, ins("b", "a")) || len(m.Graph.Inputs) != 1 || m.IRVersion != 4 {
		t.Errorf("report %+v, %d inputs left, IR version %d", r, len(m.Graph.Inputs), m.IRVersion)
	}
}

// TestLazy computes nothing large before it is asked for, and a chain when it is.
func TestLazy(t *testing.T) {
	calls := 0
	w := onnx.NewLazyTensor("w", f32, tensor.Shape{64, 32}, func(dst []byte) error {
		calls++
		v := make([]float32, 64*32)
		for i := range v {
			v[i] = float32(i)
		}
		copy(dst, tensor.AsBytes(v))
		return nil
	})
	m := onnxtest.Model(13, graph(dims(1, 32), nodes(node("Transpose", ins("w"), ins("t")),
		node("Cast", ins("t"), ins("h"), onnx.IntAttr("to", int64(tensor.Float64))),
		node("Cast", ins("h"), ins("c"), onnx.IntAttr("to", int64(f32))), node("MatMul", ins("x", "c"), ins("y"))), w))
	if _, err := fold.Simplify(m); err != nil || calls != 0 || weights(m.Graph) != "c" {
		t.Fatalf("%d calls, weights %q, error %v", calls, weights(m.Graph), err)
	}
	v, err := m.Graph.Initializers[0].Value()
	if err != nil || calls != 1 || !v.Shape.Equal(tensor.Shape{32, 64}) {
		t.Fatalf("%d calls, shape %v, error %v", calls, v.Shape, err)
	}
	for i, x := range tensor.As[float32](v.Data) {
		if want := float32(i%64*32 + i/64); x != want {
			t.Fatalf("element %d is %v, want %v", i, x, want)
		}
	}
}

// TestBodies folds within bodies, and counts what they read.
func TestBodies(t *testing.T) {
	then := &onnx.Graph{Name: "then", Outputs: []*onnx.ValueInfo{onnxtest.Value("out", f32, -1, -1)},
		Nodes: nodes(constant("two", onnx.FloatAttr("value_float", 2)), node("Identity", ins("xi"), ins("i")),
			node("Mul", ins("i", "two"), ins("m")), node("Identity", ins("m"), ins("out")))}
	other := &onnx.Graph{Name: "else", Outputs: []*onnx.ValueInfo{onnxtest.Value("out", f32, -1, -1)},
		Nodes: nodes(node("Transpose", ins("w"), ins("t")), node("MatMul", ins("xi", "t"), ins("mm")),
			node("Reshape", ins("mm", "shape"), ins("out")))}
	g := graph(dims(2, 16), nodes(node("Identity", ins("x"), ins("xi")), node("Transpose", ins("w"), ins("wt")),
		node("Concat", ins("n", "all"), ins("shape"), onnx.IntAttr("axis", 0)),
		node("If", ins("cond"), ins("i"), onnx.GraphAttr("then_branch", then), onnx.GraphAttr("else_branch", other)),
		node("MatMul", ins("x", "wt"), ins("mm2")), node("ReduceSum", ins("mm2"), ins("r")),
		node("Add", ins("i", "r"), ins("y"))), big("w"), onnxtest.Ints("n", 8), onnxtest.Ints("all", -1))
	fixed := slices.Clip(g.Initializers)
	for _, cond := range []byte{0, 1} {
		g.Initializers = append(fixed, onnx.NewTensor("cond", tensor.Tensor{DType: tensor.Bool, Data: []byte{cond}}))
		m := onnxtest.Reparse(t, onnxtest.Model(13, g))
		r := simplify(t, m, 0, nil)
		if r.Constants != 1 || r.Identities != 3 || r.Folded != 1 || !slices.Equal(r.Tied, ins("w")) {
			t.Errorf("report %+v", r)
		}
		if got := weights(m.Graph); got != "w cond shape" {
			t.Errorf("weights %q", got)
		}
	}
}

// TestRealModels folds every model of testdata: the outputs stay, no Constant
// and no Identity is left.
func TestRealModels(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(orttest.Root(t), "testdata/models/*/*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d models found, error %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := onnx.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			r := simplify(t, m, 1e-6, map[string]int64{"total_sequence": 4})
			for _, n := range m.Graph.Nodes {
				if n.Is("Constant", "Identity") {
					t.Errorf("%s %q is left", n.OpType, n.Name)
				}
			}
			t.Logf("%+v", r)
		})
	}
}
