package tensor

import (
	"math"
	"math/bits"
)

// Conversion from and to integers, by way of int64; a uint64 keeps its bits.

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
