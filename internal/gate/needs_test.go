package gate

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

func TestNeeds(t *testing.T) {
	contrib := func(op string, attrs ...*onnx.Attribute) *onnx.Node {
		n := onnx.NewNode(op, op, []string{"x"}, []string{op}, attrs...)
		n.Domain = "com.microsoft"
		return n
	}
	for _, c := range []struct {
		opset, ir int64
		nodes     []*onnx.Node
		want      string
	}{
		{7, 3, nil, "1.0"},
		{11, 6, nil, "1.0"},
		{12, 7, nil, "1.6"}, // the file format is newer than the operators
		{13, 7, nil, "1.6"},
		{15, 8, nil, "1.10"},
		{16, 8, nil, "1.11"},
		{17, 8, nil, "1.12"},
		{17, 10, nil, "1.18"},
		{22, 10, nil, "1.21"},
		{26, 13, nil, "1.25"},
		{21, 10, []*onnx.Node{onnx.NewNode("DequantizeLinear", "n", []string{"x"}, []string{"y"}, onnx.IntAttr("block_size", 32))}, "1.19"},
		{99, 8, nil, ""},
		{17, 99, nil, ""},
		{11, 6, []*onnx.Node{contrib("QAttention")}, "1.4"},
		{17, 8, []*onnx.Node{contrib("QAttention"), contrib("Unheard")}, "1.12"},
		{17, 8, []*onnx.Node{contrib("MatMulNBits", onnx.IntAttr("bits", 4))}, "1.17"},
		{17, 8, []*onnx.Node{contrib("MatMulNBits", onnx.IntAttr("bits", 8))}, "1.22"},
		{17, 8, []*onnx.Node{contrib("MatMulNBits", onnx.IntAttr("bits", 2))}, "1.24"},
		{17, 8, []*onnx.Node{contrib("GatherBlockQuantized")}, "1.20"},
		{17, 8, []*onnx.Node{contrib("GatherBlockQuantized", onnx.IntAttr("bits", 8))}, "1.23"},
		{17, 8, []*onnx.Node{onnx.NewNode("MatMulNBits", "n", []string{"x"}, []string{"y"})}, "1.12"}, // somebody else's
	} {
		m := &onnx.Model{IRVersion: c.ir, Opsets: []onnx.Opset{{Version: c.opset}}, Graph: &onnx.Graph{Nodes: c.nodes}}
		if opset, got := needs(m); opset != c.opset || got != c.want {
			t.Errorf("opset %d, format %d, %d nodes: %q, want %q", c.opset, c.ir, len(c.nodes), got, c.want)
		}
	}
}

// TestNeedsType: ONNX Runtime 1.18 knows opset 21, and does not load its 4-bit types.
func TestNeedsType(t *testing.T) {
	m := &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 21}}, Graph: &onnx.Graph{Initializers: []*onnx.Tensor{
		onnx.NewTensor("w", tensor.Tensor{DType: tensor.Uint4, Shape: tensor.Shape{2}, Data: []byte{0}})}}}
	if _, got := needs(m); got != "1.19" {
		t.Errorf("%q, want 1.19", got)
	}
}

func TestLater(t *testing.T) {
	for _, c := range [][3]string{{"1.3", "1.12", "1.12"}, {"1.12", "1.3", "1.12"}, {"1.9", "1.10", "1.10"}, {"1.3", "", "1.3"}, {"", "1.0", "1.0"}, {"1.4", "1.4", "1.4"}} {
		if got := later(c[0], c[1]); got != c[2] {
			t.Errorf("later(%q, %q) = %q", c[0], c[1], got)
		}
	}
}

// TestTablesAscend: since takes the first entry that is not below.
func TestTablesAscend(t *testing.T) {
	for _, table := range [][]introduced{opsetSince, irSince} {
		for i := 1; i < len(table); i++ {
			a, b := table[i-1], table[i]
			if b.number <= a.number || later(a.version, b.version) != b.version {
				t.Errorf("%+v after %+v", b, a)
			}
		}
	}
}
