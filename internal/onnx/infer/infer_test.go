package infer_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/infer"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

const (
	f32 = tensor.Float32
	i64 = tensor.Int64
)

func fact(d tensor.DType, rank int) infer.Fact { return infer.Fact{DType: d, Rank: rank, Len: -1} }

func list(d tensor.DType, n int64) infer.Fact { return infer.Fact{DType: d, Rank: 1, Len: n} }

// TestRules infers the output of one node from inputs of known shapes: "x" is
// [2 3 4], "h" is float16 without a shape, "v" [3], "s" a scalar index, "q" int8.
func TestRules(t *testing.T) {
	attr := onnx.IntAttr
	ins := func(v ...string) []string { return v }
	cases := []struct {
		op    string
		in    []string
		attrs []*onnx.Attribute
		want  infer.Fact
	}{
		{"Relu", ins("x"), nil, fact(f32, 3)},
		{"Relu", ins("h"), nil, fact(tensor.Float16, -1)},
		{"Relu", ins("v"), nil, list(f32, 3)},
		{"Add", ins("v", "x"), nil, fact(f32, 3)},
		{"Add", ins("v", "h"), nil, fact(f32, -1)},
		{"Add", ins("v", "v"), nil, list(f32, 3)},
		{"Less", ins("x", "v"), nil, fact(tensor.Bool, 3)},
		{"Where", ins("c", "x", "v"), nil, fact(f32, 3)},
		{"Transpose", ins("h"), []*onnx.Attribute{onnx.IntListAttr("perm", 1, 0)}, fact(tensor.Float16, 2)},
		{"Shape", ins("x"), nil, list(i64, 3)},
		{"Shape", ins("x"), []*onnx.Attribute{attr("start", 1)}, list(i64, 2)},
		{"Shape", ins("x"), []*onnx.Attribute{attr("start", -1), attr("end", 1)}, list(i64, 0)},
		{"Shape", ins("h"), nil, list(i64, -1)},
		{"Size", ins("x"), nil, fact(i64, 0)},
		{"Cast", ins("x"), []*onnx.Attribute{attr("to", int64(tensor.Int8))}, fact(tensor.Int8, 3)},
		{"Reshape", ins("x", "two"), nil, fact(f32, 2)},
		{"Reshape", ins("s", "one"), nil, list(i64, 1)},
		{"Reshape", ins("x", "h"), nil, fact(f32, -1)},
		{"Expand", ins("x", "two"), nil, fact(f32, 3)},
		{"Flatten", ins("x"), nil, fact(f32, 2)},
		{"Gather", ins("v", "s"), nil, fact(f32, 0)},
		{"Gather", ins("v", "two"), nil, list(f32, 2)},
		{"Gather", ins("x", "two"), nil, fact(f32, 3)},
		{"Unsqueeze", ins("s", "one"), nil, list(i64, 1)},
		{"Unsqueeze", ins("x"), []*onnx.Attribute{onnx.IntListAttr("axes", 0, 1)}, fact(f32, 5)},
		{"Squeeze", ins("x", "one"), nil, fact(f32, 2)},
		{"Squeeze", ins("x"), nil, fact(f32, -1)},
		{"Squeeze", ins("one"), nil, fact(i64, 0)},
		{"Concat", ins("v", "v"), nil, list(f32, 6)},
		{"Concat", ins("h", "x"), nil, infer.Fact{DType: tensor.Float16, Rank: 3, Len: -1}},
		{"MatMul", ins("x", "x"), nil, fact(f32, 3)},
		{"MatMul", ins("x", "v"), nil, fact(f32, 2)},
		{"MatMul", ins("v", "v"), nil, fact(f32, 0)},
		{"MatMul", ins("h", "v"), nil, fact(tensor.Float16, -1)},
		{"ReduceMean", ins("x"), nil, fact(f32, 3)},
		{"ReduceMean", ins("x"), []*onnx.Attribute{attr("keepdims", 0)}, fact(f32, 0)},
		{"ReduceMean", ins("x", "two"), []*onnx.Attribute{attr("keepdims", 0)}, fact(f32, 1)},
		{"ReduceMean", ins("x", "h"), []*onnx.Attribute{attr("keepdims", 0)}, fact(f32, -1)},
		{"ArgMax", ins("x"), []*onnx.Attribute{attr("keepdims", 0)}, fact(i64, 2)},
		{"QuantizeLinear", ins("x", "v"), nil, fact(tensor.Uint8, 3)},
		{"QuantizeLinear", ins("x", "v", "q"), nil, fact(tensor.Int8, 3)},
		{"DequantizeLinear", ins("q", "v"), nil, fact(f32, 1)},
		{"ConstantOfShape", ins("two"), nil, fact(f32, 2)},
		{"ConstantOfShape", ins("one"), nil, list(f32, 0)},
		{"Constant", nil, []*onnx.Attribute{onnx.IntListAttr("value_ints", 1, 2, 3)}, list(i64, 3)},
		{"LSTM", ins("x", "x", "x"), nil, fact(f32, 4)},
		{"Opaque", ins("x"), nil, infer.Unknown},
		{"Split", nil, nil, infer.Unknown},
	}
	for i, c := range cases {
		t.Run(fmt.Sprint(i, c.op), func(t *testing.T) {
			g := &onnx.Graph{Nodes: []*onnx.Node{onnx.NewNode(c.op, "n", c.in, []string{"y"}, c.attrs...)},
				Inputs: []*onnx.ValueInfo{onnxtest.Value("x", f32, 2, 3, 4), onnxtest.Value("v", f32, 3),
					onnxtest.Value("s", i64), onnxtest.Value("q", tensor.Int8, 4), onnxtest.Value("c", tensor.Bool, 1),
					{Name: "h", Type: &onnx.Type{DType: tensor.Float16}}},
				Initializers: []*onnx.Tensor{onnxtest.Ints("two", 3, 2), onnxtest.Ints("one", 0)}}
			if got := infer.Model(onnxtest.Model(13, g)).Of("y"); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// TestConstants tells constants from what a caller may override, and a body's
// values from those of the same name around it.
func TestConstants(t *testing.T) {
	body := &onnx.Graph{Inputs: []*onnx.ValueInfo{onnxtest.Value("a", f32, 2)},
		Nodes: []*onnx.Node{onnx.NewNode("Abs", "n", []string{"a"}, []string{"b"})}}
	m := onnxtest.Model(13, &onnx.Graph{Initializers: []*onnx.Tensor{onnxtest.Ints("a", 1, 2), onnxtest.Ints("d", 3),
		onnxtest.Floats("f", tensor.Shape{2}, 1, 2)},
		Inputs: []*onnx.ValueInfo{onnxtest.Value("d", i64, 1)},
		Nodes: []*onnx.Node{onnx.NewNode("Constant", "k", nil, []string{"c"},
			onnx.TensorAttr("value", onnxtest.Ints("", 7)))}})
	s := infer.Model(m)
	for v, want := range map[string]string{
		"a": "[1 2] true", "c": "[7] true", "d": "[] false", "f": "[] false", "": "[] false"} {
		got, ok := s.Ints(v)
		if fmt.Sprint(got, ok) != want {
			t.Errorf("%q: %v %v, want %s", v, got, ok, want)
		}
	}
	if v, ok := s.Floats("f"); !ok || v[1] != 2 {
		t.Errorf("f: %v %v", v, ok)
	}
	inner := s.Body(body)
	if inner.Const("a") != nil || inner.Const("c") == nil || inner.Of("b") != list(f32, 2) {
		t.Errorf("in the body: a %v, c %v, b %+v", inner.Const("a"), inner.Const("c"), inner.Of("b"))
	}
	m.IRVersion = 3
	if v, ok := infer.Model(m).Ints("d"); !ok || v[0] != 3 {
		t.Errorf("before IR version 4 an initializer is constant: %v %v", v, ok)
	}
}

// TestDeclared takes away what exporters declared of the inner values of the
// real models, and compares what is inferred with it.
func TestDeclared(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(orttest.Root(t), "testdata/models/*/*.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, path := range files {
		m, err := onnx.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		declared := append(m.Graph.ValueInfo, m.Graph.Outputs...)
		m.Graph.ValueInfo, m.Graph.Outputs = nil, nil
		s := infer.Model(m)
		for _, v := range declared {
			f := s.Of(v.Name)
			if f.DType != tensor.Undefined && f.DType != v.Type.DType {
				t.Errorf("%s: %q is %s, inferred %s", filepath.Base(path), v.Name, v.Type.DType, f.DType)
			}
			if f.Rank >= 0 && v.Type.HasShape && f.Rank != len(v.Type.Dims) {
				t.Errorf("%s: %q has rank %d, inferred %d", filepath.Base(path), v.Name, len(v.Type.Dims), f.Rank)
			}
			if f.Rank >= 0 {
				checked++
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d ranks were inferred", checked)
	}
}
