package inspect

import (
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// TestDeriveIsWhatRuns compares the dimensions of all outputs with those that
// ONNX Runtime gives, and the cost with the formula of the operator.
func TestDeriveIsWhatRuns(t *testing.T) {
	type shapes = map[string]tensor.Shape
	attr, list := onnx.IntAttr, onnx.IntListAttr
	in := func(names ...string) []string { return names }
	both := onnx.StrAttr("direction", "bidirectional")
	for name, c := range map[string]struct {
		op             string
		microsoft      bool
		opset          int64 // 0: 21
		in             []string
		attrs          []*onnx.Attribute
		inputs, consts shapes
		outputs        int
		want           uint64
	}{
		"lstm": {op: "LSTM", in: in("x", "w", "r"), attrs: []*onnx.Attribute{attr("hidden_size", 5)},
			inputs: shapes{"x": {7, 2, 3}}, consts: shapes{"w": {1, 20, 3}, "r": {1, 20, 5}}, outputs: 3,
			want: 7 * 2 * 4 * 5 * (3 + 5)},
		"lstm both ways": {op: "LSTM", in: in("x", "w", "r"), attrs: []*onnx.Attribute{attr("hidden_size", 5), both},
			inputs: shapes{"x": {7, 2, 3}}, consts: shapes{"w": {2, 20, 3}, "r": {2, 20, 5}}, outputs: 3,
			want: 2 * 7 * 2 * 4 * 5 * (3 + 5)},
		"gru": {op: "GRU", in: in("x", "w", "r"), attrs: []*onnx.Attribute{attr("hidden_size", 4)},
			inputs: shapes{"x": {6, 3, 2}}, consts: shapes{"w": {1, 12, 2}, "r": {1, 12, 4}}, outputs: 2,
			want: 6 * 3 * 3 * 4 * (2 + 4)},
		"rnn": {op: "RNN", in: in("x", "w", "r"), attrs: []*onnx.Attribute{attr("hidden_size", 4)},
			inputs: shapes{"x": {6, 3, 2}}, consts: shapes{"w": {1, 4, 2}, "r": {1, 4, 4}}, outputs: 2,
			want: 6 * 3 * 4 * (2 + 4)},
		"transposed convolution": {op: "ConvTranspose", in: in("x", "w"),
			attrs:  []*onnx.Attribute{list("strides", 2, 3), list("pads", 1, 0, 0, 2), list("output_padding", 1, 2), list("dilations", 2, 1), attr("group", 2)},
			inputs: shapes{"x": {2, 4, 5, 6}}, consts: shapes{"w": {4, 3, 3, 2}}, outputs: 1, want: 2 * 4 * 30 * 3 * 6},
		"grouped convolution": {op: "Conv", in: in("x", "w"),
			attrs:  []*onnx.Attribute{list("strides", 2, 1), list("pads", 1, 0, 0, 2), list("dilations", 1, 2), attr("group", 2)},
			inputs: shapes{"x": {2, 4, 9, 8}}, consts: shapes{"w": {6, 2, 3, 2}}, outputs: 1, want: 2 * 6 * 4 * 8 * 12},
		"row":        {op: "MatMul", in: in("x", "w"), inputs: shapes{"x": {3}}, consts: shapes{"w": {2, 3, 4}}, outputs: 1, want: 24},
		"column":     {op: "MatMul", in: in("x", "w"), inputs: shapes{"x": {2, 5, 3}}, consts: shapes{"w": {3}}, outputs: 1, want: 30},
		"dot":        {op: "MatMul", in: in("x", "w"), inputs: shapes{"x": {3}}, consts: shapes{"w": {3}}, outputs: 1, want: 3},
		"broadcast":  {op: "MatMul", in: in("x", "w"), inputs: shapes{"x": {4, 1, 5, 3}}, consts: shapes{"w": {6, 3, 2}}, outputs: 1, want: 4 * 6 * 30},
		"turned":     {op: "Gemm", in: in("x", "w"), attrs: []*onnx.Attribute{attr("transA", 1), attr("transB", 1)}, inputs: shapes{"x": {3, 5}}, consts: shapes{"w": {4, 3}}, outputs: 1, want: 60},
		"fused turn": {op: "FusedMatMul", microsoft: true, in: in("x", "w"), attrs: []*onnx.Attribute{attr("transA", 1), attr("transB", 1)}, inputs: shapes{"x": {2, 3, 5}}, consts: shapes{"w": {2, 4, 3}}, outputs: 1, want: 120},
		"packed attention": {op: "Attention", microsoft: true, in: in("x", "w", "b"), attrs: []*onnx.Attribute{attr("num_heads", 2)},
			inputs: shapes{"x": {2, 5, 8}}, consts: shapes{"w": {8, 12}, "b": {12}}, outputs: 1, want: 2*5*8*12 + 2*2*5*5*4},
		"attention with a past": {op: "Attention", microsoft: true, in: in("x", "w", "b", "", "p"), attrs: []*onnx.Attribute{attr("num_heads", 2)},
			inputs: shapes{"x": {2, 5, 8}, "p": {2, 2, 2, 3, 4}}, consts: shapes{"w": {8, 24}, "b": {24}}, outputs: 2, want: 2*5*8*24 + 2*2*5*8*8},
		"separate attention with a past": {op: "MultiHeadAttention", microsoft: true, in: in("x", "y", "z", "", "", "", "p", "r"), attrs: []*onnx.Attribute{attr("num_heads", 2)},
			inputs: shapes{"x": {2, 5, 8}, "y": {2, 5, 8}, "z": {2, 5, 8}, "p": {2, 2, 3, 4}, "r": {2, 2, 3, 4}}, outputs: 3, want: 2 * 5 * 8 * (8 + 8)},
		"standard attention with a past": {op: "Attention", opset: 23, in: in("x", "y", "z", "", "p", "r"),
			inputs: shapes{"x": {2, 4, 5, 8}, "y": {2, 4, 5, 8}, "z": {2, 4, 5, 6}, "p": {2, 4, 9, 8}, "r": {2, 4, 9, 6}}, outputs: 3, want: 2 * 4 * 5 * 14 * (8 + 6)},
		"separate attention": {op: "MultiHeadAttention", microsoft: true, in: in("x", "y", "z"), attrs: []*onnx.Attribute{attr("num_heads", 2)},
			inputs: shapes{"x": {2, 5, 8}, "y": {2, 7, 8}, "z": {2, 7, 6}}, outputs: 1, want: 2 * 5 * 7 * (8 + 6)},
		"standard attention": {op: "Attention", opset: 23, in: in("x", "y", "z"),
			inputs: shapes{"x": {2, 4, 5, 8}, "y": {2, 2, 7, 8}, "z": {2, 2, 7, 6}}, outputs: 1, want: 2 * 4 * 5 * 7 * (8 + 6)},
		"standard attention in rows": {op: "Attention", opset: 23, in: in("x", "y", "z"), attrs: []*onnx.Attribute{attr("q_num_heads", 4), attr("kv_num_heads", 2)},
			inputs: shapes{"x": {2, 5, 32}, "y": {2, 7, 16}, "z": {2, 7, 12}}, outputs: 1, want: 2 * 4 * 5 * 7 * (8 + 6)},
		"pooling": {op: "MaxPool", in: in("x"), attrs: []*onnx.Attribute{list("kernel_shape", 3, 2), list("strides", 2, 2), attr("ceil_mode", 1)},
			inputs: shapes{"x": {1, 2, 8, 8}}, outputs: 1},
	} {
		n := onnx.NewNode(c.op, "n", c.in, []string{"o0", "o1", "o2"}[:c.outputs], c.attrs...)
		m := of(c.inputs, c.consts, n)
		if m.IRVersion = 10; c.opset != 0 {
			m.SetOpset("", c.opset)
		}
		if c.microsoft {
			n.Domain = "com.microsoft"
			m.SetOpset(n.Domain, 1)
		}
		for _, o := range n.Outputs {
			m.Graph.Outputs = append(m.Graph.Outputs, onnxtest.Output(o))
		}
		s := newShapes(m.Graph, symbolsAsOne)
		s.node(n)
		for name, got := range onnxtest.Run(t, m, onnxtest.Inputs(t, m, 1, nil)) {
			if !slices.Equal(s.dims[name], got.Shape) {
				t.Errorf("%s: %q has %v, the runtime gives %v", name, n.OpType, s.dims[name], got.Shape)
			}
		}
		if cost, ok := CostAt(m, nil); !ok || cost != (Cost{Float: c.want}) {
			t.Errorf("%s: %+v, %v; want %d", name, cost, ok, c.want)
		}
	}
}
