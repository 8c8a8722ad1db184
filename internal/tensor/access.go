package tensor

import (
	"fmt"
	"math"
)

// check returns an error unless t's data has the size that its type and shape
// demand; n is the number of elements.
func (t Tensor) check() (n int, err error) {
	size, err := t.Shape.Bytes(t.DType)
	if err != nil {
		return 0, err
	}
	if size != int64(len(t.Data)) {
		return 0, fmt.Errorf("%s tensor of shape %v needs %d bytes and has %d",
			t.DType, t.Shape, size, len(t.Data))
	}
	return t.Len(), nil
}

// Float32s returns t's elements as float32: aliased if t is float32 (see As),
// else a copy, rounded as ToFloat32 does.
func (t Tensor) Float32s() ([]float32, error) {
	n, err := t.check()
	if err != nil {
		return nil, err
	}
	if t.DType == Float32 {
		return As[float32](t.Data), nil
	}
	if err := convertible(t.DType, Float32); err != nil {
		return nil, err // before the result is allocated
	}
	out := make([]float32, n)
	return out, ToFloat32(out, t)
}

// Int64s returns the elements of an integer or bool tensor as int64: aliased
// if t is int64 (see As), else a copy. A uint64 above 2^63-1 is an error.
func (t Tensor) Int64s() ([]int64, error) {
	n, err := t.check()
	if err != nil {
		return nil, err
	}
	if t.DType == Int64 {
		return As[int64](t.Data), nil
	}
	if !t.DType.IsInteger() && t.DType != Bool {
		return nil, fmt.Errorf("%s tensor has no integer elements", t.DType)
	}
	out := make([]int64, n)
	for lo := 0; lo < n; lo += blockLen {
		hi := min(lo+blockLen, n)
		readInts(out[lo:hi], t.DType, t.span(lo, hi))
	}
	if t.DType == Uint64 {
		for i, v := range out {
			if v < 0 {
				return nil, fmt.Errorf("element %d is %d, above %d", i, uint64(v), int64(math.MaxInt64))
			}
		}
	}
	return out, nil
}

// ToFloat32 fills dst with t's elements, each rounded half to even where
// float32 cannot hold it. It fails for strings, complex numbers, a dst of
// another length and a tensor whose data does not fit its shape.
func ToFloat32(dst []float32, t Tensor) error {
	n, err := t.check()
	if err != nil {
		return err
	}
	if len(dst) != n {
		return fmt.Errorf("%s tensor of shape %v: %d elements do not fill %d", t.DType, t.Shape, n, len(dst))
	}
	if err := convertible(t.DType, Float32); err != nil {
		return err
	}
	parallelBlocks(n, func(lo, hi int) {
		for ; lo < hi; lo += blockLen {
			end := min(lo+blockLen, hi)
			readF32(dst[lo:end], t.DType, t.span(lo, end))
		}
	})
	return nil
}

// span returns the bytes of elements lo to hi; lo is a multiple of blockLen.
func (t Tensor) span(lo, hi int) []byte {
	bits := t.DType.Bits()
	return t.Data[lo*bits/8 : (hi*bits+7)/8]
}

// readF32 decodes len(dst) elements.
func readF32(dst []float32, d DType, b []byte) {
	switch d {
	case Float32:
		copy(AsBytes(dst), b)
	case Float64:
		castSlice(dst, As[float64](b))
	case Float16:
		for i, h := range As[uint16](b)[:len(dst)] {
			dst[i] = F16ToF32(h)
		}
	case BFloat16:
		for i, h := range As[uint16](b)[:len(dst)] {
			dst[i] = BF16ToF32(h)
		}
	case F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F8E8M0:
		lookup(dst, b, byteTable(d))
	case F4E2M1:
		var codes [blockLen]byte
		UnpackBits(codes[:len(dst)], b, 4)
		lookup(dst, codes[:len(dst)], tabE2M1)
	case Uint64:
		castSlice(dst, As[uint64](b))
	case Int64:
		castSlice(dst, As[int64](b))
	case Uint8:
		castSlice(dst, b)
	case Int8:
		castSlice(dst, As[int8](b))
	default:
		var ints [blockLen]int64
		readInts(ints[:len(dst)], d, b)
		castSlice(dst, ints[:len(dst)])
	}
}

func lookup(dst []float32, codes []byte, t *[256]float32) {
	for i, c := range codes[:len(dst)] {
		dst[i] = t[c]
	}
}

// byteTable returns the values of a one-byte floating-point type.
func byteTable(d DType) *[256]float32 {
	switch d {
	case F8E4M3FN:
		return tabE4M3FN
	case F8E4M3FNUZ:
		return tabE4M3UZ
	case F8E5M2:
		return tabE5M2
	case F8E5M2FNUZ:
		return tabE5M2UZ
	case F8E8M0:
		return tabE8M0
	}
	panic("tensor: byteTable of " + d.String())
}

// readInts decodes len(dst) elements of an integer type or bool; a uint64
// keeps its bits.
func readInts(dst []int64, d DType, b []byte) {
	switch d {
	case Bool:
		for i, v := range b[:len(dst)] {
			dst[i] = 0
			if v != 0 {
				dst[i] = 1
			}
		}
	case Uint8:
		castSlice(dst, b)
	case Int8:
		castSlice(dst, As[int8](b))
	case Uint16:
		castSlice(dst, As[uint16](b))
	case Int16:
		castSlice(dst, As[int16](b))
	case Uint32:
		castSlice(dst, As[uint32](b))
	case Int32:
		castSlice(dst, As[int32](b))
	case Int64, Uint64:
		copy(AsBytes(dst), b)
	default: // 2 and 4 bits
		var codes [blockLen]byte
		c := codes[:len(dst)]
		if d.IsSigned() {
			unpackSigned(c, b, d.Bits())
			castSlice(dst, As[int8](c))
			return
		}
		UnpackBits(c, b, d.Bits())
		castSlice(dst, c)
	}
}

// castSlice converts as Go does: rounding half to even to a float type,
// dropping high bits to an integer type.
func castSlice[D, S Number](dst []D, src []S) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] = D(v)
	}
}
