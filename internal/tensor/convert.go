package tensor

import (
	"fmt"
	"math"
	"math/bits"
)

// Convert returns t's elements as type d, for storage and quantization: to
// integers it rounds half to even and clips (NaN becomes 0), to float types it
// rounds half to even once. The 8- and 4-bit float types saturate, float16 and
// bfloat16 overflow to infinity; NaN becomes 0 in float4e2m1, which has none.
// Bool is "not zero". t itself comes back if it has the type already. Strings
// and complex numbers have no conversion.
func Convert(t Tensor, d DType) (Tensor, error) { return convert(t, d, false) }

// Cast is the ONNX operator Cast with its default attributes. It differs from
// Convert in three points: floats are cut towards zero to integers, integers
// wrap round, and float8e8m0 rounds up. What ONNX leaves undefined (floats
// beyond an integer type) is clipped.
func Cast(t Tensor, d DType) (Tensor, error) { return convert(t, d, true) }

func convert(t Tensor, d DType, cast bool) (Tensor, error) {
	if t.DType == d {
		return t, nil
	}
	if err := convertible(t.DType, d); err != nil {
		return Tensor{}, err
	}
	n, err := t.check()
	if err != nil {
		return Tensor{}, err
	}
	out, err := New(d, t.Shape)
	if err != nil {
		return Tensor{}, err
	}
	parallelBlocks(n, func(lo, hi int) {
		for ; lo < hi; lo += blockLen {
			end := min(lo+blockLen, hi)
			convertBlock(out, t, lo, end, cast)
		}
	})
	return out, nil
}

// convertible says why from cannot become to, if so.
func convertible(from, to DType) error {
	for _, d := range []DType{from, to} {
		if !d.IsFloat() && !d.IsInteger() && d != Bool {
			return fmt.Errorf("no conversion from %s to %s", from, to)
		}
	}
	return nil
}

// convertBlock converts elements lo to hi, at most blockLen of them.
func convertBlock(out, t Tensor, lo, hi int, cast bool) {
	src, dst, n := t.span(lo, hi), out.span(lo, hi), hi-lo
	if t.DType.IsFloat() && out.DType.IsFloat() {
		if floatFast(dst, src, out.DType, t.DType, n) {
			return
		}
	}
	if t.DType.IsFloat() {
		var f [blockLen]float64
		readF64(f[:n], t.DType, src)
		if out.DType.IsFloat() {
			writeFloats(dst, out.DType, f[:n], cast)
			return
		}
		var v [blockLen]int64
		floatsToInts(v[:n], f[:n], out.DType, cast)
		writeInts(dst, out.DType, v[:n])
		return
	}
	var v [blockLen]int64
	readInts(v[:n], t.DType, src)
	if out.DType.IsFloat() {
		intsToFloats(dst, out.DType, v[:n], t.DType == Uint64, cast)
		return
	}
	if !cast {
		clipInts(v[:n], t.DType == Uint64, out.DType)
	}
	writeInts(dst, out.DType, v[:n])
}

// floatFast does the pairs that models are full of; it reports whether from
// and to are one.
func floatFast(dst, src []byte, to, from DType, n int) bool {
	var buf [blockLen]float32
	f := buf[:n]
	switch {
	case to == Float32:
		readF32(f, from, src)
		copy(dst, AsBytes(f))
	case from == Float64 || (to != Float16 && to != BFloat16):
		return false
	case to == Float16:
		readF32(f, from, src)
		for i, x := range f {
			h := F32ToF16(x)
			dst[2*i], dst[2*i+1] = byte(h), byte(h>>8)
		}
	default:
		readF32(f, from, src)
		for i, x := range f {
			h := F32ToBF16(x)
			dst[2*i], dst[2*i+1] = byte(h), byte(h>>8)
		}
	}
	return true
}

// readF64 decodes elements of a float type exactly.
func readF64(dst []float64, d DType, b []byte) {
	if d == Float64 {
		copy(AsBytes(dst), b)
		return
	}
	var f [blockLen]float32
	readF32(f[:len(dst)], d, b)
	castSlice(dst, f[:len(dst)])
}

// writeFloats encodes v as the float type d.
func writeFloats(dst []byte, d DType, v []float64, up bool) {
	switch d {
	case Float64:
		copy(dst, AsBytes(v))
	case Float32:
		var f [blockLen]float32
		castSlice(f[:len(v)], v)
		copy(dst, AsBytes(f[:len(v)]))
	case F8E8M0:
		for i, x := range v {
			dst[i] = byte(encodeE8M0(x, up))
		}
	case F4E2M1:
		var codes [blockLen]byte
		for i, x := range v {
			codes[i] = byte(fmtE2M1.encode(x))
		}
		PackBits(dst, codes[:len(v)], 4)
	case Float16, BFloat16:
		f := formatOf(d)
		for i, x := range v {
			h := f.encode(x)
			dst[2*i], dst[2*i+1] = byte(h), byte(h>>8)
		}
	default:
		f := formatOf(d)
		for i, x := range v {
			dst[i] = byte(f.encode(x))
		}
	}
}

func formatOf(d DType) *smallFloat {
	switch d {
	case Float16:
		return &fmtF16
	case BFloat16:
		return &fmtBF16
	case F8E4M3FN:
		return &fmtE4M3FN
	case F8E4M3FNUZ:
		return &fmtE4M3UZ
	case F8E5M2:
		return &fmtE5M2
	case F8E5M2FNUZ:
		return &fmtE5M2UZ
	}
	panic("tensor: formatOf " + d.String())
}

// floatsToInts rounds half to even, or cuts, and clips to d's range.
func floatsToInts(dst []int64, v []float64, d DType, cut bool) {
	for i, x := range v {
		switch {
		case d == Bool:
			dst[i] = 0
			if x != 0 {
				dst[i] = 1
			}
			continue
		case x != x:
			dst[i] = 0
			continue
		case cut:
			x = math.Trunc(x)
		default:
			x = math.RoundToEven(x)
		}
		dst[i] = clipFloat(x, d)
	}
}

// clipFloat clips a whole number to the integer type d; a uint64 above 2^63-1
// is returned as its bits.
func clipFloat(x float64, d DType) int64 {
	switch d {
	case Int64:
		if x >= 0x1p63 {
			return math.MaxInt64
		}
		return int64(max(x, -0x1p63))
	case Uint64:
		if x >= 0x1p64 {
			return -1 // all ones
		}
		return int64(uint64(max(x, 0)))
	}
	lo, hi := d.Range()
	return int64(min(max(x, float64(lo)), float64(hi)))
}

// clipInts clips v, whose elements are uint64 bits if unsigned, to d.
func clipInts(v []int64, unsigned bool, d DType) {
	var lo, hi int64
	switch d {
	case Bool:
		return // writeInts asks for zero only
	case Int64, Uint64:
		lo, hi = 0, math.MaxInt64
		if d == Int64 && !unsigned || d == Uint64 && unsigned {
			return
		}
	default:
		lo, hi = d.Range()
	}
	for i, x := range v {
		if unsigned && x < 0 {
			x = math.MaxInt64
		}
		v[i] = min(max(x, lo), hi)
	}
}

// intsToFloats rounds half to even once; v's elements are uint64 bits if
// unsigned.
func intsToFloats(dst []byte, d DType, v []int64, unsigned, up bool) {
	var f64 [blockLen]float64
	var f32 [blockLen]float32
	n := len(v)
	switch {
	case d == Float64 && unsigned:
		castSlice(f64[:n], As[uint64](AsBytes(v)))
	case d == Float64:
		castSlice(f64[:n], v)
	case d == Float32 && unsigned:
		castSlice(f32[:n], As[uint64](AsBytes(v)))
	case d == Float32:
		castSlice(f32[:n], v)
	default:
		for i, x := range v {
			f64[i] = oddFloat(x, unsigned)
		}
	}
	if d == Float32 {
		copy(dst, AsBytes(f32[:n]))
		return
	}
	writeFloats(dst, d, f64[:n], up)
}

// oddFloat rounds x to float64 so that a second rounding to a narrower type
// gives what one rounding of x would: bits below the 53 kept ones set the last.
func oddFloat(x int64, unsigned bool) float64 {
	u, neg := uint64(x), x < 0 && !unsigned
	if neg {
		u = -u
	}
	if drop := bits.Len64(u) - 53; drop > 0 {
		kept := u >> drop << drop
		if kept != u {
			kept |= 1 << drop
		}
		u = kept
	}
	if neg {
		return -float64(u)
	}
	return float64(u)
}

// writeInts stores the low bits of v as the integer type d, or bool.
func writeInts(dst []byte, d DType, v []int64) {
	switch d {
	case Bool:
		for i, x := range v {
			dst[i] = 0
			if x != 0 {
				dst[i] = 1
			}
		}
	case Int8, Uint8:
		castSlice(dst, v)
	case Int16, Uint16:
		var b [blockLen]uint16
		castSlice(b[:len(v)], v)
		copy(dst, AsBytes(b[:len(v)]))
	case Int32, Uint32:
		var b [blockLen]uint32
		castSlice(b[:len(v)], v)
		copy(dst, AsBytes(b[:len(v)]))
	case Int64, Uint64:
		copy(dst, AsBytes(v))
	default: // 2 and 4 bits
		var codes [blockLen]byte
		castSlice(codes[:len(v)], v)
		PackBits(dst, codes[:len(v)], d.Bits())
	}
}
