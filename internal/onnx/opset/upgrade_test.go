package opset_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/onnx/opset"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// sizes are those that the real models need: all tokens, past and new; images
// that survive being halved five times.
var sizes = map[string]int64{"total_sequence": 4, "height": 64, "width": 64}

// check raises m and compares what it computes.
func check(t *testing.T, m *onnx.Model, to int64, tol float64) []string {
	t.Helper()
	in := onnxtest.Inputs(t, m, 2, sizes)
	want := onnxtest.Run(t, m, in)
	changes, err := opset.Upgrade(m, to)
	if err != nil {
		t.Fatal(err)
	}
	onnxtest.Equal(t, onnxtest.Run(t, onnxtest.Reparse(t, m), in), want, tol)
	return changes
}

// TestRefusals raises what cannot be raised: the error names node, operator
// and versions, and the model stays as it was.
func TestRefusals(t *testing.T) {
	usedMask := more(one(f32, dims(3), node("Dropout", ins("x"), ins("y", "mask"))), "mask")
	spatial := with(one(f32, dims(2, 3, 2), node("BatchNormalization", ins("x", "s", "s", "s", "s"), ins("y"),
		onnx.IntAttr("spatial", 0))), onnxtest.Random(rng(1), "s", 1, 2, 3, 2))
	halves := one(tensor.Float16, dims(3), onnx.NewNode("Opaque", "opaque", ins("x"), ins("z")),
		node("Clip", ins("z"), ins("y"), onnx.FloatAttr("min", 0)))
	cases := []struct {
		name     string
		from, to int64
		graph    *onnx.Graph
		want     []string
	}{
		{"mask in use", 9, 12, usedMask, []string{`node "Dropout_y": Dropout`, "from opset 9 to 10", `mask "mask" is used`}},
		{"mask in use later", 11, 13, usedMask, []string{"from opset 11 to 12"}},
		{"spatial", 8, 9, spatial, []string{`"BatchNormalization_y"`, "spatial is 0"}},
		{"training", 9, 14, batchNorm(ins("y", "mean")), []string{"from opset 13 to 14", `"mean"`}},
		{"scan", 8, 9, simple("Scan", dims(3)), []string{"Scan cannot be raised from opset 8 to 9"}},
		{"experimental", 7, 13, simple("ImageScaler", dims(3)), []string{"ImageScaler", "removed"}},
		{"grows and shrinks", 10, 11, resizeOld("nearest", 1, 1, 2, 0.5), []string{"from opset 10 to 11"}},
		{"unknown type", 10, 11, halves, []string{`element type of "z" is not known`}},
		{"slice without ends", 9, 10, simple("Slice", dims(3), onnx.IntListAttr("starts", 1)), []string{"1 starts and 0 ends"}},
		{"no k", 9, 10, simple("TopK", dims(3)), []string{`"k" is missing`}},
		{"no scales", 8, 9, simple("Upsample", dims(3)), []string{`"scales" is missing`}},
		{"too old", 6, 13, simple("Relu", dims(3)), []string{"opset 6: models below opset 7"}},
		{"too new", 13, 22, simple("Relu", dims(3)), []string{"at most 21"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// A node before it that would change shows that nothing does.
			c.graph.Nodes = slices.Insert(c.graph.Nodes, 0,
				node("Unsqueeze", ins("x"), ins("unused"), axes(0)))
			m := onnxtest.Model(c.from, c.graph)
			before := marshal(t, m)
			changes, err := opset.Upgrade(m, c.to)
			if err == nil || changes != nil {
				t.Fatalf("changes %q, error %v; want an error alone", changes, err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if !bytes.Equal(marshal(t, m), before) {
				t.Error("the model was changed")
			}
		})
	}
}

func marshal(t *testing.T, m *onnx.Model) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTypes gives limits the type of what they limit.
func TestTypes(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float32, tensor.Float64, tensor.Float16} {
		t.Run(d.String(), func(t *testing.T) {
			m := onnxtest.Model(10, one(d, dims(4, 3),
				node("Abs", ins("x"), ins("a")), node("Transpose", ins("a"), ins("t")),
				node("Clip", ins("t"), ins("c"), onnx.FloatAttr("min", 0.25), onnx.FloatAttr("max", 0.5)),
				node("Pad", ins("c"), ins("y"), onnx.IntListAttr("pads", 1, 1, 0, 0), onnx.FloatAttr("value", 2))))
			if d == tensor.Float32 {
				check(t, m, 13, 0)
			} else {
				// ONNX Runtime has no Clip of version 6 for the others.
				if _, err := opset.Upgrade(m, 13); err != nil {
					t.Fatal(err)
				}
				onnxtest.Run(t, onnxtest.Reparse(t, m), onnxtest.Inputs(t, m, 2, nil))
			}
			for _, x := range m.Graph.Initializers {
				if x.Name != "pads" && x.DType != d {
					t.Errorf("%q is %s, want %s", x.Name, x.DType, d)
				}
			}
		})
	}
}

// branch is a graph without inputs.
func branch(name string, n ...*onnx.Node) *onnx.Graph {
	last := n[len(n)-1].Outputs[0]
	return &onnx.Graph{Name: name, Nodes: n, Outputs: []*onnx.ValueInfo{onnxtest.Value(last, f32, -1, -1, -1)}}
}

// TestSubgraphs raises what lies in the bodies of If and Loop, whose names may
// be the same in both branches.
func TestSubgraphs(t *testing.T) {
	g := one(f32, dims(2, 3, 4), node("If", ins("cond"), ins("y"),
		onnx.GraphAttr("then_branch", branch("then", node("Softmax", ins("x"), ins("out")))),
		onnx.GraphAttr("else_branch", branch("else", node("Softmax", ins("x"), ins("soft"), axis(2)),
			node("Unsqueeze", ins("soft"), ins("u"), axes(0)), node("Squeeze", ins("u"), ins("out"), axes(0))))))
	g.Inputs = append(g.Inputs, onnxtest.Value("cond", tensor.Bool))
	for _, cond := range []byte{0, 1} {
		m := onnxtest.Model(11, g)
		in := onnxtest.Inputs(t, m, 3, nil)
		in["cond"] = tensor.Tensor{DType: tensor.Bool, Data: []byte{cond}}
		want := onnxtest.Run(t, m, in)
		up := onnxtest.Reparse(t, m)
		changes, err := opset.Upgrade(up, 13)
		if err != nil {
			t.Fatal(err)
		}
		onnxtest.Equal(t, onnxtest.Run(t, onnxtest.Reparse(t, up), in), want, 0)
		list := []string{
			"opset 13: Softmax: flattened from its axis on (1 node)",
			"opset 13: Softmax: last axis made explicit (1 node)",
			"opset 13: Squeeze: axes become an input (1 node)",
			"opset 13: Unsqueeze: axes become an input (1 node)",
		}
		if !slices.Equal(changes, list) {
			t.Errorf("changes %q", changes)
		}
	}
}

// TestFunctions raises functions by their own versions, with constants as
// nodes and names that do not collide.
func TestFunctions(t *testing.T) {
	attr := axes(0)
	f := &onnx.Function{Name: "F", Domain: "own", Inputs: ins("x"), Outputs: ins("y"),
		Opsets: []onnx.Opset{{Domain: "", Version: 11}},
		Nodes: []*onnx.Node{node("Softmax", ins("x"), ins("axes"), axis(1)),
			node("Unsqueeze", ins("axes"), ins("y"), attr)}}
	n := node("F", ins("x"), ins("y"))
	n.Domain = "own"
	m := onnxtest.Model(13, one(f32, dims(2, 3, 4), n))
	m.IRVersion = 8
	m.Opsets = append(m.Opsets, onnx.Opset{Domain: "own", Version: 1})
	m.Functions = []*onnx.Function{f}
	changes, err := opset.Upgrade(m, 13)
	if err != nil || len(changes) != 2 {
		t.Fatalf("changes %q, error %v", changes, err)
	}
	// A runtime wants one version for all, so the first form cannot be run;
	// the raised one is compared with the same nodes outside of a function.
	in := onnxtest.Inputs(t, m, 4, nil)
	flat := onnxtest.Model(11, one(f32, dims(2, 3, 4), f.Nodes...))
	onnxtest.Equal(t, onnxtest.Run(t, onnxtest.Reparse(t, m), in), onnxtest.Run(t, flat, in), 0)

	attr.RefName = "caller"
	m.Functions = []*onnx.Function{f}
	if _, err = opset.Upgrade(m, 13); err == nil || !strings.Contains(err.Error(), `function "F"`) {
		t.Errorf("an attribute of the caller's: error %v", err)
	}
}

// TestNames adds values to a graph that has the names already.
func TestNames(t *testing.T) {
	m := onnxtest.Model(11, one(f32, dims(2, 1, 3),
		node("Identity", ins("x"), ins("axes")), node("Identity", ins("axes"), ins("axes_1")),
		node("Squeeze", ins("axes_1"), ins("x_shape"), axes(1)),
		node("Softmax", ins("x_shape"), ins("y"), axis(0))))
	check(t, m, 13, 0)
}

// TestShared makes one constant of equal lists.
func TestShared(t *testing.T) {
	m := onnxtest.Model(11, one(f32, dims(2, 3),
		node("Unsqueeze", ins("x"), ins("a"), axes(0)), node("Squeeze", ins("a"), ins("b"), axes(0)),
		node("Unsqueeze", ins("b"), ins("y"), axes(1))))
	check(t, m, 13, 0)
	if n := len(m.Graph.Initializers); n != 2 {
		t.Errorf("%d initializers, want 2", n)
	}
}

// TestUntouched leaves other domains and newer models alone.
func TestUntouched(t *testing.T) {
	other := node("Upsample", ins("x"), ins("y"))
	other.Domain = "com.microsoft"
	for _, to := range []int64{9, 7, 0} {
		m := onnxtest.Model(9, one(f32, dims(2), other))
		m.Opsets = append(m.Opsets, onnx.Opset{Domain: "com.microsoft", Version: 1})
		before := marshal(t, m)
		changes, err := opset.Upgrade(m, to)
		if err != nil || len(changes) > 0 || !bytes.Equal(marshal(t, m), before) {
			t.Errorf("to %d: changes %q, error %v", to, changes, err)
		}
	}
	m := onnxtest.Model(9, one(f32, dims(2), other))
	m.Opsets = []onnx.Opset{{Domain: "com.microsoft", Version: 1}, {Domain: "ai.onnx", Version: 9}}
	if _, err := opset.Upgrade(m, 21); err != nil {
		t.Fatal(err)
	}
	if m.Opset("") != 21 || m.Opset("com.microsoft") != 1 || m.IRVersion != 10 || other.OpType != "Upsample" {
		t.Errorf("opsets %v, IR version %d, operator %s", m.Opsets, m.IRVersion, other.OpType)
	}
}

// TestUnnamedOutputs takes outputs away that have no name, which says that they
// are not wanted; ONNX Runtime crashes on the old form.
func TestUnnamedOutputs(t *testing.T) {
	m := onnxtest.Model(9, batchNorm(ins("y", "", "", "", "")))
	if _, err := opset.Upgrade(m, 14); err != nil {
		t.Fatal(err)
	}
	onnxtest.Equal(t, onnxtest.Run(t, m, onnxtest.Inputs(t, m, 1, nil)),
		onnxtest.Run(t, onnxtest.Model(14, batchNorm(ins("y"))), onnxtest.Inputs(t, m, 1, nil)), 0)
}

// TestGroupNorm compares the raised form with the definition: version 18 of
// the operator is not in ONNX Runtime.
func TestGroupNorm(t *testing.T) {
	const groups, channels, size = 2, 6, 4
	m := onnxtest.Model(18, with(one(f32, dims(1, channels, size),
		node("GroupNormalization", ins("x", "s", "b"), ins("y"), onnx.IntAttr("num_groups", groups))),
		onnxtest.Floats("s", tensor.Shape{groups}, 2, 3), onnxtest.Floats("b", tensor.Shape{groups}, 0.5, -1)))
	in := onnxtest.Inputs(t, m, 5, nil)
	if _, err := opset.Upgrade(m, 21); err != nil {
		t.Fatal(err)
	}
	y := onnxtest.Run(t, onnxtest.Reparse(t, m), in)["y"]
	want := groupNorm(tensor.As[float32](in["x"].Data), groups, []float64{2, 3}, []float64{0.5, -1})
	onnxtest.Equal(t, map[string]tensor.Tensor{"y": y},
		map[string]tensor.Tensor{"y": tensor.Of(f32, y.Shape, want)}, 1e-5)
}

// TestRealModels raises every model of testdata to later versions and compares
// the outputs. OPTIM_TEST_MODELS may name more, by a pattern.
func TestRealModels(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(orttest.Root(t), "testdata/models/*/*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d models found, error %v", len(files), err)
	}
	if pattern := os.Getenv("OPTIM_TEST_MODELS"); pattern != "" {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, to := range []int64{13, 18, 21} {
				m, err := onnx.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				if m.Opset("") < to {
					check(t, m, to, 1e-5)
				}
			}
		})
	}
}
