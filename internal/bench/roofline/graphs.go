package roofline

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// side is the inner dimension and the columns of the matrix products: large
// enough for the kernels to reach their speed, small enough for the caches.
const side = 1024

// rows is the symbol of the first factor's rows.
const rows = "rows"

// value is an input or output; a dimension of -1 is the symbol of the rows.
func value(name string, d tensor.DType, dims ...int64) *onnx.ValueInfo {
	v := &onnx.ValueInfo{Name: name, Type: onnx.TensorType(d, dims...)}
	for i, n := range dims {
		if n < 0 {
			v.Type.Dims[i] = onnx.Dim{Symbol: rows}
		}
	}
	return v
}

func model(g *onnx.Graph) ([]byte, error) {
	g.Name = "roofline"
	m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}, {Domain: "com.microsoft", Version: 1}}, Graph: g}
	return m.Marshal()
}

// floatProduct is y = x·w in float32 with a constant w.
func floatProduct() ([]byte, error) {
	w := make([]float32, side*side)
	for i := range w {
		w[i] = float32(i%17-8) / 64
	}
	return model(&onnx.Graph{
		Inputs:       []*onnx.ValueInfo{value("x", tensor.Float32, -1, side)},
		Outputs:      []*onnx.ValueInfo{value("y", tensor.Float32, -1, side)},
		Initializers: []*onnx.Tensor{onnx.NewTensor("w", tensor.Of(tensor.Float32, tensor.Shape{side, side}, w))},
		Nodes:        []*onnx.Node{onnx.NewNode("MatMul", "product", []string{"x", "w"}, []string{"y"})},
	})
}

// integerProduct is y = x·w of uint8 and int8, summed up in int32, with the scales
// of a quantized layer: the kernel that runs the integer products of models
// that optim has quantized.
func integerProduct() ([]byte, error) {
	w, scales := make([]int8, side*side), make([]float32, side)
	for i := range w {
		w[i] = int8(i%17 - 8)
	}
	for i := range scales {
		scales[i] = 1.0 / 64
	}
	n := onnx.NewNode("MatMulIntegerToFloat", "product", []string{"x", "w", "x_scale", "w_scale", "x_zero"}, []string{"y"})
	n.Domain = "com.microsoft"
	return model(&onnx.Graph{
		Inputs:  []*onnx.ValueInfo{value("x", tensor.Uint8, -1, side)},
		Outputs: []*onnx.ValueInfo{value("y", tensor.Float32, -1, side)},
		Initializers: []*onnx.Tensor{
			onnx.NewTensor("w", tensor.Of(tensor.Int8, tensor.Shape{side, side}, w)),
			onnx.NewTensor("x_scale", tensor.Of(tensor.Float32, tensor.Shape{}, []float32{1})),
			onnx.NewTensor("w_scale", tensor.Of(tensor.Float32, tensor.Shape{side}, scales)),
			onnx.NewTensor("x_zero", tensor.Of(tensor.Uint8, tensor.Shape{}, []uint8{128})),
		},
		Nodes: []*onnx.Node{n},
	})
}

// vectorProduct is y = x·w of one row. The matrix is an input, so that there is
// one copy of it: a constant would stand in the file, and be packed besides.
func vectorProduct(columns int64) ([]byte, error) {
	return model(&onnx.Graph{
		Inputs:  []*onnx.ValueInfo{value("x", tensor.Float32, 1, side), value("w", tensor.Float32, side, columns)},
		Outputs: []*onnx.ValueInfo{value("y", tensor.Float32, 1, columns)},
		Nodes:   []*onnx.Node{onnx.NewNode("MatMul", "product", []string{"x", "w"}, []string{"y"})},
	})
}
