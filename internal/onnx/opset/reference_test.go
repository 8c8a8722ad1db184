package opset_test

import (
	"math"
	"math/rand/v2"
)

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// groupNorm is GroupNormalization of version 18 for one sample, by its
// definition, with epsilon 1e-5.
func groupNorm(x []float32, groups int, scale, bias []float64) []float32 {
	out := make([]float32, len(x))
	n := len(x) / groups
	for g := range groups {
		part := x[g*n : (g+1)*n]
		mean, square := 0.0, 0.0
		for _, v := range part {
			mean += float64(v) / float64(n)
		}
		for _, v := range part {
			square += (float64(v) - mean) * (float64(v) - mean) / float64(n)
		}
		for i, v := range part {
			out[g*n+i] = float32((float64(v)-mean)/math.Sqrt(square+1e-5)*scale[g] + bias[g])
		}
	}
	return out
}
