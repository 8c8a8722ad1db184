package gate

import (
	"slices"

	"optim/internal/onnx"
)

// firstWith lists the versions of ONNX Runtime that raised the newest opset of
// the default domain they know (ONNX Runtime's table of ONNX opset support).
var firstWith = []struct {
	opset   int64
	version string
}{
	{7, "1.0"}, {11, "1.0"}, {12, "1.3"}, {13, "1.6"}, {14, "1.8"}, {15, "1.10"}, {16, "1.12"}, {17, "1.13"}, {18, "1.14"},
	{19, "1.15"}, {20, "1.17"}, {21, "1.18"}, {22, "1.20"}, {23, "1.23"}, {24, "1.24"},
}

// firstOperator lists the versions that brought operators of com.microsoft.
var firstOperator = map[string]string{
	"DynamicQuantizeMatMul": "1.3", "MatMulIntegerToFloat": "1.3", "QAttention": "1.3",
	"DynamicQuantizeLSTM": "1.5", "MatMulNBits": "1.17",
}

// needs returns the opset of the default domain and the least version of ONNX
// Runtime that runs a model; empty where the opset is newer than the table.
func needs(m *onnx.Model) (opset int64, version string) {
	opset = m.Opset("")
	i := slices.IndexFunc(firstWith, func(f struct {
		opset   int64
		version string
	}) bool {
		return f.opset >= opset
	})
	if i < 0 {
		return opset, ""
	}
	version = firstWith[i].version
	m.WalkNodes(func(n *onnx.Node) {
		if v := firstOperator[n.OpType]; n.Domain == "com.microsoft" && newer(v, version) {
			version = v
		}
	})
	return opset, version
}

// newer reports whether version a, "1.x", comes after b.
func newer(a, b string) bool {
	return len(a) > len(b) || len(a) == len(b) && a > b
}
