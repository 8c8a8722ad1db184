//go:build goexperiment.simd && amd64

package rounding

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestVectorSums: vectors give the bits of the portable loop, which adds in as many lanes.
func TestVectorSums(t *testing.T) {
	if !useVectors {
		t.Skip("this processor has no AVX2")
	}
	defer func() { useVectors = true }()
	r := rand.New(rand.NewPCG(4, 4))
	for _, n := range []int{1, 7, 8, 9, 16, 31, 32, 128, 256} {
		for _, scale := range []float32{0.01, -0.02, 1, 1e-30} {
			w, c := normal(r, n), normal(r, n)
			var lanes [8]float32
			if did := vectorSums(&lanes, &lanes, w, c, 1/scale, -8, 7); did != n/8*8 {
				t.Fatalf("did %d elements of %d by vectors", did, n)
			}
			var got []uint32
			for _, useVectors = range []bool{false, true} {
				wq, qq := sums(w, c, 1/scale, -8, 7)
				got = append(got, math.Float32bits(wq), math.Float32bits(qq))
			}
			if !slices.Equal(got[:2], got[2:]) {
				t.Errorf("%d elements, scale %g: portable %v, vectors %v", n, scale, got[:2], got[2:])
			}
		}
	}
}
