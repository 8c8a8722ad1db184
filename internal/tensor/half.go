package tensor

import "math"

// ToHalf rounds v half to even into dst, which has its length: float16, or
// bfloat16. Finite numbers beyond the range become the greatest finite one;
// infinities and NaN stay.
func ToHalf(dst []uint16, v []float32, d DType) {
	dst = dst[:len(v)]
	if d == BFloat16 {
		for i, x := range v {
			h := F32ToBF16(x)
			if h&0x7fff == 0x7f80 && !math.IsInf(float64(x), 0) {
				h--
			}
			dst[i] = h
		}
		return
	}
	for i, x := range v {
		b := math.Float32bits(x)
		if abs := b & 0x7fffffff; abs-0x38800000 < 0x477ff000-0x38800000 { // a normal float16
			dst[i] = uint16(b>>16)&0x8000 | uint16((abs+0xfff+abs>>13&1-0x38000000)>>13)
			continue
		}
		h := F32ToF16(x)
		if h&0x7fff == 0x7c00 && !math.IsInf(float64(x), 0) {
			h--
		}
		dst[i] = h
	}
}

// HalfLosses counts the finite numbers that are beyond the range of float16 or
// bfloat16, and those that are not zero and become zero there.
func HalfLosses(v []float32, d DType) (beyond, zero int64) {
	// Bit patterns of absolute values: the least that rounds to infinity, and
	// the greatest that rounds to zero.
	over, under := uint32(0x477ff000), uint32(0x33000000)
	if d == BFloat16 {
		over, under = 0x7f7f8000, 0x00008000
	}
	for _, x := range v {
		abs := math.Float32bits(x) & 0x7fffffff
		if abs-under-1 < over-under-1 || abs == 0 {
			continue
		}
		switch {
		case abs <= under:
			zero++
		case abs < 0x7f800000:
			beyond++
		}
	}
	return beyond, zero
}
