package fold_test

import (
	"math"
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/tensor"
)

func TestDenormals(t *testing.T) {
	const least = 0x1p-126 // the smallest normal number
	tiny := math.Float32frombits(1)
	below := math.Float32frombits(1<<23 - 1) // the largest denormal one
	for _, c := range []struct {
		name     string
		in, want []float32
		changed  int
	}{
		{"smallest", []float32{1, tiny}, []float32{1, 0}, 1},
		{"negative", []float32{-tiny, -below, -1}, []float32{0, 0, -1}, 1},
		{"largest", []float32{below, least}, []float32{0, least}, 1},
		{"normal", []float32{0, float32(math.Copysign(0, -1)), least, -least, math.MaxFloat32}, nil, 0},
		{"special", []float32{float32(math.Inf(1)), float32(math.NaN())}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := onnx.NewTensor("w", tensor.Of(tensor.Float32, tensor.Shape{int64(len(c.in))}, slices.Clone(c.in)))
			m := &onnx.Model{Graph: &onnx.Graph{Initializers: []*onnx.Tensor{w}}}
			n, err := fold.Denormals(m, func(*onnx.Tensor) bool { return true })
			if err != nil || n != c.changed {
				t.Fatalf("%d weights changed, error %v; want %d", n, err, c.changed)
			}
			if c.changed == 0 {
				if m.Graph.Initializers[0] != w {
					t.Fatal("a weight without denormal numbers was replaced")
				}
				return
			}
			v, err := m.Graph.Initializers[0].Value()
			if err != nil {
				t.Fatal(err)
			}
			if got := tensor.As[float32](v.Data); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestDenormalsLeaveTheRest: other types and scalars are not touched, weights
// in bodies are found.
func TestDenormalsLeaveTheRest(t *testing.T) {
	tiny := math.Float32frombits(7)
	scalar := onnx.NewTensor("s", tensor.Of(tensor.Float32, nil, []float32{tiny}))
	ints := onnx.NewTensor("i", tensor.Of(tensor.Int32, tensor.Shape{1}, []int32{7}))
	inner := onnx.NewTensor("w", tensor.Of(tensor.Float32, tensor.Shape{1}, []float32{tiny}))
	body := &onnx.Graph{Initializers: []*onnx.Tensor{inner}}
	n := onnx.NewNode("If", "if", []string{"c"}, []string{"y"}, &onnx.Attribute{Name: "then_branch", Type: onnx.AttrGraph, G: body})
	m := &onnx.Model{Graph: &onnx.Graph{Nodes: []*onnx.Node{n}, Initializers: []*onnx.Tensor{scalar, ints}}}
	if n, err := fold.Denormals(m, func(*onnx.Tensor) bool { return true }); err != nil || n != 1 {
		t.Fatalf("%d weights changed, error %v; want 1", n, err)
	}
	if m.Graph.Initializers[0] != scalar || m.Graph.Initializers[1] != ints || body.Initializers[0] == inner {
		t.Error("the wrong weights were changed")
	}
}
