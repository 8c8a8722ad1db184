package quant_test

import (
	"fmt"
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
)

func TestDynamicMatMul(t *testing.T) {
	tests := []struct {
		name    string
		build   func(n *net) *onnx.Model
		kernels string
		nodes   string
	}{
		{"matrix", func(n *net) *onnx.Model {
			return n.output(n.op("MatMul", []string{n.input("x", 4, 64), n.weight("w", 64, 32)}))
		}, "DynamicQuantizeMatMul:1 MatMul:0", "DynamicQuantizeLinear:1 MatMulInteger:1"},
		{"batch", func(n *net) *onnx.Model {
			return n.output(n.op("MatMul", []string{n.input("x", 2, 5, 64), n.weight("w", 64, 32)}))
		}, "DynamicQuantizeMatMul:1 MatMul:0", "DynamicQuantizeLinear:1"},
		{"vector", func(n *net) *onnx.Model {
			return n.output(n.op("MatMul", []string{n.input("x", 64), n.weight("w", 64, 32)}))
		}, "MatMul:0", "MatMulInteger:1"},
		{"shared input", func(n *net) *onnx.Model {
			x := n.input("x", 2, 5, 64)
			a := n.op("MatMul", []string{x, n.weight("q", 64, 64)})
			b := n.op("MatMul", []string{x, n.weight("k", 64, 64)})
			c := n.op("MatMul", []string{x, n.weight("v", 64, 32)})
			return n.output(a, b, c)
		}, "DynamicQuantizeLinear:1 MatMulIntegerToFloat:3 MatMul:0", "DynamicQuantizeLinear:1 MatMulInteger:3"},
		{"shared weight", func(n *net) *onnx.Model {
			w := n.weight("w", 64, 64)
			a := n.op("MatMul", []string{n.input("x", 5, 64), w})
			return n.output(n.op("MatMul", []string{n.op("Tanh", []string{a}), w}))
		}, "DynamicQuantizeMatMul:2", "MatMulInteger:2"},
		{"bias", func(n *net) *onnx.Model {
			a := n.op("MatMul", []string{n.input("x", 5, 64), n.weight("w", 64, 48)})
			return n.output(n.op("Add", []string{a, n.weight("b", 48)}))
		}, "DynamicQuantizeMatMul:1 Add:0", "MatMulInteger:1"},
		{"output of the graph, input of the next", func(n *net) *onnx.Model {
			a := n.op("MatMul", []string{n.input("x", 5, 64), n.weight("w", 64, 48)})
			return n.output(a, n.op("MatMul", []string{a, n.weight("v", 48, 16)}))
		}, "DynamicQuantizeMatMul:2", "MatMulInteger:2"},
		{"graph input that is an output", func(n *net) *onnx.Model {
			x := n.input("x", 5, 64)
			y := n.op("MatMul", []string{x, n.weight("w", 64, 48)})
			return n.output(y, x)
		}, "DynamicQuantizeMatMul:1", ""},
		{"weight that is a graph input too", func(n *net) *onnx.Model {
			y := n.op("MatMul", []string{n.input("x", 5, 64), n.weight("w", 64, 48)})
			m := n.output(y)
			n.input("w", 64, 48)
			return m
		}, "DynamicQuantizeMatMul:1", ""},
		{"empty names", func(n *net) *onnx.Model {
			a := n.op("MatMul", []string{n.input("x", 5, 64), n.weight("w", 64, 48)})
			n.last().Name = ""
			b := n.op("MatMul", []string{a, n.weight("v", 48, 48)})
			n.last().Name = ""
			c := n.op("MatMul", []string{b, n.weight("u", 48, 48)})
			n.last().Name = ""
			return n.output(c)
		}, "DynamicQuantizeMatMul:3", ""},
		{"zero columns of the weight", func(n *net) *onnx.Model {
			v := n.normal(64*32, 0.2)
			for i := range v {
				if i%32 < 2 {
					v[i] = 0
				}
			}
			return n.output(n.op("MatMul", []string{n.input("x", 4, 64), n.floats("w", v, 64, 32)}))
		}, "DynamicQuantizeMatMul:1", ""},
		{"transposed weight", func(n *net) *onnx.Model {
			w := n.op("Transpose", []string{n.weight("w", 32, 64)}, onnx.IntListAttr("perm", 1, 0))
			return n.output(n.op("MatMul", []string{n.input("x", 4, 64), w}))
		}, "DynamicQuantizeMatMul:1 Transpose:0", "Transpose:0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.build(newNet(17))
			apply(t, m, options(t, quant.Dynamic)).close(0.02).runs(tt.kernels).nodes(tt.nodes).floatsBelow(64)
		})
	}
}

// TestDynamicGemm runs all combinations of transposition, factors and forms of
// the bias.
func TestDynamicGemm(t *testing.T) {
	const rows, in, out = 6, 48, 40
	biases := map[string][]int64{"none": nil, "scalar": {}, "vector": {out}, "row": {1, out}, "column": {rows, 1}, "full": {rows, out}}
	for i := range 4 {
		transA, transB := int64(i&1), int64(i>>1)
		for _, factors := range [][2]float32{{1, 1}, {0.5, 2}, {-2, 1}, {1, 0}} {
			for name, dims := range biases {
				t.Run(fmt.Sprintf("transA=%d transB=%d factors=%v bias=%s", transA, transB, factors, name), func(t *testing.T) {
					n := newNet(17)
					x, w := []int64{rows, in}, []int64{in, out}
					if transA == 1 {
						x = []int64{in, rows}
					}
					if transB == 1 {
						w = []int64{out, in}
					}
					inputs := []string{n.input("x", x...), n.weight("w", w...)}
					if dims != nil {
						inputs = append(inputs, n.weight("b", dims...))
					}
					m := n.output(n.op("Gemm", inputs, onnx.IntAttr("transA", transA), onnx.IntAttr("transB", transB),
						onnx.FloatAttr("alpha", factors[0]), onnx.FloatAttr("beta", factors[1])))
					apply(t, m, options(t, quant.Dynamic)).close(0.02).runs("Gemm:0 DynamicQuantizeMatMul:1").nodes("Gemm:0")
				})
			}
		}
	}
}

func TestTiedEmbedding(t *testing.T) {
	ids := func(n *net) string {
		x := n.op("Abs", []string{n.input("x", 2, 5)})
		return n.op("Cast", []string{n.op("Mul", []string{x, n.floats("twenty", []float32{20})})}, onnx.IntAttr("to", 7))
	}
	tests := map[string]func(n *net) *onnx.Model{
		"Transpose and MatMul": func(n *net) *onnx.Model {
			table := n.weight("table", 128, 64)
			h := n.op("Tanh", []string{n.op("Gather", []string{table, ids(n)})})
			w := n.op("Transpose", []string{table}, onnx.IntListAttr("perm", 1, 0))
			return n.output(n.op("MatMul", []string{h, w}))
		},
		"Gemm": func(n *net) *onnx.Model {
			table := n.weight("table", 128, 64)
			h := n.op("Tanh", []string{n.op("Gather", []string{table, ids(n)})})
			h = n.op("Reshape", []string{h, n.ints("flat", -1, 64)})
			return n.output(n.op("Gemm", []string{h, table, n.weight("b", 128)}, onnx.IntAttr("transB", 1)))
		},
	}
	for name, build := range tests {
		for _, perTensor := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " per tensor ", perTensor), func(t *testing.T) {
				o := options(t, quant.Dynamic, func(o *quant.Options) { o.PerTensor = perTensor })
				r := apply(t, build(newNet(17)), o).close(0.03).runs("DynamicQuantizeMatMul:1 Gemm:0 MatMul:0 Transpose:0").floatsBelow(128)
				if stored := len(r.bytes); stored > 128*64+6000 {
					t.Errorf("the file has %d bytes: the table is stored twice", stored)
				}
			})
		}
	}
}

func TestGather(t *testing.T) {
	build := func(attrs []*onnx.Attribute, dims ...int64) *onnx.Model {
		n := newNet(17)
		x := n.op("Cast", []string{n.op("Abs", []string{n.input("x", 2, 5)})}, onnx.IntAttr("to", 7))
		y := n.op("MatMul", []string{n.input("z", 2, 64), n.weight("w", 64, 64)})
		return n.output(n.op("Gather", []string{n.weight("table", dims...), x}, attrs...), y)
	}
	off := func(o *quant.Options) { o.Embeddings = false }
	perTensor := func(o *quant.Options) { o.PerTensor = true }
	t.Run("rows", func(t *testing.T) {
		apply(t, build(nil, 100, 64), options(t, quant.Dynamic)).close(0.01).nodes("Gather:2").floatsBelow(100)
	})
	t.Run("rows, counted from the end", func(t *testing.T) {
		apply(t, build([]*onnx.Attribute{onnx.IntAttr("axis", -2)}, 100, 64), options(t, quant.Dynamic)).close(0.01).nodes("Gather:2").floatsBelow(100)
	})
	t.Run("per tensor", func(t *testing.T) {
		apply(t, build(nil, 100, 64), options(t, quant.Dynamic, perTensor)).close(0.02).nodes("Gather:1").floatsBelow(10)
	})
	t.Run("weight-only", func(t *testing.T) {
		apply(t, build(nil, 100, 64), options(t, quant.WeightOnly)).close(0.02).nodes("GatherBlockQuantized:1 MatMulNBits:1").floatsBelow(200)
	})
	reasons := []struct {
		name, words string
		m           *onnx.Model
		change      []func(*quant.Options)
	}{
		{"embeddings off", "--embeddings=false", build(nil, 100, 64), []func(*quant.Options){off}},
		{"columns", "columns", build([]*onnx.Attribute{onnx.IntAttr("axis", 1)}, 64, 100), nil},
		{"rank 3", "no matrix", build(nil, 10, 30, 30), nil},
		{"small", "small", build(nil, 16, 16), nil},
	}
	for _, tt := range reasons {
		t.Run(tt.name, func(t *testing.T) {
			apply(t, tt.m, options(t, quant.Dynamic, tt.change...)).close(0.02).left("Gather", tt.words).nodes("Gather:1")
		})
	}
}
