package prune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/train"
)

// Wanda gives each matrix the scores |w|·‖x‖ of Sun et al., A Simple and Effective Pruning
// Approach for Large Language Models: x is what the input of the weight was over all
// samples. A matrix whose input is constant gets an error.
func Wanda(ctx context.Context, rt *ort.Runtime, m *onnx.Model, list []Matrix, rows *train.Rows, o ort.Options) error {
	seen, err := InputMoments(ctx, rt, m, list, rows, o)
	if err != nil {
		return err
	}
	for i, w := range list {
		if seen[w.Tensor.Name] == nil {
			return fmt.Errorf("node %q (%s): the input of its weight is constant", w.Node.Name, w.Node.OpType)
		}
		x := seen[w.Tensor.Name].Norms()
		if k := int(w.Tensor.Shape[w.Inputs]); len(x) == 0 || len(x)%k != 0 {
			return fmt.Errorf("node %q (%s): its input has %d channels, its weight %d", w.Node.Name, w.Node.OpType, len(x), k)
		}
		list[i].Norms = x
	}
	return nil
}

// scores returns what each of the matrix's elements v is weighed by; magnitudes count.
func (m Matrix) scores(v []float32) []float32 {
	switch {
	case m.Score != nil:
		return m.Score
	case m.Norms == nil:
		return v
	}
	stride := 1
	for _, d := range m.Tensor.Shape[m.Inputs+1:] {
		stride *= int(d)
	}
	k := int(m.Tensor.Shape[m.Inputs])
	perGroup := int(m.Tensor.Shape[0]) * k / len(m.Norms) // results of a convolution's group
	score := make([]float32, len(v))
	for j, e := range v {
		channel := j / stride % k
		if len(m.Norms) > k {
			channel += j / (k * stride) / perGroup * k
		}
		score[j] = float32(float64(e) * m.Norms[channel])
	}
	return score
}

// SmallestInRows puts round(sparsity·k) of the k weights of every output to zero, those of
// the lowest scores, ties by place, as Wanda does: what is compared has the same sum.
func SmallestInRows(g *onnx.Graph, list []Matrix, sparsity float64) (Zeroed, error) {
	for _, m := range list {
		value, err := m.Tensor.Value()
		if err != nil {
			return Zeroed{}, err
		}
		v, err := value.Float32s()
		if err != nil {
			return Zeroed{}, err
		}
		s, score := m.Tensor.Shape, m.scores(v)
		outputs := outputAxis(m)
		n := int(s[outputs])
		stride := 1
		for _, d := range s[outputs+1:] {
			stride *= int(d)
		}
		gone := make([]bool, len(score))
		tensor.Parallel(n, 0, func(from, to int) {
			var row []int
			for r := from; r < to; r++ {
				row = row[:0]
				for first := r * stride; first < len(score); first += n * stride {
					for i := range stride {
						row = append(row, first+i)
					}
				}
				slices.SortStableFunc(row, func(a, b int) int { return int(int64(magnitude(score[a])) - int64(magnitude(score[b]))) })
				for _, i := range row[:int(math.Round(sparsity*float64(len(row))))] {
					gone[i] = true
				}
			}
		})
		t := m.Tensor
		t.Release()
		replace(g, t, onnx.NewLazyTensor(t.Name, t.DType, s, func(dst []byte) error {
			return zeroing(t, dst, func(v []float32) {
				for i := range v {
					if gone[i] {
						v[i] = 0
					}
				}
			})
		}))
	}
	for i, m := range list {
		list[i].Tensor = g.Initializer(m.Tensor.Name)
		list[i].Score, list[i].Norms = nil, nil
	}
	return Tally(list)
}

// outputAxis is the axis of a matrix that runs over results.
func outputAxis(m Matrix) int {
	if m.Node.Is("Conv") {
		return 0
	}
	rank := len(m.Tensor.Shape)
	if m.Inputs == rank-1 {
		return rank - 2
	}
	return rank - 1
}
