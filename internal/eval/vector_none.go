//go:build !(goexperiment.simd && amd64)

package eval

// The vector forms of the loops, which do a multiple of their width and say how
// many elements that was. In this build there are none.

func vectorExtent([]float32) (n int, e extent) { return 0, noExtent }

func vectorIndex([]float32, float32) (n, at int) { return 0, -1 }

func vectorSumExp([]float32, float32) (n int, sum float64) { return 0, 0 }

func vectorSumExpDiff(_, _ []float32, _, _ float32) (n int, sum, diff float64) { return 0, 0, 0 }
