//go:build goexperiment.simd && amd64

package calib

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"optim/internal/tensor"
)

// The vector form finds the counters that the portable one increments, for
// every kind of value, around the sizes of its steps, at any address.
func TestVectorPlace(t *testing.T) {
	if !useVectors {
		t.Skip("this processor has no AVX2")
	}
	defer func() { useVectors = true }()
	for name, all := range samples(300) {
		for _, bins := range []int{minBins, DefaultBins} {
			for _, n := range []int{0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 255, 256, 257, 263, 264, 300} {
				for _, skip := range []int{0, 1, 6} {
					t.Run(fmt.Sprintf("%s/%d/%d+%d", name, bins, n, skip), func(t *testing.T) {
						checkVectorPlace(t, bins, unaligned(all[:n], skip))
					})
				}
			}
		}
	}
}

// checkVectorPlace counts v both ways.
func checkVectorPlace(t *testing.T, bins int, v []float32) {
	h := New(bins)
	lo, hi, _ := tensor.MinMax(v)
	h.widen(lo, hi, nil)
	var at [300]uint32
	if n, _ := vectorPlace(at[:], v, h.inverse(), bins); n != len(v)/8*8 {
		t.Fatalf("%d of %d values were done by vectors", n, len(v))
	}
	var sides [2]*counters
	for i, on := range []bool{false, true} {
		useVectors = on
		sides[i] = &counters{bins: bins, n: make([]uint32, 2*bins*lanes)}
		sides[i].count(v, h.inverse())
	}
	if sides[0].zeros != sides[1].zeros {
		t.Errorf("%d zeros, want %d", sides[1].zeros, sides[0].zeros)
	}
	for i := 0; i < len(sides[0].n); i += lanes {
		if total(sides[0].n[i:i+lanes]) != total(sides[1].n[i:i+lanes]) {
			t.Errorf("bin %d: %d, want %d", i/lanes-bins, sides[1].n[i:i+lanes], sides[0].n[i:i+lanes])
		}
	}
}

func total(n []uint32) (sum uint32) {
	for _, c := range n {
		sum += c
	}
	return sum
}

// Values at the edges of bins, and just beside them, on both sides.
func TestVectorPlaceEdges(t *testing.T) {
	for _, bins := range []int{minBins, maxBins} {
		h := New(bins)
		h.widen(-0.75, 0.75, nil)
		var v []float32
		for i := 0; i < bins*3/4; i += bins / minBins {
			edge := float32(i) * float32(h.width())
			for _, x := range []float32{edge, math.Nextafter32(edge, 0), math.Nextafter32(edge, 1)} {
				v = append(v, x, -x)
			}
		}
		for part := range slices.Chunk(v, 256) {
			checkVectorPlace(t, bins, part)
		}
	}
}

// unaligned returns a copy of v that begins skip bytes after an aligned address.
func unaligned(v []float32, skip int) []float32 {
	b := make([]byte, 4*len(v)+skip)
	copy(b[skip:], tensor.AsBytes(v))
	return tensor.As[float32](b[skip:])
}
