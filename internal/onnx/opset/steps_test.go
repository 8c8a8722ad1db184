package opset_test

import (
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/onnx/opset"
	"optim/internal/tensor"
)

// f32 and so on shorten the tables.
const f32 = tensor.Float32

func node(op string, in, out []string, attrs ...*onnx.Attribute) *onnx.Node {
	return onnx.NewNode(op, op+"_"+out[0], in, out, attrs...)
}

func ins(list ...string) []string { return list }

// one is a graph from x, of those dimensions, to y.
func one(d tensor.DType, dims []int64, n ...*onnx.Node) *onnx.Graph {
	return &onnx.Graph{Nodes: n,
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("x", d, dims...)},
		Outputs: []*onnx.ValueInfo{onnxtest.Output("y")}}
}

// with adds initializers.
func with(g *onnx.Graph, list ...*onnx.Tensor) *onnx.Graph {
	g.Initializers = append(g.Initializers, list...)
	return g
}

// more adds outputs.
func more(g *onnx.Graph, names ...string) *onnx.Graph {
	for _, n := range names {
		g.Outputs = append(g.Outputs, onnxtest.Output(n))
	}
	return g
}

// simple is a graph of one node from x to y.
func simple(op string, dims []int64, attrs ...*onnx.Attribute) *onnx.Graph {
	return one(f32, dims, node(op, ins("x"), ins("y"), attrs...))
}

func dims(v ...int64) []int64 { return v }

type stepCase struct {
	name     string
	from, to int64
	graph    *onnx.Graph
	ops      string // of the raised main graph, in order
}

var (
	axes     = func(v ...int64) *onnx.Attribute { return onnx.IntListAttr("axes", v...) }
	axis     = func(v int64) *onnx.Attribute { return onnx.IntAttr("axis", v) }
	mode     = func(v string) *onnx.Attribute { return onnx.StrAttr("mode", v) }
	keepdims = func(v int64) *onnx.Attribute { return onnx.IntAttr("keepdims", v) }
)

// batchNorm has parameters for three channels.
func batchNorm(out []string, attrs ...*onnx.Attribute) *onnx.Graph {
	s := tensor.Shape{3}
	return with(one(f32, dims(2, 3, 4, 4), node("BatchNormalization", ins("x", "s", "b", "m", "v"), out, attrs...)),
		onnxtest.Floats("s", s, 1, 2, 3), onnxtest.Floats("b", s, 0, 1, -1),
		onnxtest.Floats("m", s, 0.1, 0.2, 0.3), onnxtest.Floats("v", s, 1, 0.5, 2))
}

func resizeOld(mode string, scales ...float32) *onnx.Graph {
	return with(one(f32, dims(1, 2, 5, 7), node("Resize", ins("x", "scales"), ins("y"), onnx.StrAttr("mode", mode))),
		onnxtest.Floats("scales", tensor.Shape{4}, scales...))
}

var stepCases = []stepCase{
	{"batch normalization, spatial", 7, 9, batchNorm(ins("y"), onnx.IntAttr("spatial", 1)), "BatchNormalization"},
	{"batch normalization, all steps", 7, 21, batchNorm(ins("y"), onnx.IntAttr("spatial", 1)), "BatchNormalization"},
	{"upsample nearest", 7, 9, simple("Upsample", dims(1, 2, 3, 4), mode("nearest"),
		onnx.FloatListAttr("scales", 1, 1, 2, 3)), "Upsample"},
	{"upsample nearest to resize", 7, 13, simple("Upsample", dims(1, 2, 3, 4), mode("nearest"),
		onnx.FloatListAttr("scales", 1, 1, 2, 3)), "Resize"},
	{"upsample linear to resize", 8, 21, simple("Upsample", dims(1, 2, 3, 4), mode("linear"),
		onnx.FloatListAttr("scales", 1, 1, 2, 2.5)), "Resize"},
	{"resize grows", 10, 11, resizeOld("nearest", 1, 1, 1.7, 2), "Resize"},
	{"resize grows", 10, 13, resizeOld("nearest", 1, 1, 1.7, 2), "Resize"},
	{"resize shrinks", 10, 13, resizeOld("nearest", 1, 1, 0.6, 0.45), "Resize"},
	{"resize linear", 10, 18, resizeOld("linear", 1, 1, 0.6, 1.5), "Resize"},
	{"resize by dynamic scales", 10, 13, one(f32, dims(1, 1, 3, 4),
		node("Constant", nil, ins("c"), onnx.TensorAttr("value",
			onnxtest.Floats("", tensor.Shape{4}, 1, 1, 2, 2))),
		node("Abs", ins("c"), ins("s")),
		node("Resize", ins("x", "s"), ins("y"))), "Constant Abs Resize"},
	{"resize to sizes", 11, 13, with(one(f32, dims(1, 1, 3, 4),
		node("Resize", ins("x", "roi", "scales", "sizes"), ins("y"),
			onnx.StrAttr("coordinate_transformation_mode", "pytorch_half_pixel"), mode("linear"))),
		onnxtest.Floats("roi", tensor.Shape{0}), onnxtest.Floats("scales", tensor.Shape{0}),
		onnxtest.Ints("sizes", 1, 1, 5, 9)), "Resize"},
	{"resize to sizes", 11, 21, with(one(f32, dims(1, 1, 3, 4),
		node("Resize", ins("x", "roi", "scales", "sizes"), ins("y"), mode("cubic"))),
		onnxtest.Floats("roi", tensor.Shape{0}), onnxtest.Floats("scales", tensor.Shape{0}),
		onnxtest.Ints("sizes", 1, 1, 5, 9)), "Resize"},
	{"crop and resize", 11, 18, with(one(f32, dims(1, 1, 6, 6),
		node("Resize", ins("x", "roi", "scales", "sizes"), ins("y"), mode("linear"),
			onnx.StrAttr("coordinate_transformation_mode", "tf_crop_and_resize"))),
		onnxtest.Floats("roi", tensor.Shape{8}, 0, 0, 0.2, 0.1, 1, 1, 0.8, 0.9),
		onnxtest.Floats("scales", tensor.Shape{0}), onnxtest.Ints("sizes", 1, 1, 4, 4)), "Resize"},
	{"slice", 9, 10, simple("Slice", dims(4, 5, 6), axes(0, 2), onnx.IntListAttr("starts", 1, -4),
		onnx.IntListAttr("ends", 1<<62, -1)), "Slice"},
	{"slice without axes", 7, 13, simple("Slice", dims(4, 5), onnx.IntListAttr("starts", 1, 2),
		onnx.IntListAttr("ends", 3, 9)), "Slice"},
	{"top k", 9, 11, more(one(f32, dims(3, 8), node("TopK", ins("x"), ins("y", "i"),
		onnx.IntAttr("k", 3), axis(-1))), "i"), "TopK"},
	{"dropout", 7, 13, simple("Dropout", dims(3, 4), onnx.FloatAttr("ratio", 0.25)), "Dropout"},
	{"dropout with mask", 7, 12, one(f32, dims(3, 4), node("Dropout", ins("x"), ins("y", "mask"))), "Dropout"},
	{"clip", 7, 11, simple("Clip", dims(20), onnx.FloatAttr("min", -0.3), onnx.FloatAttr("max", 0.4)), "Clip"},
	{"clip above", 10, 13, simple("Clip", dims(20), onnx.FloatAttr("max", 0.4)), "Clip"},
	{"clip nothing", 10, 13, simple("Clip", dims(20)), "Clip"},
	{"pad constant", 10, 11, simple("Pad", dims(2, 3), onnx.IntListAttr("pads", 1, 0, 0, 2),
		onnx.FloatAttr("value", 1.5)), "Pad"},
	{"pad reflect", 7, 19, simple("Pad", dims(4, 5), onnx.IntListAttr("pads", 1, 2, 1, 0), mode("reflect")), "Pad"},
	{"pad takes away", 7, 13, simple("Pad", dims(4, 5), onnx.IntListAttr("pads", -1, 2, 1, -2)), "Pad"},
	{"scatter", 9, 13, with(one(f32, dims(3, 3), node("Scatter", ins("x", "i", "u"), ins("y"), axis(1))),
		onnx.NewTensor("i", tensor.Of(tensor.Int64, tensor.Shape{1, 2}, []int64{2, 0})),
		onnxtest.Floats("u", tensor.Shape{1, 2}, 7, 8)), "ScatterElements"},
	{"squeeze", 11, 13, simple("Squeeze", dims(1, 3, 1, 2), axes(0, -2)), "Squeeze"},
	{"squeeze all", 11, 13, simple("Squeeze", dims(1, 3, 1, 2)), "Squeeze"},
	{"unsqueeze", 7, 21, simple("Unsqueeze", dims(3, 2), axes(0, 3)), "Unsqueeze"},
	{"reduce sum", 11, 13, simple("ReduceSum", dims(2, 3, 4), axes(1), keepdims(0)), "ReduceSum"},
	{"reduce sum of all", 11, 18, simple("ReduceSum", dims(2, 3, 4)), "ReduceSum"},
	{"split", 11, 13, more(one(f32, dims(2, 7), node("Split", ins("x"), ins("y", "z"), axis(1),
		onnx.IntListAttr("split", 3, 4))), "z"), "Split"},
	{"split in equal parts", 11, 18, more(one(f32, dims(6, 2), node("Split", ins("x"), ins("y", "z"))), "z"), "Split"},
	{"roi align", 11, 16, with(one(f32, dims(1, 1, 8, 8), node("RoiAlign", ins("x", "rois", "batch"), ins("y"),
		onnx.IntAttr("output_height", 3), onnx.IntAttr("output_width", 3))),
		onnxtest.Floats("rois", tensor.Shape{1, 4}, 1, 1, 5, 6), onnxtest.Ints("batch", 0)), "RoiAlign"},
	{"grid sample", 16, 20, gridSample("bilinear"), "GridSample"},
	{"grid sample cubic", 16, 21, gridSample("bicubic"), "GridSample"},
	{"grid sample nearest", 16, 20, gridSample("nearest"), "GridSample"},
	{"grid sample by default", 16, 20, gridSample(""), "GridSample"},
	{"dft", 17, 20, simple("DFT", dims(2, 8, 1)), "DFT"},
	{"dft on an axis", 17, 20, simple("DFT", dims(2, 3, 8, 2), axis(2), onnx.IntAttr("inverse", 1)), "DFT"},
}

func gridSample(m string) *onnx.Graph {
	var attr *onnx.Attribute
	if m != "" {
		attr = mode(m)
	}
	g := one(f32, dims(1, 2, 4, 5), node("GridSample", ins("x", "grid"), ins("y"), attr))
	g.Inputs = append(g.Inputs, onnxtest.Value("grid", f32, 1, 3, 3, 2))
	return g
}

func init() {
	for _, op := range strings.Fields("L1 L2 LogSum LogSumExp Max Mean Min Prod SumSquare") {
		stepCases = append(stepCases,
			stepCase{"reduce " + op, 13, 18, one(f32, dims(2, 3, 4), node("Abs", ins("x"), ins("a")),
				node("Reduce"+op, ins("a"), ins("y"), axes(-1, 0), keepdims(0))), "Abs Reduce" + op},
			stepCase{"reduce all by " + op, 11, 20, one(f32, dims(2, 3, 4), node("Abs", ins("x"), ins("a")),
				node("Reduce"+op, ins("a"), ins("y"))), "Abs Reduce" + op})
	}
	for _, op := range strings.Fields("Softmax LogSoftmax Hardmax") {
		flat := "Shape Flatten " + op + " Reshape"
		for _, c := range []struct {
			name string
			dims []int64
			axis int64
			ops  string
		}{
			{"last", dims(2, 3, 4), 2, op}, {"last from the end", dims(2, 3, 4), -1, op},
			{"matrix", dims(2, 3), 1, op}, {"first", dims(2, 3, 4), 0, flat},
			{"middle", dims(2, 3, 4), 1, flat}, {"middle from the end", dims(2, 3, 4), -2, flat},
			{"vector", dims(5), 0, op},
		} {
			stepCases = append(stepCases, stepCase{op + " " + c.name, 11, 13, simple(op, c.dims, axis(c.axis)), c.ops})
		}
		stepCases = append(stepCases,
			stepCase{op + " by default", 7, 13, simple(op, dims(2, 3, 4)), flat},
			stepCase{op + " by default of a matrix", 7, 21, simple(op, dims(2, 3)), op})
	}
}

// ops lists the operators of a graph.
func ops(g *onnx.Graph) string {
	list := make([]string, len(g.Nodes))
	for i, n := range g.Nodes {
		list[i] = n.OpType
	}
	return strings.Join(list, " ")
}

// TestSteps runs each model before and after raising it: the same numbers.
func TestSteps(t *testing.T) {
	for _, c := range stepCases {
		t.Run(c.name, func(t *testing.T) {
			m := onnxtest.Reparse(t, onnxtest.Model(c.from, c.graph))
			in := onnxtest.Inputs(t, m, 1, nil)
			want := onnxtest.Run(t, m, in)
			changes, err := opset.Upgrade(m, c.to)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Opset(""); got != c.to {
				t.Errorf("opset %d, want %d", got, c.to)
			}
			if got := ops(m.Graph); got != c.ops {
				t.Errorf("operators %q, want %q; changes %q", got, c.ops, changes)
			}
			onnxtest.Equal(t, onnxtest.Run(t, onnxtest.Reparse(t, m), in), want, 1e-6)
		})
	}
}
