package tensor

import (
	"math"
	"sync/atomic"
	"unsafe"
)

// Adding 1.5·2^23 to a float32 of magnitude below 2^22 rounds it half to even
// and leaves it, as an integer, in the low bits. Beyond that the bits of the
// sum, read as an int32, still lie outside those of every narrower value, on
// the right side, infinities included: clipping the integer is enough.
const (
	magic     = 0x1.8p23
	magicBits = 0x4b400000
)

// Quantize fills dst with the stored values of w, a row-major tensor of shape
// s, packed as ONNX packs the type. NaN and infinity in w are errors, as are
// lengths that do not fit. The bytes do not depend on the number of threads.
func (a Affine) Quantize(dst []byte, w []float32, s Shape) error {
	p, err := a.plan(s)
	if err != nil {
		return err
	}
	if err := p.checkLen(len(w), s); err != nil {
		return err
	}
	if err := p.codeLen(len(dst), a.DType); err != nil {
		return err
	}
	var suspect atomic.Bool
	parallelBlocks(p.n, func(lo, hi int) {
		if p.quantize(dst, w, lo, hi) {
			suspect.Store(true)
		}
	})
	if suspect.Load() && FirstNonFinite(w) >= 0 {
		return nonFiniteError(w)
	}
	return nil
}

// quantize does the elements from to to; from is a multiple of blockLen. It
// reports whether a quotient was NaN or infinite.
func (p *plan) quantize(dst []byte, w []float32, from, to int) (suspect bool) {
	switch p.bits {
	case 8:
		return quantizeSpan(p, dst[from:to], w, from)
	case 16:
		var q [blockLen]uint16
		for at := from; at < to; at += blockLen {
			n := min(blockLen, to-at)
			suspect = quantizeSpan(p, q[:n], w, at) || suspect
			copy(dst[2*at:], AsBytes(q[:n]))
		}
	case 32:
		return p.quantizeWide(dst, w, from, to)
	default:
		var q [blockLen]byte
		for at := from; at < to; at += blockLen {
			n := min(blockLen, to-at)
			suspect = quantizeSpan(p, q[:n], w, at) || suspect
			PackBits(dst[at*p.bits/8:], q[:n], p.bits)
		}
	}
	return suspect
}

// quantizeSpan stores the codes of len(dst) elements of w from at.
func quantizeSpan[T uint8 | uint16](p *plan, dst []T, w []float32, at int) bool {
	var seen uint32
	w = w[at : at+len(dst)]
	for len(dst) > 0 {
		n, i, perElement := p.segment(at, at+len(dst))
		if perElement {
			seen |= quantizeColumns(dst[:n], w[:n], p.scale[i:i+n], p.zero[i:i+n], p.lo, p.hi)
		} else {
			seen |= quantizeRun(dst[:n], w[:n], p.scale[i], int(p.zero[i]), p.lo, p.hi)
		}
		dst, w, at = dst[n:], w[n:], at+n
	}
	return seen>>31 != 0
}

// quantizeRun stores the codes of elements with one scale. The top bit of the
// result is set if a sum was NaN or infinite: adding 2^23 to the absolute bits
// carries into it just for the greatest exponent.
func quantizeRun[T uint8 | uint16](dst []T, w []float32, scale float32, zero, lo, hi int) (seen uint32) {
	if unsafe.Sizeof(T(0)) == 1 {
		n, far := vectorQuantizeRun(AsBytes(dst), w, scale, zero, lo, hi)
		dst, w, seen = dst[n:], w[n:], far+0x00800000
	}
	w = w[:len(dst)]
	shift := zero - magicBits
	for i, x := range w {
		b := math.Float32bits(x/scale + magic)
		seen |= b&0x7fffffff + 0x00800000
		dst[i] = T(min(max(int(int32(b))+shift, lo), hi))
	}
	return seen
}

// quantizeColumns is quantizeRun for elements with a scale each.
func quantizeColumns[T uint8 | uint16](dst []T, w, scale []float32, zero []int32, lo, hi int) (seen uint32) {
	if unsafe.Sizeof(T(0)) == 1 {
		n, far := vectorQuantizeColumns(AsBytes(dst), w, scale, zero, lo, hi)
		dst, w, scale, zero = dst[n:], w[n:], scale[n:], zero[n:]
		seen = far + 0x00800000
	}
	w, scale, zero = w[:len(dst)], scale[:len(dst)], zero[:len(dst)]
	for i, x := range w {
		b := math.Float32bits(x/scale[i] + magic)
		seen |= b&0x7fffffff + 0x00800000
		dst[i] = T(min(max(int(int32(b))-magicBits+int(zero[i]), lo), hi))
	}
	return seen
}

// quantizeWide stores int32 codes (biases), which the trick above cannot hold.
func (p *plan) quantizeWide(dst []byte, w []float32, from, to int) (suspect bool) {
	var q [blockLen]int32
	for at := from; at < to; {
		n, i, perElement := p.segment(at, min(to, at+blockLen))
		for j, x := range w[at : at+n] {
			k := i
			if perElement {
				k += j
			}
			r := math.RoundToEven(float64(x / p.scale[k]))
			suspect = suspect || r-r != 0
			r = min(max(r+float64(p.zero[k]), float64(p.lo)), float64(p.hi))
			if r != r {
				r = 0
			}
			q[j] = int32(r)
		}
		copy(dst[4*at:], AsBytes(q[:n]))
		at += n
	}
	return suspect
}

// Dequantize fills dst with the numbers that the stored values q of a tensor
// of shape s mean. It fails for lengths that do not fit.
func (a Affine) Dequantize(dst []float32, q []byte, s Shape) error {
	p, err := a.plan(s)
	if err != nil {
		return err
	}
	if err := p.checkLen(len(dst), s); err != nil {
		return err
	}
	if err := p.codeLen(len(q), a.DType); err != nil {
		return err
	}
	codes := Tensor{DType: a.DType, Shape: s, Data: q}
	parallelBlocks(p.n, func(lo, hi int) {
		for at := lo; at < hi; at += blockLen {
			end := min(at+blockLen, hi)
			// The codes, as floats: exact up to 24 bits.
			if p.bits < 32 {
				readF32(dst[at:end], a.DType, codes.span(at, end))
				p.dequantize(dst, at, end)
			} else {
				p.dequantizeWide(dst, As[int32](codes.span(at, end)), at, end)
			}
		}
	})
	return nil
}

// dequantize replaces codes by numbers in place.
func (p *plan) dequantize(v []float32, from, to int) {
	for at := from; at < to; {
		n, i, perElement := p.segment(at, to)
		run := v[at : at+n]
		if perElement {
			scale, zero := p.scale[i:][:len(run)], p.zero[i:][:len(run)]
			for j, q := range run {
				run[j] = (q - float32(zero[j])) * scale[j]
			}
		} else {
			scale, zero := p.scale[i], float32(p.zero[i])
			for j, q := range run {
				run[j] = (q - zero) * scale
			}
		}
		at += n
	}
}

// dequantizeWide does int32 codes, which float32 cannot subtract exactly.
func (p *plan) dequantizeWide(v []float32, q []int32, from, to int) {
	for at := from; at < to; {
		n, i, perElement := p.segment(at, to)
		for j := range n {
			k := i
			if perElement {
				k += j
			}
			v[at+j] = float32(int64(q[at-from+j])-int64(p.zero[k])) * p.scale[k]
		}
		at += n
	}
}
