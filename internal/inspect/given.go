package inspect

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// sizer returns the dimensions of a graph input; nil: not known.
type sizer func(v *onnx.ValueInfo) []int64

// symbolsAsOne takes every dimension that has no number as 1.
func symbolsAsOne(v *onnx.ValueInfo) []int64 {
	return resolved(v, func(d onnx.Dim) (int64, bool) { return 1, true })
}

// givenShapes takes the shapes that the caller gives; ok is false where they
// contradict the model or each other.
func givenShapes(g *onnx.Graph, inputs map[string]tensor.Shape) (_ sizer, ok bool) {
	symbols := map[string]int64{}
	known := 0
	for _, v := range g.Inputs {
		shape, ok := inputs[v.Name]
		if !ok {
			continue
		}
		known++
		if t := g.Initializer(v.Name); t != nil && !t.Shape.Equal(shape) || !fits(v.Type, shape, symbols) {
			return nil, false
		}
	}
	if known < len(inputs) {
		return nil, false // an input that the model does not have
	}
	return func(v *onnx.ValueInfo) []int64 {
		if shape, ok := inputs[v.Name]; ok {
			return append([]int64{}, shape...)
		}
		return resolved(v, func(d onnx.Dim) (int64, bool) {
			size, ok := symbols[d.Symbol]
			return size, ok
		})
	}, true
}

// fits reports whether an input of type t may have this shape, and notes the
// sizes of its symbols.
func fits(t *onnx.Type, shape tensor.Shape, symbols map[string]int64) bool {
	if _, err := shape.Elements(); err != nil || len(shape) > maxRank {
		return false
	}
	if t == nil || !t.HasShape {
		return true
	}
	if len(t.Dims) != len(shape) {
		return false
	}
	for i, d := range t.Dims {
		if d.Symbol == "" {
			if d.Value >= 0 && d.Value != shape[i] {
				return false
			}
			continue
		}
		if size, ok := symbols[d.Symbol]; ok && size != shape[i] {
			return false
		}
		symbols[d.Symbol] = shape[i]
	}
	return true
}

// resolved returns the declared dimensions of v, those without a number by
// size; nil where one is not known.
func resolved(v *onnx.ValueInfo, size func(onnx.Dim) (int64, bool)) []int64 {
	if v.Type == nil || !v.Type.HasShape || len(v.Type.Dims) > maxRank {
		return nil
	}
	dims := make([]int64, len(v.Type.Dims))
	for i, d := range v.Type.Dims {
		dims[i] = d.Value
		if d.Symbol == "" && d.Value >= 0 {
			continue
		}
		var ok bool
		if dims[i], ok = size(d); !ok {
			return nil
		}
	}
	return dims
}
