//go:build !(goexperiment.simd && amd64)

package calib

// vectorPlace is the vector form of place: none in this build.
func vectorPlace(_ []uint32, _ []float32, _ float32, _ int) (n, zeros int) { return 0, 0 }
