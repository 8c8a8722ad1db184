package prune

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Scores lists the names of what Score can score by.
var Scores = []string{"l1", "l2"}

// L2 is Score by "l2".
func (gs *Groups) L2(g *Group) ([]float64, error) { return gs.Score(g, "l2") }

// Score scores the units of a group by their weights: the sum over members of the share
// that a unit has in the member's sum of magnitudes (l1) or squares (l2), so that a large
// table does not outweigh all else.
func (gs *Groups) Score(g *Group, by string) ([]float64, error) {
	out := make([]float64, g.Units())
	for _, m := range g.Members {
		w := gs.model.Graph.Initializer(m.Weight)
		norms, err := axisNorms(w, m.Axis, by)
		if err != nil {
			return nil, err
		}
		total := 0.0
		for _, s := range norms {
			total += s
		}
		if total == 0 {
			continue
		}
		for u, list := range m.Of {
			for _, i := range list {
				out[u] += norms[i] / total
			}
		}
	}
	return out, nil
}

// ScoreBy scores the units of a group by the sum of the scores of their weights; a weight
// without any counts nothing.
func (gs *Groups) ScoreBy(g *Group, scores map[string][]float32) []float64 {
	out := make([]float64, g.Units())
	for _, m := range g.Members {
		s := scores[m.Weight]
		if s == nil {
			continue
		}
		sums, _ := tensor.NormsAxis(s, gs.model.Graph.Initializer(m.Weight).Shape, m.Axis)
		for u, list := range m.Of {
			for _, i := range list {
				out[u] += sums[i]
			}
		}
	}
	return out
}

// MeanOf is the mean magnitude (l1) or square (l2) of a weight's elements.
func MeanOf(w *onnx.Tensor, by string) (float64, error) {
	norms, err := axisNorms(w, 0, by)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, n := range norms {
		sum += n
	}
	return sum / float64(max(w.Elements(), 1)), nil
}

// axisNorms returns the sum of magnitudes or squares at each index of an axis.
func axisNorms(w *onnx.Tensor, axis int, by string) ([]float64, error) {
	value, err := w.Value()
	if err != nil {
		return nil, err
	}
	v := make([]float32, value.Len())
	if err := tensor.ToFloat32(v, value); err != nil {
		return nil, err
	}
	l1, l2 := tensor.NormsAxis(v, w.Shape, axis)
	if by == "l1" {
		return l1, nil
	}
	for i := range l2 {
		l2[i] *= l2[i]
	}
	return l2, nil
}
