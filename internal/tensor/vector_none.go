//go:build !(goexperiment.simd && amd64)

package tensor

import "math"

// The vector forms of the kernels, which do a multiple of their width and say
// how many elements that was. In this build there are none.

func vectorExtremes([]float32) (n int, e extremes) { return 0, noExtremes }

func vectorAbsMax([]float32) (n int, abs uint32) { return 0, 0 }

func vectorLeast([]float32) (n int, least uint32) { return 0, math.MaxUint32 }

func vectorColumns(_, _ []int32, _ []float32) (n int) { return 0 }

func vectorAddScaled(_, _ []float32, _ float32) (n int) { return 0 }

func vectorQuantizeRun(_ []byte, _ []float32, _ float32, _, _, _ int) (n int, far uint32) {
	return 0, 0
}

func vectorQuantizeColumns(_ []byte, _, _ []float32, _ []int32, _, _ int) (n int, far uint32) {
	return 0, 0
}
