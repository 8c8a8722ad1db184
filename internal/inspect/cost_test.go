package inspect

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// TestCostFigures compares with what the models' layers come to.
func TestCostFigures(t *testing.T) {
	type shapes = map[string]tensor.Shape
	// A block has four square products of the width and two of it with the fourfold
	// width for each position, and two of all pairs of positions over the width.
	gpt := func(batch, seq, width, layers, vocab uint64) uint64 {
		return batch * seq * (layers*(12*width*width+2*seq*width) + width*vocab)
	}
	for _, c := range []struct {
		file   string
		inputs shapes
		want   uint64
	}{
		{"digits-mlp/digits-mlp.onnx", shapes{"pixels": {16, 1, 28, 28}}, 16 * (784*256 + 256*128 + 128*10)},
		{"mnist-cnn/mnist-cnn.onnx", shapes{"pixels": {4, 1, 28, 28}}, 4 * 3138048},
		{"tinygpt/tinygpt.onnx", shapes{"input_ids": {1, 128}, "attention_mask": {1, 128}}, gpt(1, 128, 192, 4, 2048)},
		{"tinygpt/tinygpt-dynamo.onnx", shapes{"input_ids": {8, 64}, "attention_mask": {8, 64}}, gpt(8, 64, 192, 4, 2048)},
		{"tinygpt-s/tinygpt-s.onnx", shapes{"input_ids": {2, 100}, "attention_mask": {2, 100}}, gpt(2, 100, 128, 2, 2048)},
		// The shape of the mask follows from that of the ids: they have symbols in common.
		{"tinygpt/tinygpt.onnx", shapes{"input_ids": {1, 128}}, gpt(1, 128, 192, 4, 2048)},
	} {
		m := open(t, filepath.Join(models, c.file))
		if got, ok := CostAt(m, renamed(m, c.inputs)); !ok || got != (Cost{Float: c.want}) {
			t.Errorf("%s at %v: %+v, %v; want %d", c.file, c.inputs, got, ok, c.want)
		}
	}
}

// renamed gives a single shape the name of the model's only input.
func renamed(m *onnx.Model, in map[string]tensor.Shape) map[string]tensor.Shape {
	if len(m.Graph.Inputs) > 1 {
		return in
	}
	return map[string]tensor.Shape{m.Graph.Inputs[0].Name: slices.Collect(maps.Values(in))[0]}
}

// TestCostRefuses: shapes that contradict the model, each other, or the
// products have no cost.
func TestCostRefuses(t *testing.T) {
	m := open(t, filepath.Join(models, "tinygpt/tinygpt.onnx"))
	for name, in := range map[string]map[string]tensor.Shape{
		"nothing given":       {},
		"no such input":       {"input_ids": {1, 8}, "other": {1}},
		"rank":                {"input_ids": {8}, "attention_mask": {1, 8}},
		"symbols differ":      {"input_ids": {1, 8}, "attention_mask": {1, 9}},
		"negative":            {"input_ids": {1, -8}, "attention_mask": {1, -8}},
		"more than can be":    {"input_ids": {math.MaxInt32, math.MaxInt32}},
		"beyond all overflow": {"input_ids": {math.MaxInt64, math.MaxInt64}},
	} {
		if c, ok := CostAt(m, in); ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
	digits := open(t, filepath.Join(models, "digits-mlp/digits-mlp.onnx"))
	if c, ok := CostAt(digits, renamed(digits, map[string]tensor.Shape{"": {1, 1, 28, 27}})); ok {
		t.Errorf("a fixed dimension is ignored: %+v", c)
	}
	// The input takes any size, the weight does not, and what the exporter
	// declared of the product must not hide it.
	g := &onnx.Graph{
		Inputs:       []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, -1, -1)},
		Outputs:      []*onnx.ValueInfo{onnxtest.Value("y", tensor.Float32, 1, 4)},
		Initializers: []*onnx.Tensor{onnxtest.Floats("w", tensor.Shape{3, 4}, make([]float32, 12)...)},
		Nodes:        []*onnx.Node{onnx.NewNode("MatMul", "n", []string{"x", "w"}, []string{"y"})},
	}
	for size, fits := range map[int64]bool{3: true, 5: false} {
		c, ok := CostAt(onnxtest.Model(17, g), map[string]tensor.Shape{"x": {7, size}})
		if ok != fits || fits && c.Float != 7*3*4 {
			t.Errorf("depth %d: %+v, %v", size, c, ok)
		}
	}
}

// of builds a graph of nodes over inputs and initializers of zeros; a name that
// begins with "q" is uint8, all others float32.
func of(inputs, constants map[string]tensor.Shape, nodes ...*onnx.Node) *onnx.Model {
	g := &onnx.Graph{Nodes: nodes}
	dtype := func(name string) tensor.DType {
		if name[0] == 'q' {
			return tensor.Uint8
		}
		return tensor.Float32
	}
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		g.Inputs = append(g.Inputs, onnxtest.Value(name, dtype(name), inputs[name]...))
	}
	for _, name := range slices.Sorted(maps.Keys(constants)) {
		d, s := dtype(name), constants[name]
		t := onnx.NewLazyTensor(name, d, s, func(dst []byte) error { clear(dst); return nil })
		g.Initializers = append(g.Initializers, t)
	}
	return onnxtest.Model(21, g)
}

// TestCostKinds tells what runs on integers from what does not.
func TestCostKinds(t *testing.T) {
	type shapes = map[string]tensor.Shape
	attr := onnx.IntAttr
	node := func(op, domain, out string, in []string, attrs ...*onnx.Attribute) *onnx.Node {
		n := onnx.NewNode(op, op, in, []string{out}, attrs...)
		n.Domain = domain
		return n
	}
	dequantize := func(in string) *onnx.Node {
		return node("DequantizeLinear", "", "d"+in, []string{in, "s"})
	}
	const ms = "com.microsoft"
	for name, c := range map[string]struct {
		m    *onnx.Model
		want Cost
	}{
		"both dequantized": {of(shapes{"q": {5, 3}}, shapes{"qw": {3, 4}, "s": {}},
			dequantize("q"), dequantize("qw"), node("MatMul", "", "y", []string{"dq", "dqw"})), Cost{Integer: 60}},
		"weight alone dequantized": {of(shapes{"x": {5, 3}}, shapes{"qw": {3, 4}, "s": {}},
			dequantize("qw"), node("MatMul", "", "y", []string{"x", "dqw"})), Cost{Float: 60}},
		"data alone dequantized": {of(shapes{"q": {5, 3}}, shapes{"w": {4, 3}, "s": {}},
			dequantize("q"), node("Gemm", "", "y", []string{"dq", "w"}, attr("transB", 1))), Cost{Float: 60}},
		"convolution": {of(shapes{"q": {1, 2, 8, 8}}, shapes{"qw": {6, 2, 3, 3}, "s": {}},
			dequantize("q"), dequantize("qw"), node("Conv", "", "y", []string{"dq", "dqw"})), Cost{Integer: 6 * 36 * 18}},
		"dynamic": {of(shapes{"x": {5, 3}}, shapes{"qw": {3, 4}, "s": {}},
			node("DynamicQuantizeMatMul", ms, "y", []string{"x", "qw", "s"})), Cost{Integer: 60}},
		"quantized convolution": {of(shapes{"q": {1, 2, 8, 8}}, shapes{"qw": {6, 2, 3, 3}, "s": {}, "qz": {}},
			node("QLinearConv", "", "y", []string{"q", "s", "qz", "qw", "s", "qz", "s", "qz"})), Cost{Integer: 6 * 36 * 18}},
		"blocks in integers": {of(shapes{"x": {2, 7, 64}}, shapes{"qw": {10, 2, 16}, "s": {10, 2}},
			node("MatMulNBits", ms, "y", []string{"x", "qw", "s"}, attr("K", 64), attr("N", 10), attr("accuracy_level", 4))), Cost{Integer: 14 * 640}},
		"blocks in float": {of(shapes{"x": {2, 7, 64}}, shapes{"qw": {10, 2, 16}, "s": {10, 2}},
			node("MatMulNBits", ms, "y", []string{"x", "qw", "s"}, attr("K", 64), attr("N", 10))), Cost{Float: 14 * 640}},
		"integers with their weight alone": {of(shapes{"q": {2, 5, 8}}, shapes{"qw": {8, 24}, "b": {24}, "s": {}, "qz": {}},
			node("QAttention", ms, "y", []string{"q", "qw", "b", "s", "s", "", "qz", "qz"}, attr("num_heads", 2))),
			Cost{Float: 2 * 2 * 5 * 5 * 8, Integer: 2 * 5 * 8 * 24}},
		"no product": {of(shapes{"x": {5}}, nil, node("Relu", "", "y", []string{"x"})), Cost{}},
	} {
		if got, ok := CostAt(c.m, nil); !ok || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, ok, c.want)
		}
	}
	for _, domain := range []string{"com.example", "com.microsoft.nchwc"} {
		m := of(shapes{"x": {1, 2, 8, 8}}, shapes{"w": {6, 2, 3, 3}}, node("Conv", domain, "y", []string{"x", "w"}))
		if got, ok := CostAt(m, nil); ok {
			t.Errorf("Conv of %s: %+v", domain, got)
		}
	}
}

// TestReadBytes: a table of which rows are taken is not read, unless a product
// reads it, too.
func TestReadBytes(t *testing.T) {
	for file, want := range map[string]int64{
		"digits-mlp/digits-mlp.onnx": 4 * 235146,
		// tinygpt.onnx holds the head apart from the embedding, and 128 positions.
		"tinygpt/tinygpt.onnx":        4 * (2197632 - 128*192),
		"tinygpt/tinygpt-dynamo.onnx": 4 * (2197632 - 128*192),
	} {
		m := open(t, filepath.Join(models, file))
		// Lists that shapes are made of come on top.
		if got := ReadBytes(m); got < want || got > want+want/100 {
			t.Errorf("%s: %d bytes, want about %d", file, got, want)
		}
	}
}

// FuzzCostAt: no model and no shape makes it panic, and what it returns can be
// summed up.
func FuzzCostAt(f *testing.F) {
	type shapes = map[string]tensor.Shape
	attention := onnx.NewNode("Attention", "a", []string{"x", "w", "b", "", "p"}, []string{"y", "present"}, onnx.IntAttr("num_heads", 2))
	attention.Domain = "com.microsoft"
	for _, m := range []*onnx.Model{
		of(shapes{"x": {2, 5, 8}, "p": {2, 2, 2, 3, 4}}, shapes{"w": {8, 24}, "b": {24}}, attention),
		of(shapes{"x": {1, 2, 8, 8}}, shapes{"w": {6, 2, 3, 3}}, onnx.NewNode("Conv", "c", []string{"x", "w"}, []string{"h"}),
			onnx.NewNode("ConvTranspose", "t", []string{"h", "w"}, []string{"y"}, onnx.IntListAttr("strides", 2, 2))),
		of(shapes{"x": {7, 2, 3}}, shapes{"w": {1, 20, 3}, "r": {1, 20, 5}},
			onnx.NewNode("LSTM", "l", []string{"x", "w", "r"}, []string{"y"}, onnx.IntAttr("hidden_size", 5))),
		of(shapes{"x": {5, 3}}, shapes{"w": {3, 4}}, onnx.NewNode("Shape", "s", []string{"x"}, []string{"d"}),
			onnx.NewNode("ConstantOfShape", "k", []string{"d"}, []string{"z"}), onnx.NewNode("MatMul", "m", []string{"z", "w"}, []string{"y"}),
			onnx.NewNode("Reshape", "r", []string{"y", "d"}, []string{"v"}), onnx.NewNode("Split", "p", []string{"v"}, []string{"a", "b"})),
	} {
		m.Graph.Outputs = []*onnx.ValueInfo{onnxtest.Output("y")}
		b, err := m.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, int64(7))
		f.Add(b, int64(math.MaxInt64))
	}
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		m, err := onnx.Parse(b)
		if err != nil {
			return
		}
		in := shapes{}
		for _, v := range m.Graph.Inputs {
			rank := 3
			if v.Type != nil {
				rank = len(v.Type.Dims)
			}
			in[v.Name] = slices.Repeat(tensor.Shape{size}, rank)
		}
		for _, given := range []shapes{nil, in} {
			if c, ok := CostAt(m, given); c.Total() > maxCost || !ok && c != (Cost{}) {
				t.Errorf("%+v, %v", c, ok)
			}
		}
		MACs(m)
	})
}
