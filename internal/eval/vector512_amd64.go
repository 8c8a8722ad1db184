//go:build goexperiment.simd && amd64

package eval

import (
	"math"
	"simd/archsimd"
)

// The forms for AVX-512, which has twice the registers and instructions for the
// exponent: a third faster than AVX2, also where the processor takes the vectors
// apart.

// wideExtent is vectorExtent.
func wideExtent(v []float32) (n int, e extent) {
	if len(v) < 32 {
		return 0, noExtent
	}
	mask := archsimd.BroadcastUint32x16(magnitude)
	t0 := archsimd.LoadFloat32x16Slice(v)
	t1 := t0
	var a0, a1 archsimd.Uint32x16
	for ; n+32 <= len(v); n += 32 {
		b := v[n : n+32]
		x, y := archsimd.LoadFloat32x16Slice(b), archsimd.LoadFloat32x16Slice(b[16:])
		t0, t1 = t0.Max(x), t1.Max(y)
		a0, a1 = a0.Max(x.AsUint32x16().And(mask)), a1.Max(y.AsUint32x16().And(mask))
	}
	var tops [16]float32
	var abs [16]uint32
	t0.Max(t1).Store(&tops)
	a0.Max(a1).Store(&abs)
	archsimd.ClearAVXUpperBits()
	return n, extentOfLanes(tops[:], abs[:])
}

// wideSumExp is vectorSumExp.
func wideSumExp(v []float32, top float32) (n int, sum float64) {
	log2e, least, c0, c1, c2, c3, c4, c5, c6 := wideConstants()
	t := archsimd.BroadcastFloat64x8(float64(top))
	var s archsimd.Float64x8
	for ; n+8 <= len(v); n += 8 {
		u := archsimd.LoadFloat32x8Slice(v[n : n+8]).ConvertToFloat64().Sub(t)
		s = s.Add(wideExp(u, log2e, least, c0, c1, c2, c3, c4, c5, c6))
	}
	sum = add8(s)
	archsimd.ClearAVXUpperBits()
	return n, sum
}

// wideSumExpDiff is vectorSumExpDiff.
func wideSumExpDiff(x, y []float32, topX, topY float32) (n int, sum, diff float64) {
	log2e, least, c0, c1, c2, c3, c4, c5, c6 := wideConstants()
	tx, ty := archsimd.BroadcastFloat64x8(float64(topX)), archsimd.BroadcastFloat64x8(float64(topY))
	y = y[:len(x)]
	var s, d archsimd.Float64x8
	for ; n+8 <= len(x); n += 8 {
		u := archsimd.LoadFloat32x8Slice(x[n : n+8]).ConvertToFloat64().Sub(tx)
		w := archsimd.LoadFloat32x8Slice(y[n : n+8]).ConvertToFloat64().Sub(ty)
		p := wideExp(u, log2e, least, c0, c1, c2, c3, c4, c5, c6)
		s = s.Add(p)
		d = p.MulAdd(u.Sub(w), d)
	}
	sum, diff = add8(s), add8(d)
	archsimd.ClearAVXUpperBits()
	return n, sum, diff
}

// wideConstants is expConstants.
func wideConstants() (log2e, least, c0, c1, c2, c3, c4, c5, c6 archsimd.Float64x8) {
	b := archsimd.BroadcastFloat64x8
	return b(math.Log2E), b(-1022), b(1), b(series1), b(series2), b(series3), b(series4), b(series5), b(series6)
}

// wideExp is expOf: the exponent is rounded and added by instructions of their own.
func wideExp(u, log2e, least, c0, c1, c2, c3, c4, c5, c6 archsimd.Float64x8) archsimd.Float64x8 {
	u = u.Mul(log2e).Max(least)
	k := u.RoundToEvenScaled(0)
	f := u.Sub(k)
	p := c6.MulAdd(f, c5).MulAdd(f, c4).MulAdd(f, c3).MulAdd(f, c2).MulAdd(f, c1).MulAdd(f, c0)
	p = p.Mul(p)
	return p.Mul(p).Scale(k)
}

// add8 adds up the elements.
func add8(v archsimd.Float64x8) float64 { return add4(v.GetLo().Add(v.GetHi())) }
