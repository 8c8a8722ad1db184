package train

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// places are the inputs that parameters have in operators. Others are constants of the
// computation: running statistics, scales of Resize, exponents.
var places = map[string][]int{
	"MatMul": {0, 1}, "Gemm": {0, 1, 2}, "Einsum": {0, 1}, "Conv": {1, 2}, "ConvTranspose": {1, 2},
	"Gather": {0}, "PRelu": {1}, "Add": {0, 1}, "Sub": {0, 1}, "Mul": {0, 1}, "Div": {0, 1},
	"LayerNormalization": {1, 2}, "BatchNormalization": {1, 2}, "InstanceNormalization": {1, 2},
	"GroupNormalization": {1, 2}, "SimplifiedLayerNormalization": {1},
}

// through are operators that give a parameter another form on its way.
var through = map[string]bool{
	"Identity": true, "Transpose": true, "Reshape": true, "Unsqueeze": true, "Squeeze": true, "Slice": true, "Expand": true,
}

// maskBelow: numbers this low are masks of attention, not parameters.
const maskBelow = -1e4

// Trainable returns the parameters of a model: float32 initializers of more than one
// element in the places where operators have parameters, with their values.
func Trainable(m *onnx.Model) ([]Weight, error) {
	index := onnx.NewIndex(m.Graph)
	var out []Weight
	for _, t := range m.Graph.Initializers {
		if t.DType != tensor.Float32 || t.Elements() < 2 || index.IsInput(t.Name) || !isParameter(index, t.Name, map[string]bool{}) {
			continue
		}
		value, err := t.Value()
		if err != nil {
			return nil, err
		}
		v := make([]float32, value.Len())
		if err := tensor.ToFloat32(v, value); err != nil {
			return nil, err
		}
		if isMask(v) {
			continue
		}
		out = append(out, Weight{Name: t.Name, Shape: t.Shape.Clone(), First: v, Decay: decays(t.Shape)})
	}
	return out, nil
}

func isParameter(index *onnx.Index, v string, seen map[string]bool) bool {
	if seen[v] {
		return false
	}
	seen[v] = true
	for _, n := range index.Consumers(v) {
		if n.Domain != "" && n.Domain != "ai.onnx" {
			continue
		}
		for _, i := range places[n.OpType] {
			if n.Input(i) == v {
				return true
			}
		}
		if through[n.OpType] && n.Input(0) == v && isParameter(index, n.Output(0), seen) {
			return true
		}
	}
	return false
}

func isMask(v []float32) bool {
	for _, x := range v {
		if float64(x) < maskBelow || math.IsInf(float64(x), 0) {
			return true
		}
	}
	return false
}

// decays: matrices and kernels, not what has one dimension that is not 1.
func decays(s tensor.Shape) bool {
	axes := 0
	for _, d := range s {
		if d > 1 {
			axes++
		}
	}
	return axes > 1
}

// Put writes the named trained tensors into a model, in the place of initializers of the
// same name and shape.
func Put(m *onnx.Model, names []string, w map[string]tensor.Tensor) {
	place := map[string]int{}
	for i, t := range m.Graph.Initializers {
		place[t.Name] = i
	}
	for _, name := range names {
		t, ok := w[name]
		if i, here := place[name]; ok && here && t.Shape.Equal(m.Graph.Initializers[i].Shape) {
			t.Data = append([]byte(nil), t.Data...)
			m.Graph.Initializers[i] = onnx.NewTensor(name, t)
		}
	}
}
