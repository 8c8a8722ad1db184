package quant_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
	"optim/internal/tensor"
)

func halfOptions(t testing.TB, f quant.Format) *quant.Options {
	return options(t, quant.Convert, func(o *quant.Options) { o.Format = f })
}

// mixedNet has values that nodes in half precision and nodes in float share, in
// the main graph and in a body.
func mixedNet(opset int64) *onnx.Model {
	n := newNet(opset)
	x := n.input("x", 4, 32)
	w := n.weight("w", 32, 64)
	h := n.op("MatMul", []string{x, w})
	masked := n.op("Add", []string{h, n.floats("mask", []float32{0.25}, 1)})
	square := n.op("Pow", []string{masked, n.floats("two", []float32{2}, 1)})
	mean := n.op("ReduceMean", []string{square}, onnx.IntListAttr("axes", 1))
	safe := n.op("Add", []string{mean, n.floats("epsilon", []float32{1e-12}, 1)})
	root := n.op("Sqrt", []string{safe})
	normal := n.op("Div", []string{masked, root})
	back := n.op("MatMul", []string{normal, n.weight("v", 64, 64)})
	shape := n.op("Shape", []string{back})
	fill := n.op("ConstantOfShape", []string{shape})
	sum := n.op("Add", []string{back, fill})
	exp := n.op("Exp", []string{n.op("Mul", []string{n.op("Tanh", []string{sum}), n.floats("few", []float32{0.5}, 1)})})
	condition := n.tensor("yes", tensor.Of(tensor.Bool, tensor.Shape{}, []uint8{1}))
	branch := func(name string, op string) *onnx.Attribute {
		out := name + "_out"
		return onnx.GraphAttr(name, &onnx.Graph{Name: name,
			Nodes:   []*onnx.Node{onnx.NewNode(op, name+"_node", []string{sum, "v"}, []string{out})},
			Outputs: []*onnx.ValueInfo{{Name: out, Type: onnx.TensorType(tensor.Float32, 4, 64)}}})
	}
	chosen := n.op("If", []string{condition}, branch("then_branch", "MatMul"), branch("else_branch", "MatMul"))
	last := n.op("Relu", []string{n.op("MatMul", []string{chosen, "v"})})
	return n.output(sum, exp, last)
}

func TestHalfMixed(t *testing.T) {
	for _, f := range []quant.Format{quant.FP16, quant.BF16} {
		for _, opset := range []int64{11, 13, 17} {
			r := apply(t, mixedNet(opset), halfOptions(t, f)).close(0.02)
			checkCasts(t, r.model)
			if f == quant.FP16 {
				r.left("Pow", "range or the digits").left("ReduceMean", "range or the digits").left("Add", "lose its digits").left("Div", "normalization")
			}
		}
	}
}

// checkCasts wants no value cast twice to one type, and no cast of what a cast
// between floats gives.
func checkCasts(t *testing.T, m *onnx.Model) {
	t.Helper()
	seen, floating := map[string]bool{}, map[string]bool{}
	for _, n := range m.Graph.Nodes {
		if !n.Is("Cast") {
			continue
		}
		d := tensor.DType(n.AttrInt("to", 0))
		key := n.Inputs[0] + " " + d.String()
		if seen[key] || floating[n.Inputs[0]] {
			t.Errorf("needless cast of %s to %s", n.Inputs[0], d)
		}
		seen[key] = true
		floating[n.Outputs[0]] = d.IsFloat()
	}
}

// TestHalfClamps: constants beyond the range become the greatest number, those
// below it zero, and both are counted; infinities stay.
func TestHalfClamps(t *testing.T) {
	n := newNet(17)
	h := n.op("MatMul", []string{n.input("x", 2, 32), n.weight("w", 32, 4)})
	low := float32(-math.MaxFloat32)
	n.op("Add", []string{h, n.floats("mask", []float32{0, low, 1e-30, float32(math.Inf(-1))}, 4)})
	n.m.Graph.Nodes[1].Inputs[1] = "mask"
	n.op("Where", []string{n.tensor("c", tensor.Of(tensor.Bool, tensor.Shape{4}, []uint8{1, 0, 1, 0})), h, n.floats("low", []float32{low}, 1)})
	b, plan, err := rewrite(t, marshal(t, n.output(n.last().Outputs[0])), halfOptions(t, quant.FP16), 1)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(plan.Notes, "\n"), "beyond the range of fp16, set to its greatest number: 1") {
		t.Errorf("notes: %q", plan.Notes)
	}
	for _, c := range parse(t, b).Graph.Initializers {
		if v, err := c.Value(); err == nil && c.DType == tensor.Float16 && c.Elements() == 1 {
			if f, err := v.Float32s(); err != nil || f[0] != -65504 {
				t.Errorf("%s is %v (%v)", c.Name, f, err)
			}
		}
	}
}

// TestHalfDefaults: an initializer that the caller may override keeps its type.
func TestHalfDefaults(t *testing.T) {
	n := newNet(17)
	n.output(n.op("MatMul", []string{n.input("x", 2, 64), n.weight("w", 64, 64)}))
	n.output(n.op("MatMul", []string{"x", n.weight("free", 64, 64)}))
	n.input("free", 64, 64)
	m := parse(t, marshal(t, n.m)) // Prepare would make a constant of it
	if _, err := quant.Quantize(t.Context(), m, halfOptions(t, quant.FP16), nil, 1); err != nil {
		t.Fatal(err)
	}
	if d := m.Graph.Initializer("free").DType; d != tensor.Float32 {
		t.Errorf("it has become %s", d)
	}
	session(t, marshal(t, m))
}

// TestHalfInterface: with HalfIO float inputs and outputs are of half precision,
// also where nodes in float or bodies use them.
func TestHalfInterface(t *testing.T) {
	for f, want := range map[quant.Format]tensor.DType{quant.FP16: tensor.Float16, quant.BF16: tensor.BFloat16} {
		m := mixedNet(17)
		for _, v := range m.Graph.Outputs {
			v.Type = onnx.TensorType(tensor.Float32, 4, 64)
		}
		o := halfOptions(t, f)
		o.HalfIO = true
		b, _, err := rewrite(t, marshal(t, m), o, 1)
		if err != nil {
			t.Fatal(err)
		}
		s := session(t, b)
		for _, info := range append(append([]ort.Info{}, s.Inputs()...), s.Outputs()...) {
			if info.DType != want {
				t.Errorf("%s: %s is %s", f, info.Name, info.DType)
			}
		}
		_, list := samples(t, session(t, marshal(t, m)))
		in, err := dataset.Fit(list[0], s.Inputs())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Run(in); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestHalfModels: every real model is converted, loads and takes half its size.
func TestHalfModels(t *testing.T) {
	files, err := filepath.Glob("../../testdata/models/*/*.onnx")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for _, f := range []quant.Format{quant.FP16, quant.BF16} {
			m, err := onnx.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			o := halfOptions(t, f)
			if _, err = quant.Prepare(m, o); err == nil {
				_, err = quant.Quantize(t.Context(), m, o, nil, 2)
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			checkCasts(t, m)
			session(t, marshal(t, m))
			m.Close()
		}
	}
}
