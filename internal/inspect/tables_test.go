package inspect

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// TestQuantizedTable: a table of integers counts as the weights that it is, the
// scales of its rows do not.
func TestQuantizedTable(t *testing.T) {
	table := onnx.NewTensor("table", tensor.Of(tensor.Int8, tensor.Shape{6, 4}, make([]int8, 24)))
	scales := onnx.NewTensor("scales", tensor.Of(tensor.Float32, tensor.Shape{6, 1}, make([]float32, 6)))
	other := onnx.NewTensor("other", tensor.Of(tensor.Float32, tensor.Shape{3, 4}, make([]float32, 12)))
	m := onnxtest.Model(13, &onnx.Graph{
		Inputs:       []*onnx.ValueInfo{onnxtest.Value("ids", tensor.Int64, 1, -1)},
		Outputs:      []*onnx.ValueInfo{onnxtest.Output("y")},
		Initializers: []*onnx.Tensor{table, scales, other},
		Nodes: []*onnx.Node{
			onnx.NewNode("Gather", "rows", []string{"table", "ids"}, []string{"q"}),
			onnx.NewNode("Cast", "cast", []string{"q"}, []string{"f"}, onnx.IntAttr("to", 1)),
			onnx.NewNode("Gather", "factors", []string{"scales", "ids"}, []string{"s"}),
			onnx.NewNode("Mul", "mul", []string{"f", "s"}, []string{"x"}),
			onnx.NewNode("Gather", "float", []string{"other", "ids"}, []string{"z"}),
			onnx.NewNode("Add", "add", []string{"x", "z"}, []string{"y"}),
		},
	})
	if got := Parameters(m); got != 24+12 {
		t.Errorf("%d parameters, want 36", got)
	}
}
