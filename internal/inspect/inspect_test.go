package inspect

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

const models = "../../testdata/models"

func open(t *testing.T, path string) *onnx.Model {
	t.Helper()
	m, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestRealModels checks figures that follow from the models' own pages and
// layer sizes. Batch and sequence are 1.
func TestRealModels(t *testing.T) {
	for _, c := range []struct {
		file                    string
		parameters, macs, bytes int64
		op                      string
		count                   int
	}{
		// 784·256 + 256·128 + 128·10 products, and their biases.
		{"digits-mlp/digits-mlp.onnx", 235146, 234752, 941367, "Gemm", 3},
		{"digits-mlp/digits-mlp-ext.onnx", 235146, 234752, 1589 + 940032, "Gemm", 3},
		// Two exports of one model; one stores the head apart from the embedding.
		{"tinygpt/tinygpt.onnx", 2197632 + 2048*192, 2164224, 10497346, "LayerNormalization", 9},
		{"tinygpt/tinygpt-dynamo.onnx", 2197632, 2164224, 9126693, "LayerNormalization", 9},
		// With and without batch normalization, which costs no products.
		{"mnist-cnn/mnist-cnn.onnx", 48762, 3138048, 197558, "Conv", 6},
		{"mnist-cnn/mnist-cnn-bn.onnx", 49434, 3138048, 202230, "Conv", 6},
	} {
		m := open(t, filepath.Join(models, c.file))
		s, err := Model(m, Options{Nodes: true, Weights: true})
		if err != nil {
			t.Fatal(err)
		}
		if s.Parameters != c.parameters || s.MACs == nil || *s.MACs != c.macs || s.Bytes != c.bytes {
			t.Errorf("%s: parameters %d, MACs %v, bytes %d", c.file, s.Parameters, s.MACs, s.Bytes)
		}
		if s.Operators[c.op] != c.count {
			t.Errorf("%s: %d %s, want %d", c.file, s.Operators[c.op], c.op, c.count)
		}
		total := 0
		for _, n := range s.Operators {
			total += n
		}
		if total != len(s.Nodes) || len(s.Quantization.Kinds) != 0 || len(s.Tensors) == 0 {
			t.Errorf("%s: %d operators, %d nodes, %v", c.file, total, len(s.Nodes), s.Quantization)
		}
		var elements int64
		for _, a := range s.Weights {
			elements += a.Elements
		}
		if elements < s.Parameters {
			t.Errorf("%s: %d elements hold %d parameters", c.file, elements, s.Parameters)
		}
		if p := Parameters(m); p != s.Parameters {
			t.Errorf("%s: Parameters %d", c.file, p)
		}
		if b, err := Bytes(m); err != nil || b != s.Bytes {
			t.Errorf("%s: Bytes %d, %v", c.file, b, err)
		}
	}
}

func TestTables(t *testing.T) {
	for file, want := range map[string][2]int64{
		"tinygpt/tinygpt.onnx": {2048, 128}, "tinygpt/tinygpt-dynamo.onnx": {2048, 128},
		"tinygpt-s/tinygpt-s.onnx": {2048, 128}, "digits-mlp/digits-mlp.onnx": {0, 0},
	} {
		vocab, positions := Tables(open(t, filepath.Join(models, file)))
		if vocab != want[0] || positions != want[1] {
			t.Errorf("%s: vocabulary %d, positions %d, want %v", file, vocab, positions, want)
		}
	}
	shared := "../../../shared/models/minilm/minilm.onnx"
	if _, err := os.Stat(shared); err == nil {
		if vocab, positions := Tables(open(t, shared)); vocab != 30522 || positions != 512 {
			t.Errorf("minilm: vocabulary %d, positions %d", vocab, positions)
		}
	}
}

func TestFind(t *testing.T) {
	m := open(t, filepath.Join(models, "digits-mlp/digits-mlp.onnx"))
	if w, err := Find(m, "fc1.weight"); err != nil || w.Name != "fc1.weight" {
		t.Errorf("%v, %v", w, err)
	}
	if _, err := Find(m, "FC1"); err == nil || !strings.Contains(err.Error(), `["fc1.bias" "fc1.weight"]`) {
		t.Errorf("error %v", err)
	}
	if _, err := Find(m, "nothing"); err == nil || strings.Contains(err.Error(), "there is") {
		t.Errorf("error %v", err)
	}
}

// quantized returns a model with one node of each kind of quantized weight.
func quantized(t *testing.T) *onnx.Model {
	t.Helper()
	zeros := func(name string, d tensor.DType, dims ...int64) *onnx.Tensor {
		v, err := tensor.New(d, dims)
		if err != nil {
			t.Fatal(err)
		}
		return onnx.NewTensor(name, v)
	}
	return &onnx.Model{
		Path: "made.onnx", IRVersion: 10, Opsets: []onnx.Opset{{Version: 21}, {Domain: "com.microsoft", Version: 1}},
		Graph: &onnx.Graph{
			Inputs: []*onnx.ValueInfo{{Name: "x", Type: onnx.TensorType(tensor.Float32, 1, 64)}, {Name: "ids", Type: onnx.TensorType(tensor.Int64, 1)}},
			Initializers: []*onnx.Tensor{
				zeros("b", tensor.Uint8, 10, 2, 16), zeros("bs", tensor.Float32, 10, 2),
				zeros("w", tensor.Int8, 64, 10), zeros("ws", tensor.Float32, 10), zeros("wz", tensor.Int8, 10),
				zeros("e", tensor.Uint8, 100, 32), zeros("es", tensor.Float32, 100, 1),
				zeros("half", tensor.Float32), zeros("bias", tensor.Float32, 10),
				zeros("i8", tensor.Int8, 64, 10), zeros("i8s", tensor.Float32, 10),
			},
			Nodes: []*onnx.Node{
				onnx.NewNode("MatMulNBits", "n1", []string{"x", "b", "bs"}, []string{"y1"},
					onnx.IntAttr("K", 64), onnx.IntAttr("N", 10), onnx.IntAttr("bits", 4), onnx.IntAttr("block_size", 32)),
				onnx.NewNode("DequantizeLinear", "n2", []string{"w", "ws", "wz"}, []string{"wf"}, onnx.IntAttr("axis", 1)),
				onnx.NewNode("MatMul", "n3", []string{"x", "wf"}, []string{"y2"}),
				onnx.NewNode("GatherBlockQuantized", "n4", []string{"e", "ids", "es"}, []string{"y3"}, onnx.IntAttr("bits", 4)),
				onnx.NewNode("Mul", "n5", []string{"y1", "half"}, []string{"y4"}),
				onnx.NewNode("Add", "n6", []string{"y4", "bias"}, []string{"y5"}),
				onnx.NewNode("DynamicQuantizeLinear", "n7", []string{"x"}, []string{"xq", "xs", "xz"}),
				onnx.NewNode("MatMulInteger", "n8", []string{"xq", "i8", "xz"}, []string{"acc"}),
				onnx.NewNode("Mul", "n9", []string{"xs", "i8s"}, []string{"scale"}),
			},
		},
	}
}

// TestParametersOfQuantized: packed weights count as what they mean; scales,
// zero points and numbers of formulas not at all.
func TestParametersOfQuantized(t *testing.T) {
	m := quantized(t)
	want := int64(64*10 + 64*10 + 100*64 + 10 + 64*10)
	if got := Parameters(m); got != want {
		t.Errorf("%d parameters, want %d", got, want)
	}
	roles := map[string]string{}
	r := findRoles(m)
	for _, w := range r.list() {
		roles[w.Name] = w.Role
	}
	if want := map[string]string{
		"b": "weight", "bs": "scale", "w": "weight", "ws": "scale", "wz": "zero point", "e": "weight",
		"es": "scale", "half": "constant", "bias": "weight", "i8": "weight", "i8s": "scale",
	}; !reflect.DeepEqual(roles, want) {
		t.Errorf("roles %v", roles)
	}
	q := quantization(m, r)
	if !slices.Equal(q.Kinds, []string{"dynamic", "weight-only"}) || q.Weights["int8"] != 2 || q.Weights["int4 in blocks of 32"] != 1 || q.Weights["int4 in blocks of 128"] != 1 {
		t.Errorf("quantization %+v", q)
	}
	if n := MACs(m); n == nil || *n != 3*64*10 {
		t.Errorf("MACs %v", n)
	}
}

// TestMACsUnknown: no figure rather than a wrong one.
func TestMACsUnknown(t *testing.T) {
	for name, change := range map[string]func(m *onnx.Model){
		"input without shape": func(m *onnx.Model) { m.Graph.Inputs[0].Type = &onnx.Type{DType: tensor.Float32} },
		"unknown operator": func(m *onnx.Model) {
			m.Graph.Nodes[1] = onnx.NewNode("Frobnicate", "n2", []string{"w"}, []string{"wf"})
		},
		"a body": func(m *onnx.Model) {
			m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("If", "if", []string{"c"}, []string{"z"}, onnx.GraphAttr("then_branch", &onnx.Graph{})))
		},
		"a function": func(m *onnx.Model) { m.Functions = []*onnx.Function{{Name: "Mul"}} },
		"overflow": func(m *onnx.Model) {
			m.Graph.Nodes[0] = onnx.NewNode("MatMulNBits", "n1", []string{"x", "b", "bs"}, []string{"y1"},
				onnx.IntAttr("K", math.MaxInt64), onnx.IntAttr("N", math.MaxInt64))
		},
	} {
		m := quantized(t)
		change(m)
		if n := MACs(m); n != nil {
			t.Errorf("%s: %d", name, *n)
		}
	}
}
