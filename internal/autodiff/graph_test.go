package autodiff_test

import (
	"testing"

	"optim/internal/autodiff"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// TestFull: constants of one shape that differ in value or type are two nodes, equal ones one.
func TestFull(t *testing.T) {
	g := autodiff.NewGraph()
	float := autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{2, 3}}
	double := autodiff.Type{DType: tensor.Float64, Shape: tensor.Shape{2, 3}}
	one := g.Full(float, 1)
	if zero := g.Full(float, 0); zero == one || g.Full(double, 1) == one || g.Full(float, 1) != one {
		t.Error("constants are mixed up")
	}
}

// TestReduceL2OfZeros: the gradient of the length of nothing but zeros is 0.
func TestReduceL2OfZeros(t *testing.T) {
	g := autodiff.NewGraph()
	x := g.Input("x", autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{2, 2}})
	y := g.Op("ReduceL2", autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{2, 1}}, []string{x, g.Ints(1)})
	grads, err := g.Gradients(g.Total(y), []string{x})
	if err != nil {
		t.Fatal(err)
	}
	g.Output("dx", grads[x])
	m := onnxtest.Reparse(t, g.Model())
	got := tensor.As[float32](onnxtest.Run(t, m, map[string]tensor.Tensor{"x": tensor.Of(tensor.Float32, tensor.Shape{2, 2}, []float32{0, 0, 3, 4})})["dx"].Data)
	for i, want := range []float32{0, 0, 0.6, 0.8} {
		if d := got[i] - want; d > 1e-6 || d < -1e-6 || got[i] != got[i] {
			t.Fatalf("%v", got)
		}
	}
}
