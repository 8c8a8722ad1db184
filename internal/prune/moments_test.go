package prune

import (
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/tensor"
)

// TestMoments compares with sums over all elements, on either axis, with padding, and with
// a mean that is large beside the deviations.
func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 8))
	for _, c := range []struct {
		shape   tensor.Shape
		axis    int
		counted []byte
		offset  float64
	}{
		{tensor.Shape{1, 5, 3}, 2, []byte{1, 1, 0, 1, 0}, 0}, {tensor.Shape{1, 4, 3, 2}, 1, []byte{1}, 1e6},
		{tensor.Shape{2, 3}, 1, []byte{1}, 0}, {tensor.Shape{1, 1, 1}, 2, []byte{1}, 3}, {tensor.Shape{1, 2, 3}, 2, []byte{0, 0}, 0},
	} {
		var m Moments
		all := make([][]float64, c.shape[c.axis])
		for range 3 {
			n, _ := c.shape.Elements()
			v := make([]float32, n)
			inner := 1
			for _, d := range c.shape[c.axis+1:] {
				inner *= int(d)
			}
			for i := range v {
				v[i] = float32(c.offset + r.NormFloat64())
				channel, outer := i/inner%len(all), i/inner/len(all)
				if len(c.counted) != len(v)/inner/len(all) || c.counted[outer] != 0 {
					all[channel] = append(all[channel], float64(v[i]))
				}
			}
			m.add(tensor.Of(tensor.Float32, c.shape, v), c.axis, c.counted)
		}
		for ch, list := range all {
			if len(list) == 0 {
				continue
			}
			mean, square, variance := 0.0, 0.0, 0.0
			for _, x := range list {
				mean += x / float64(len(list))
				square += x * x
			}
			for _, x := range list {
				variance += (x - mean) * (x - mean) / float64(len(list))
			}
			if got := m.Norms()[ch]; math.Abs(got-math.Sqrt(square)) > 1e-9*math.Sqrt(square) {
				t.Errorf("%v: norm %g, not %g", c.shape, got, math.Sqrt(square))
			}
			if got := m.Variances()[ch]; math.Abs(got-variance) > 1e-6*(variance+1e-12) {
				t.Errorf("%v: variance %g, not %g", c.shape, got, variance)
			}
		}
	}
	var one Moments
	one.add(tensor.Of(tensor.Float32, tensor.Shape{1, 2}, []float32{3, -4}), 1, []byte{1})
	if v := one.Variances(); v[0] != 0 || v[1] != 0 {
		t.Errorf("one sample has the variances %v", v)
	}
}
