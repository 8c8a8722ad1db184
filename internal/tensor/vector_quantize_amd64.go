//go:build goexperiment.simd && amd64

package tensor

import (
	"math"
	"simd/archsimd"
	"slices"
)

// vectorQuantizeRun is quantizeRun for dst[:n]; far is the greatest of the
// sums' bits without their sign.
func vectorQuantizeRun(dst []byte, w []float32, scale float32, zero, lo, hi int) (n int, far uint32) {
	if !useVectors || len(dst) < unrolled {
		return 0, 0
	}
	w = w[:len(dst)]
	var far0, far1 archsimd.Uint32x8
	round := archsimd.BroadcastFloat32x8(magic)
	magnitude := archsimd.BroadcastUint32x8(math.MaxInt32)
	s := archsimd.BroadcastFloat32x8(scale)
	z := archsimd.BroadcastInt32x8(int32(zero))
	least := archsimd.BroadcastInt32x8(int32(magicBits + lo - zero))
	most := archsimd.BroadcastInt32x8(int32(magicBits + hi - zero))
	for ; n+unrolled <= len(dst); n += unrolled {
		x := w[n : n+unrolled]
		a, b := sum8(x, s, round), sum8(x[8:], s, round)
		c, d := sum8(x[16:], s, round), sum8(x[24:], s, round)
		far0 = far0.Max(a.AsUint32x8().And(magnitude)).Max(b.AsUint32x8().And(magnitude))
		far1 = far1.Max(c.AsUint32x8().And(magnitude)).Max(d.AsUint32x8().And(magnitude))
		a, b = a.Max(least).Min(most).Add(z), b.Max(least).Min(most).Add(z)
		c, d = c.Max(least).Min(most).Add(z), d.Max(least).Min(most).Add(z)
		store32(dst[n:n+unrolled], a, b, c, d)
	}
	var tops [8]uint32
	far0.Max(far1).Store(&tops)
	archsimd.ClearAVXUpperBits()
	return n, slices.Max(tops[:])
}

// vectorQuantizeColumns is vectorQuantizeRun for elements with a scale each.
func vectorQuantizeColumns(dst []byte, w, scale []float32, zero []int32, lo, hi int) (n int, far uint32) {
	if !useVectors || len(dst) < unrolled {
		return 0, 0
	}
	w, scale, zero = w[:len(dst)], scale[:len(dst)], zero[:len(dst)]
	var far0, far1 archsimd.Uint32x8
	round := archsimd.BroadcastFloat32x8(magic)
	magnitude := archsimd.BroadcastUint32x8(math.MaxInt32)
	least := archsimd.BroadcastInt32x8(int32(magicBits + lo))
	most := archsimd.BroadcastInt32x8(int32(magicBits + hi))
	for ; n+unrolled <= len(dst); n += unrolled {
		x, s, z := w[n:n+unrolled], scale[n:n+unrolled], zero[n:n+unrolled]
		a := sum8(x, archsimd.LoadFloat32x8Slice(s), round)
		b := sum8(x[8:], archsimd.LoadFloat32x8Slice(s[8:]), round)
		c := sum8(x[16:], archsimd.LoadFloat32x8Slice(s[16:]), round)
		d := sum8(x[24:], archsimd.LoadFloat32x8Slice(s[24:]), round)
		far0 = far0.Max(a.AsUint32x8().And(magnitude)).Max(b.AsUint32x8().And(magnitude))
		far1 = far1.Max(c.AsUint32x8().And(magnitude)).Max(d.AsUint32x8().And(magnitude))
		a = clip8(a, archsimd.LoadInt32x8Slice(z), least, most)
		b = clip8(b, archsimd.LoadInt32x8Slice(z[8:]), least, most)
		c = clip8(c, archsimd.LoadInt32x8Slice(z[16:]), least, most)
		d = clip8(d, archsimd.LoadInt32x8Slice(z[24:]), least, most)
		store32(dst[n:n+unrolled], a, b, c, d)
	}
	var tops [8]uint32
	far0.Max(far1).Store(&tops)
	archsimd.ClearAVXUpperBits()
	return n, slices.Max(tops[:])
}

// sum8 returns the bits of w/scale + magic: the rounded quotient and, on top
// of it, magicBits.
func sum8(w []float32, scale, round archsimd.Float32x8) archsimd.Int32x8 {
	return archsimd.LoadFloat32x8Slice(w).Div(scale).Add(round).AsInt32x8()
}

// clip8 adds zero points to sums, within limits that have magicBits on top. The
// limits are moved rather than the sums, which could overflow.
func clip8(sum, zero, least, most archsimd.Int32x8) archsimd.Int32x8 {
	return sum.Max(least.Sub(zero)).Min(most.Sub(zero)).Add(zero)
}

// byPlace orders the bytes of eight numbers such that those of like place stand
// together, within each half; halves joins the halves.
var (
	byPlace = [32]int8{
		0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
		0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
	}
	halves = [8]uint32{0, 4, 1, 5, 2, 6, 3, 7}
)

// store32 stores the low bytes of a, b, c and d one after the other; magicBits
// has none.
func store32(dst []byte, a, b, c, d archsimd.Int32x8) {
	low := archsimd.BroadcastInt32x8(0xff)
	a = a.And(low).Or(b.And(low).ShiftAllLeft(8))
	c = c.And(low).ShiftAllLeft(16).Or(d.ShiftAllLeft(24))
	q := a.Or(c).AsUint8x32().PermuteOrZeroGrouped(archsimd.LoadInt8x32(&byPlace))
	q.AsUint32x8().Permute(archsimd.LoadUint32x8(&halves)).AsUint8x32().StoreSlice(dst)
}
