package prune

import (
	"math"
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Blocks keeps n of every m elements along the inputs of each matrix, those of the
// greatest magnitude or score, ties by index, as sparse engines want it (2:4). A rest of fewer than
// m elements keeps as many as n in m.
func Blocks(g *onnx.Graph, list []Matrix, n, m int) (Zeroed, error) {
	out := Zeroed{}
	for _, w := range list {
		if _, err := histogram([]Matrix{w}, func(uint32) (int, bool) { return 0, false }, 1); err != nil {
			return out, err
		}
		t := w.Tensor
		axis := w.Inputs
		pruned := onnx.NewLazyTensor(t.Name, t.DType, t.Shape, func(dst []byte) error {
			return zeroing(t, dst, func(v []float32) { keepBlocks(v, w.scores(v), t.Shape, axis, n, m) })
		})
		replace(g, t, pruned)
		zeros, err := zerosOf(pruned)
		if err != nil {
			return out, err
		}
		out.Add(t, zeros)
	}
	return out, nil
}

// keepBlocks works on stripes of the outer axes, several at once; scores count by their
// magnitudes.
func keepBlocks(v, scores []float32, s tensor.Shape, axis, n, m int) {
	marks := slices.Clone(scores)
	stride := 1
	for _, d := range s[axis+1:] {
		stride *= int(d)
	}
	k := int(s[axis])
	lines := len(v) / k // each runs along the inputs
	tensor.Parallel(lines, 0, func(from, to int) {
		for line := from; line < to; line++ {
			first := line/stride*k*stride + line%stride
			for lo := 0; lo < k; lo += m {
				size := min(m, k-lo)
				at := first + lo*stride
				keepGreatest(v[at:], marks[at:], stride, size, min((size*n+m-1)/m, size))
			}
		}
	})
}

// keepGreatest puts all but those of the greatest scores of size elements, stride apart, to
// zero; of equal ones the first stay. Scores of those that go become gone.
func keepGreatest(v, scores []float32, stride, size, keep int) {
	for range size - keep {
		at, least := -1, uint32(0)
		for i := range size {
			if b := magnitude(scores[i*stride]); b != gone && (at < 0 || b <= least) {
				at, least = i, b
			}
		}
		v[at*stride], scores[at*stride] = 0, math.Float32frombits(gone)
	}
}

// gone marks an element that goes: no finite number has these bits.
const gone = 0x7fc00001
