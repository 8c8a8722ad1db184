package tensor

import "math"

// smallFloat describes a binary floating-point format of at most 16 bits with
// a sign bit. Sources: IEEE 754 (float16), the ONNX specification's pages on
// float8 and float4, and the OCP 8-bit and microscaling specifications.
type smallFloat struct {
	bits, man, bias int
	max             uint16 // code of the greatest finite value
	over            uint16 // code of values beyond it, and of infinity
	nan             uint16
	noNegZero       bool // the code of -0 means NaN (the "uz" formats)
	noInf           bool // the codes above max are NaN
	noNaN           bool // every code is a number
}

// The formats. The 8- and 4-bit ones saturate, as ONNX Cast does by default.
var (
	fmtF16    = smallFloat{bits: 16, man: 10, bias: 15, max: 0x7bff, over: 0x7c00, nan: 0x7e00}
	fmtBF16   = smallFloat{bits: 16, man: 7, bias: 127, max: 0x7f7f, over: 0x7f80, nan: 0x7fc0}
	fmtE4M3FN = smallFloat{bits: 8, man: 3, bias: 7, max: 0x7e, over: 0x7e, nan: 0x7f, noInf: true}
	fmtE4M3UZ = smallFloat{bits: 8, man: 3, bias: 8, max: 0x7f, over: 0x7f, nan: 0x80, noNegZero: true}
	fmtE5M2   = smallFloat{bits: 8, man: 2, bias: 15, max: 0x7b, over: 0x7b, nan: 0x7f}
	fmtE5M2UZ = smallFloat{bits: 8, man: 2, bias: 16, max: 0x7f, over: 0x7f, nan: 0x80, noNegZero: true}
	fmtE2M1   = smallFloat{bits: 4, man: 1, bias: 1, max: 0x7, over: 0x7, noNaN: true}
)

// encode rounds x half to even. NaN becomes 0 in a format without NaN.
func (f *smallFloat) encode(x float64) uint16 {
	if x != x {
		return f.nan
	}
	sign := uint16(0)
	if math.Signbit(x) {
		sign = 1 << (f.bits - 1)
	}
	x = math.Abs(x)
	code := f.over
	switch {
	case x == 0:
		code = 0
	case !math.IsInf(x, 0):
		_, e := math.Frexp(x) // x = m·2^e, m in [1/2, 1)
		e = max(e-1, 1-f.bias)
		// The unit in the last place is 2^(e-man). A carry out of the rounded
		// significand moves into the exponent field by itself.
		r := math.RoundToEven(math.Ldexp(x, f.man-e))
		if e+f.bias < 1<<(f.bits-1-f.man) {
			code = uint16(e+f.bias-1)<<f.man + uint16(r)
		}
		if code > f.max {
			code = f.over
		}
	}
	if code == 0 && f.noNegZero {
		return 0
	}
	return sign | code
}

// decode returns the exact value of a code.
func (f *smallFloat) decode(code uint16) float32 {
	signBit := uint16(1) << (f.bits - 1)
	abs := code &^ signBit
	e, m := int(abs>>f.man), float64(abs&(1<<f.man-1))
	var v float64
	switch {
	case f.noNegZero && code == signBit, f.noInf && abs > f.max:
		v = math.NaN()
	case !f.noNaN && abs > f.max && m != 0:
		v = math.NaN()
	case abs > f.max:
		v = math.Inf(1)
	case e == 0:
		v = math.Ldexp(m, 1-f.bias-f.man)
	default:
		v = math.Ldexp(m+float64(int(1)<<f.man), e-f.bias-f.man)
	}
	if code&signBit != 0 {
		v = -v
	}
	return float32(v)
}

// table returns the values of all 256 codes of a format of at most 8 bits.
func (f *smallFloat) table() *[256]float32 {
	var t [256]float32
	for i := range 1 << f.bits {
		t[i] = f.decode(uint16(i))
	}
	return &t
}

// Values of the 8- and 4-bit formats by code.
var (
	tabE4M3FN = fmtE4M3FN.table()
	tabE4M3UZ = fmtE4M3UZ.table()
	tabE5M2   = fmtE5M2.table()
	tabE5M2UZ = fmtE5M2UZ.table()
	tabE2M1   = fmtE2M1.table()
	tabE8M0   = tableE8M0()
)

// tableE8M0 lists the powers of two that float8e8m0 means; 255 is NaN.
func tableE8M0() *[256]float32 {
	var t [256]float32
	for i := range 255 {
		t[i] = float32(math.Ldexp(1, i-127))
	}
	t[255] = float32(math.NaN())
	return &t
}

// encodeE8M0 returns the code of the power of two that is nearest to x, the
// greater one half way between two; with up, of the least one that is not
// below x (ONNX Cast's default, round_mode "up"). Both saturate. A negative x
// has no such power and becomes NaN, as NaN does.
func encodeE8M0(x float64, up bool) uint16 {
	switch {
	case x != x || x < 0:
		return 255
	case math.IsInf(x, 1):
		return 254
	case x == 0:
		return 0
	}
	m, e := math.Frexp(x) // x = 2m · 2^(e-1), 2m in [1, 2)
	if (up && m > 0.5) || m >= 0.75 {
		e++
	}
	return uint16(min(max(e-1+127, 0), 254))
}

// F16ToF32 returns the exact value of a float16.
func F16ToF32(h uint16) float32 {
	sign := uint32(h>>15) << 31
	abs := uint32(h&0x7fff) << 13
	if abs >= 0x0f800000 { // infinity or NaN, whose payload is kept
		return math.Float32frombits(sign | 0x7f800000 | abs)
	}
	// Multiplying by 2^112 corrects the bias and normalizes subnormals.
	return math.Float32frombits(sign | math.Float32bits(math.Float32frombits(abs)*0x1p112))
}

// F32ToF16 rounds half to even; values from 65520 become infinite.
func F32ToF16(x float32) uint16 {
	b := math.Float32bits(x)
	sign, abs := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13)&0x1ff
	case abs >= 0x477ff000: // 65520
		return sign | 0x7c00
	case abs >= 0x38800000: // 2^-14, the least normal float16
		abs += 0xfff + abs>>13&1
		return sign | uint16((abs-0x38000000)>>13)
	}
	// The last place of 0.5 is float16's least subnormal: adding rounds there.
	return sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-0x3f000000)
}

// BF16ToF32 returns the exact value of a bfloat16.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 rounds half to even; too great values become infinite.
func F32ToBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40 // stays NaN without the lower half
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
