//go:build goexperiment.simd && amd64

package calib

import (
	"math/bits"
	"simd/archsimd"
)

// useVectors is a variable for the sake of tests.
var useVectors = archsimd.X86.AVX2()

// eachLane is the lane of each element of a vector.
var eachLane = [8]int32{0, 1, 2, 3, 0, 1, 2, 3}

// vectorPlace sets at[:n] to the counters of v[:n], lanes after each other, and
// returns the number of zeros among them: place, eight at a time, with AVX2. at
// is not shorter than v.
func vectorPlace(at []uint32, v []float32, inv float32, bins int) (n, zeros int) {
	if !useVectors {
		return 0, 0
	}
	at = at[:len(v)]
	scale := archsimd.BroadcastFloat32x8(inv)
	first := archsimd.LoadInt32x8(&eachLane).Add(archsimd.BroadcastInt32x8(int32(lanes * bins)))
	var none archsimd.Float32x8
	for ; n+8 <= len(v); n += 8 {
		x := archsimd.LoadFloat32x8Slice(v[n:])
		zeros += bits.OnesCount8(x.Equal(none).ToBits())
		negative := x.Add(none).AsInt32x8().ShiftAllRight(31) // -0 becomes 0
		bin := x.Mul(scale).ConvertToInt32().Add(negative)
		bin = bin.Add(bin)
		bin.Add(bin).Add(first).AsUint32x8().StoreSlice(at[n:])
	}
	archsimd.ClearAVXUpperBits()
	return n, zeros
}
