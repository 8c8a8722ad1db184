//go:build goexperiment.simd && amd64

package tensor

import (
	"math"
	"simd/archsimd"
	"slices"
)

// Vector forms of the kernels, for AVX2: the division of the quantizers has no
// greater throughput in AVX-512, and the others wait for memory. Each does a
// multiple of its width, says how many elements that was, and leaves the rest
// to the portable loop beside which it stands; both give the same bits.
//
// Every form calls ClearAVXUpperBits before it goes back to scalar code, whose
// instructions would take hundreds of cycles each with dirty upper halves.

// useVectors is a variable for the sake of tests.
var useVectors = archsimd.X86.AVX2()

// unrolled is the number of elements in a step of the unrolled loops.
const unrolled = 32

// vectorExtremes returns the extremes of v[:n].
func vectorExtremes(v []float32) (n int, e extremes) {
	if !useVectors || len(v) < unrolled {
		return 0, noExtremes
	}
	x := bits8(v)
	pos0, neg0, least0 := x.AsInt32x8(), x, x
	pos1, neg1, least1 := pos0, neg0, least0
	for ; n+unrolled <= len(v); n += unrolled {
		b := v[n : n+unrolled]
		x0, x1, x2, x3 := bits8(b), bits8(b[8:]), bits8(b[16:]), bits8(b[24:])
		pos0, pos1 = pos0.Max(x0.AsInt32x8()), pos1.Max(x1.AsInt32x8())
		neg0, neg1 = neg0.Max(x0), neg1.Max(x1)
		least0, least1 = least0.Min(x0), least1.Min(x1)
		pos0, pos1 = pos0.Max(x2.AsInt32x8()), pos1.Max(x3.AsInt32x8())
		neg0, neg1 = neg0.Max(x2), neg1.Max(x3)
		least0, least1 = least0.Min(x2), least1.Min(x3)
	}
	var pos [8]int32
	var neg, least [8]uint32
	pos0.Max(pos1).Store(&pos)
	neg0.Max(neg1).Store(&neg)
	least0.Min(least1).Store(&least)
	archsimd.ClearAVXUpperBits()
	e = noExtremes
	for i := range pos {
		e.pos, e.neg, e.least = max(e.pos, pos[i]), max(e.neg, neg[i]), min(e.least, least[i])
	}
	return n, e
}

// vectorAbsMax returns the greatest of the bits of v[:n] without their sign.
func vectorAbsMax(v []float32) (n int, abs uint32) {
	if !useVectors || len(v) < unrolled {
		return 0, 0
	}
	var a0, a1, a2, a3 archsimd.Uint32x8
	magnitude := archsimd.BroadcastUint32x8(math.MaxInt32)
	for ; n+unrolled <= len(v); n += unrolled {
		b := v[n : n+unrolled]
		a0, a1 = a0.Max(bits8(b).And(magnitude)), a1.Max(bits8(b[8:]).And(magnitude))
		a2, a3 = a2.Max(bits8(b[16:]).And(magnitude)), a3.Max(bits8(b[24:]).And(magnitude))
	}
	var tops [8]uint32
	a0.Max(a1).Max(a2.Max(a3)).Store(&tops)
	archsimd.ClearAVXUpperBits()
	return n, slices.Max(tops[:])
}

// vectorLeast returns the least of the magnitudes of v[:n] as HasSubnormal
// orders them: twice the bits, less one.
func vectorLeast(v []float32) (n int, least uint32) {
	if !useVectors || len(v) < unrolled {
		return 0, math.MaxUint32
	}
	one := archsimd.BroadcastUint32x8(1)
	a := archsimd.BroadcastUint32x8(math.MaxUint32)
	b, c, d := a, a, a
	for ; n+unrolled <= len(v); n += unrolled {
		p := v[n : n+unrolled]
		x0, x1, x2, x3 := bits8(p), bits8(p[8:]), bits8(p[16:]), bits8(p[24:])
		a, b = a.Min(x0.Add(x0).Sub(one)), b.Min(x1.Add(x1).Sub(one))
		c, d = c.Min(x2.Add(x2).Sub(one)), d.Min(x3.Add(x3).Sub(one))
	}
	var ends [8]uint32
	a.Min(b).Min(c.Min(d)).Store(&ends)
	archsimd.ClearAVXUpperBits()
	return n, slices.Min(ends[:])
}

// vectorColumns widens lo[:n] and hi[:n] by the keys of v[:n].
func vectorColumns(lo, hi []int32, v []float32) (n int) {
	if !useVectors {
		return 0
	}
	lo, hi = lo[:len(v)], hi[:len(v)]
	lower := archsimd.BroadcastInt32x8(math.MaxInt32)
	for ; n+8 <= len(v); n += 8 {
		b := bits8(v[n:]).AsInt32x8()
		k := b.Xor(b.ShiftAllRight(31).And(lower))
		l, h := (*[8]int32)(lo[n:]), (*[8]int32)(hi[n:])
		archsimd.LoadInt32x8(l).Min(k).Store(l)
		archsimd.LoadInt32x8(h).Max(k).Store(h)
	}
	archsimd.ClearAVXUpperBits()
	return n
}

// vectorAddScaled adds a·x[:n] to dst[:n].
func vectorAddScaled(dst, x []float32, a float32) (n int) {
	if !useVectors || len(x) < 8 {
		return 0
	}
	dst = dst[:len(x)]
	scale := archsimd.BroadcastFloat32x8(a)
	for ; n+unrolled <= len(x); n += unrolled {
		v, d := x[n:n+unrolled], dst[n:n+unrolled]
		d0 := archsimd.LoadFloat32x8Slice(d).Add(archsimd.LoadFloat32x8Slice(v).Mul(scale))
		d1 := archsimd.LoadFloat32x8Slice(d[8:]).Add(archsimd.LoadFloat32x8Slice(v[8:]).Mul(scale))
		d2 := archsimd.LoadFloat32x8Slice(d[16:]).Add(archsimd.LoadFloat32x8Slice(v[16:]).Mul(scale))
		d3 := archsimd.LoadFloat32x8Slice(d[24:]).Add(archsimd.LoadFloat32x8Slice(v[24:]).Mul(scale))
		d0.StoreSlice(d)
		d1.StoreSlice(d[8:])
		d2.StoreSlice(d[16:])
		d3.StoreSlice(d[24:])
	}
	for ; n+8 <= len(x); n += 8 {
		archsimd.LoadFloat32x8Slice(dst[n:]).Add(archsimd.LoadFloat32x8Slice(x[n:]).Mul(scale)).StoreSlice(dst[n:])
	}
	archsimd.ClearAVXUpperBits()
	return n
}

// bits8 loads the bits of eight elements.
func bits8(v []float32) archsimd.Uint32x8 {
	return archsimd.LoadFloat32x8Slice(v).AsUint32x8()
}
