package fold_test

import (
	"path/filepath"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// norm is a batch normalization from in to out with the parameters of that
// name; params makes those, for n channels.
func norm(name, in, out string, attrs ...*onnx.Attribute) *onnx.Node {
	return node("BatchNormalization", ins(in, name+"s", name+"b", name+"m", name+"v"), ins(out), attrs...)
}

func params(name string, n int64) []*onnx.Tensor {
	r := rng(uint64(n))
	return []*onnx.Tensor{onnxtest.Random(r, name+"s", -2, 2, n), onnxtest.Random(r, name+"b", -1, 1, n),
		onnxtest.Random(r, name+"m", -1, 1, n), onnxtest.Random(r, name+"v", 0.1, 2, n)}
}

func weight(name string, dims ...int64) *onnx.Tensor {
	return onnxtest.Random(rng(9), name, -1, 1, dims...)
}

// bnGraph is a graph with parameters "n" for some channels.
func bnGraph(dims []int64, channels int64, list []*onnx.Node, w ...*onnx.Tensor) *onnx.Graph {
	return graph(dims, list, append(w, params("n", channels)...)...)
}

type bnCase struct {
	name   string
	graph  *onnx.Graph
	merged int
	ops    string
}

func group(v int64) *onnx.Attribute { return onnx.IntAttr("group", v) }

var bnCases = []bnCase{
	{"conv", bnGraph(dims(2, 3, 5, 5), 4, nodes(node("Conv", ins("x", "w", "c"), ins("a")), norm("n", "a", "y")),
		weight("w", 4, 3, 3, 3), weight("c", 4)), 1, "Conv"},
	{"conv without bias", bnGraph(dims(2, 3, 5), 4, nodes(node("Conv", ins("x", "w"), ins("a")),
		norm("n", "a", "y", onnx.FloatAttr("epsilon", 0.5))), weight("w", 4, 3, 2)), 1, "Conv"},
	{"conv in groups", bnGraph(dims(1, 4, 5, 5), 6, nodes(node("Conv", ins("x", "w", "c"), ins("a"), group(2)),
		norm("n", "a", "y")), weight("w", 6, 2, 3, 3), weight("c", 6)), 1, "Conv"},
	{"depthwise conv", bnGraph(dims(1, 4, 5, 5), 4, nodes(node("Conv", ins("x", "w", ""), ins("a"), group(4)),
		norm("n", "a", "y")), weight("w", 4, 1, 3, 3)), 1, "Conv"},
	{"transposed conv", bnGraph(dims(1, 4, 5, 5), 3, nodes(node("ConvTranspose", ins("x", "w", "c"), ins("a")),
		norm("n", "a", "y")), weight("w", 4, 3, 2, 2), weight("c", 3)), 1, "ConvTranspose"},
	{"transposed conv in groups", bnGraph(dims(1, 4, 5, 5), 6, nodes(node("ConvTranspose", ins("x", "w"), ins("a"),
		group(2)), norm("n", "a", "y")), weight("w", 4, 3, 2, 2)), 1, "ConvTranspose"},
	{"gemm", bnGraph(dims(2, 5), 4, nodes(node("Gemm", ins("x", "w", "c"), ins("a"), onnx.FloatAttr("alpha", 0.5),
		onnx.FloatAttr("beta", 3)), norm("n", "a", "y")), weight("w", 5, 4), weight("c", 1, 4)), 1, "Gemm"},
	{"gemm, transposed", bnGraph(dims(2, 5), 4, nodes(node("Gemm", ins("x", "w", "c"), ins("a"),
		onnx.IntAttr("transB", 1)), norm("n", "a", "y")), weight("w", 4, 5), weight("c")), 1, "Gemm"},
	{"gemm without bias", bnGraph(dims(2, 5), 4, nodes(node("Gemm", ins("x", "w"), ins("a"), onnx.FloatAttr("beta", 2)),
		norm("n", "a", "y")), weight("w", 5, 4)), 1, "Gemm"},
	{"gemm with a bias for each row", bnGraph(dims(2, 5), 4, nodes(node("Gemm", ins("x", "w", "c"), ins("a")),
		norm("n", "a", "y")), weight("w", 5, 4), weight("c", 2, 1)), 0, "Gemm BatchNormalization"},
	{"matmul", bnGraph(dims(2, 5), 4, nodes(node("MatMul", ins("x", "w"), ins("a")), norm("n", "a", "y")),
		weight("w", 5, 4)), 1, "MatMul Add"},
	{"matmul and add", bnGraph(dims(2, 5), 4, nodes(node("MatMul", ins("x", "w"), ins("a")),
		node("Add", ins("c", "a"), ins("s")), norm("n", "s", "y")), weight("w", 5, 4), weight("c", 4)), 1, "MatMul Add"},
	{"matmul of three axes", bnGraph(dims(2, 4, 5), 4, nodes(node("MatMul", ins("x", "w"), ins("a")),
		norm("n", "a", "y")), weight("w", 5, 4)), 0, "MatMul BatchNormalization"},
	{"read twice", bnGraph(dims(2, 5), 4, nodes(node("Gemm", ins("x", "w"), ins("a")), norm("n", "a", "b"),
		node("Add", ins("a", "b"), ins("y"))), weight("w", 5, 4)), 0, "Gemm BatchNormalization Add"},
	{"bias from elsewhere", bnGraph(dims(4, 5), 4, nodes(
		node("ReduceSum", ins("x", "one"), ins("c"), onnx.IntAttr("keepdims", 0)),
		node("Gemm", ins("x", "w", "c"), ins("a")), norm("n", "a", "y")), weight("w", 5, 4), onnxtest.Ints("one", 1)), 0,
		"ReduceSum Gemm BatchNormalization"},
	{"in front of the layer", bnGraph(dims(2, 5), 5, nodes(norm("n", "x", "a"), node("Gemm", ins("a", "w"), ins("y"))),
		weight("w", 5, 4)), 0, "BatchNormalization Gemm"},
	{"two in a row", bnGraph(dims(2, 5), 4, nodes(node("Gemm", ins("x", "w"), ins("a")), norm("n", "a", "b"),
		norm("n", "b", "y")), weight("w", 5, 4)), 2, "Gemm"},
	{"shared by two layers", bnGraph(dims(2, 4), 4, nodes(node("Gemm", ins("x", "w"), ins("a")), norm("n", "a", "b"),
		node("Gemm", ins("b", "w"), ins("c")), norm("n", "c", "y")), weight("w", 4, 4)), 2, "Gemm Gemm"},
	{"a weight with two readers", bnGraph(dims(2, 4), 4, nodes(node("Gemm", ins("x", "w"), ins("a")), norm("n", "a", "b"),
		node("Gemm", ins("b", "w"), ins("y"))), weight("w", 4, 4)), 1, "Gemm Gemm"},
}

// TestBatchNorm merges and compares what is computed.
func TestBatchNorm(t *testing.T) {
	for _, c := range bnCases {
		t.Run(c.name, func(t *testing.T) {
			m := onnxtest.Reparse(t, onnxtest.Model(13, c.graph))
			mergeAll(t, m, c.merged)
			if got := ops(m.Graph); got != c.ops {
				t.Errorf("operators %q, want %q", got, c.ops)
			}
		})
	}
}

// mergeAll merges in m, expects that many, and compares the outputs.
func mergeAll(t *testing.T, m *onnx.Model, want int) {
	t.Helper()
	in := onnxtest.Inputs(t, m, 1, nil)
	before := onnxtest.Run(t, m, in)
	n, err := fold.BatchNorm(m)
	if err != nil || n != want {
		t.Fatalf("%d merged, want %d; error %v", n, want, err)
	}
	m = onnxtest.Reparse(t, m)
	onnxtest.Equal(t, onnxtest.Run(t, m, in), before, 1e-5)
	index := onnx.NewIndex(m.Graph)
	for _, w := range m.Graph.Initializers {
		if len(index.Consumers(w.Name)) == 0 {
			t.Errorf("%q is left without a reader", w.Name)
		}
	}
}

// TestBatchNormShared makes one weight and one bias for two equal layers.
func TestBatchNormShared(t *testing.T) {
	for _, c := range bnCases {
		if c.name != "shared by two layers" {
			continue
		}
		m := onnxtest.Reparse(t, onnxtest.Model(13, c.graph))
		if _, err := fold.BatchNorm(m); err != nil {
			t.Fatal(err)
		}
		if got := weights(m.Graph); got != "w_bn w_bias_bn" {
			t.Errorf("weights %q", got)
		}
	}
}

// TestBatchNormRefused leaves what is not inference over constants.
func TestBatchNormRefused(t *testing.T) {
	negative := []*onnx.Tensor{weight("w", 5, 4), weight("ns", 4), weight("nb", 4), weight("nm", 4),
		onnxtest.Floats("nv", tensor.Shape{4}, 1, 1, -1, 1)}
	training := nodes(node("Gemm", ins("x", "w"), ins("a")), norm("n", "a", "y", onnx.IntAttr("training_mode", 1)))
	plain := nodes(node("Gemm", ins("x", "w"), ins("a")), norm("n", "a", "y"))
	input := bnGraph(dims(2, 5), 4, plain, weight("w", 5, 4))
	input.Inputs = append(input.Inputs, onnxtest.Value("nv", f32, 4))
	output := bnGraph(dims(2, 5), 4, plain, weight("w", 5, 4))
	output.Outputs = append(output.Outputs, onnxtest.Output("a"))
	for name, g := range map[string]*onnx.Graph{
		"training": bnGraph(dims(2, 5), 4, training, weight("w", 5, 4)),
		"negative": graph(dims(2, 5), plain, negative...),
		"input":    input,
		"output":   output,
		"channels": bnGraph(dims(2, 5), 3, plain, weight("w", 5, 4)),
	} {
		m := onnxtest.Model(14, g)
		before := string(marshal(t, m))
		if n, err := fold.BatchNorm(m); n != 0 || err != nil || string(marshal(t, m)) != before {
			t.Errorf("%s: %d merged, error %v, or the model changed", name, n, err)
		}
	}
}

// TestBatchNormReal merges all of the two real networks, whose Identity nodes
// hide shared biases.
func TestBatchNormReal(t *testing.T) {
	for name, want := range map[string]int{"mnist-cnn/mnist-cnn-bn.onnx": 6, "resnet-tiny/resnet-tiny-bn.onnx": 15} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			m, err := onnx.Open(filepath.Join(orttest.Root(t), "testdata/models", name))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if _, err := fold.Simplify(m); err != nil {
				t.Fatal(err)
			}
			mergeAll(t, m, want)
		})
	}
}
