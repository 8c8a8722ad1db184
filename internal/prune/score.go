package prune

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// L2 scores the units of a group by the squares of their weights: the sum over members
// of the share that a unit has in the member's sum of squares, so that a large table
// does not outweigh all else.
func (gs *Groups) L2(g *Group) ([]float64, error) {
	out := make([]float64, g.Units())
	for _, m := range g.Members {
		w := gs.model.Graph.Initializer(m.Weight)
		squares, err := axisSquares(w, m.Axis)
		if err != nil {
			return nil, err
		}
		total := 0.0
		for _, s := range squares {
			total += s
		}
		if total == 0 {
			continue
		}
		for u, list := range m.Of {
			for _, i := range list {
				out[u] += squares[i] / total
			}
		}
	}
	return out, nil
}

// axisSquares returns the sum of squares at each index of an axis.
func axisSquares(w *onnx.Tensor, axis int) ([]float64, error) {
	value, err := w.Value()
	if err != nil {
		return nil, err
	}
	v := make([]float32, value.Len())
	if err := tensor.ToFloat32(v, value); err != nil {
		return nil, err
	}
	_, l2 := tensor.NormsAxis(v, w.Shape, axis)
	for i := range l2 {
		l2[i] *= l2[i]
	}
	return l2, nil
}
