//go:build goexperiment.simd && amd64

package eval

import (
	"math"
	"math/bits"
	"simd/archsimd"
)

// Vector forms of the loops, for AVX2 with FMA; the sums, which cost most, also for
// AVX-512 (see vector512_amd64.go). Each does a multiple of its width, says how many
// elements that was, and leaves the rest to the portable loop. The sums agree with
// those of the portable loops but for rounding.
//
// Every form calls ClearAVXUpperBits before it goes back to scalar code, whose
// instructions would take hundreds of cycles each with dirty upper halves.

// useVectors and useWide are variables for the sake of tests.
var (
	useVectors = archsimd.X86.AVX2() && archsimd.X86.FMA()
	useWide    = useVectors && archsimd.X86.AVX512()
)

// vectorExtent returns the extent of v[:n].
func vectorExtent(v []float32) (n int, e extent) {
	if useWide {
		return wideExtent(v)
	}
	if !useVectors || len(v) < 16 {
		return 0, noExtent
	}
	mask := archsimd.BroadcastUint32x8(magnitude)
	t0 := archsimd.LoadFloat32x8Slice(v)
	t1 := t0
	var a0, a1 archsimd.Uint32x8
	for ; n+16 <= len(v); n += 16 {
		b := v[n : n+16]
		x, y := archsimd.LoadFloat32x8Slice(b), archsimd.LoadFloat32x8Slice(b[8:])
		t0, t1 = t0.Max(x), t1.Max(y)
		a0, a1 = a0.Max(x.AsUint32x8().And(mask)), a1.Max(y.AsUint32x8().And(mask))
	}
	var tops [8]float32
	var abs [8]uint32
	t0.Max(t1).Store(&tops)
	a0.Max(a1).Store(&abs)
	archsimd.ClearAVXUpperBits()
	return n, extentOfLanes(tops[:], abs[:])
}

// extentOfLanes joins what the lanes of a vector found.
func extentOfLanes(tops []float32, abs []uint32) extent {
	e := noExtent
	for i, x := range tops {
		if x > e.top {
			e.top = x
		}
		e.abs = max(e.abs, abs[i])
	}
	return e
}

// vectorIndex returns the first index of x in v[:n], or -1.
func vectorIndex(v []float32, x float32) (n, at int) {
	if !useVectors {
		return 0, -1
	}
	w := archsimd.BroadcastFloat32x8(x)
	at = -1
	for ; n+8 <= len(v); n += 8 {
		if m := archsimd.LoadFloat32x8Slice(v[n : n+8]).Equal(w).ToBits(); m != 0 {
			at = n + bits.TrailingZeros8(m)
			break
		}
	}
	archsimd.ClearAVXUpperBits()
	return n, at
}

// vectorSumExp returns the sum over v[:n].
func vectorSumExp(v []float32, top float32) (n int, sum float64) {
	if useWide {
		return wideSumExp(v, top)
	}
	if !useVectors {
		return 0, 0
	}
	log2e, least, round, c0, c1, c2, c3, c4, c5, c6 := expConstants()
	t := archsimd.BroadcastFloat64x4(float64(top))
	var s archsimd.Float64x4
	for ; n+4 <= len(v); n += 4 {
		u := archsimd.LoadFloat32x4Slice(v[n : n+4]).ConvertToFloat64().Sub(t)
		s = s.Add(expOf(u, log2e, least, round, c0, c1, c2, c3, c4, c5, c6))
	}
	sum = add4(s)
	archsimd.ClearAVXUpperBits()
	return n, sum
}

// vectorSumExpDiff returns the sums over x[:n] and y[:n].
func vectorSumExpDiff(x, y []float32, topX, topY float32) (n int, sum, diff float64) {
	if useWide {
		return wideSumExpDiff(x, y, topX, topY)
	}
	if !useVectors {
		return 0, 0, 0
	}
	log2e, least, round, c0, c1, c2, c3, c4, c5, c6 := expConstants()
	tx, ty := archsimd.BroadcastFloat64x4(float64(topX)), archsimd.BroadcastFloat64x4(float64(topY))
	y = y[:len(x)]
	var s, d archsimd.Float64x4
	for ; n+4 <= len(x); n += 4 {
		u := archsimd.LoadFloat32x4Slice(x[n : n+4]).ConvertToFloat64().Sub(tx)
		w := archsimd.LoadFloat32x4Slice(y[n : n+4]).ConvertToFloat64().Sub(ty)
		p := expOf(u, log2e, least, round, c0, c1, c2, c3, c4, c5, c6)
		s = s.Add(p)
		d = p.MulAdd(u.Sub(w), d)
	}
	sum, diff = add4(s), add4(d)
	archsimd.ClearAVXUpperBits()
	return n, sum, diff
}

// The series for 2^(f/4): 1 + series1 f + series2 f² + …
const (
	series1 = math.Ln2 / 4
	series2 = series1 * series1 / 2
	series3 = series2 * series1 / 3
	series4 = series3 * series1 / 4
	series5 = series4 * series1 / 5
	series6 = series5 * series1 / 6
)

// expConstants returns the constants of e^u = 2^k · (2^(f/4))^4, where k is an integer
// and |f| ≤ 1/2, so that the series has an error of 7e-12. They have to fit into the
// registers together with what the loops need, or these take half as long again:
// hence the powers, in place of more terms.
func expConstants() (log2e, least, round, c0, c1, c2, c3, c4, c5, c6 archsimd.Float64x4) {
	b := archsimd.BroadcastFloat64x4
	return b(math.Log2E), b(-1022), b(toInteger), b(1), b(series1), b(series2), b(series3), b(series4), b(series5), b(series6)
}

// expOf returns e^u for u ≤ 0. It is inlined.
func expOf(u, log2e, least, round, c0, c1, c2, c3, c4, c5, c6 archsimd.Float64x4) archsimd.Float64x4 {
	u = u.Mul(log2e).Max(least)
	k := u.Add(round)
	f := u.Sub(k.Sub(round))
	p := c6.MulAdd(f, c5).MulAdd(f, c4).MulAdd(f, c3).MulAdd(f, c2).MulAdd(f, c1).MulAdd(f, c0)
	p = p.Mul(p)
	return p.Mul(p).AsInt64x4().Add(k.AsInt64x4().ShiftAllLeft(52)).AsFloat64x4()
}

// add4 adds up the elements.
func add4(v archsimd.Float64x4) float64 {
	var a [4]float64
	v.Store(&a)
	return a[0] + a[1] + (a[2] + a[3])
}
