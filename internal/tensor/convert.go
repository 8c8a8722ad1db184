package tensor

import "fmt"

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
