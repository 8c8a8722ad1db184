package tensor

import "fmt"

// DType is an element type. The numbers are those of TensorProto.DataType in
// the ONNX specification (onnx.proto3), so that a conversion is never needed.
type DType int32

// Element types, as ONNX numbers them.
const (
	Undefined  DType = 0
	Float32    DType = 1
	Uint8      DType = 2
	Int8       DType = 3
	Uint16     DType = 4
	Int16      DType = 5
	Int32      DType = 6
	Int64      DType = 7
	String     DType = 8
	Bool       DType = 9
	Float16    DType = 10
	Float64    DType = 11
	Uint32     DType = 12
	Uint64     DType = 13
	Complex64  DType = 14
	Complex128 DType = 15
	BFloat16   DType = 16
	F8E4M3FN   DType = 17
	F8E4M3FNUZ DType = 18
	F8E5M2     DType = 19
	F8E5M2FNUZ DType = 20
	Uint4      DType = 21
	Int4       DType = 22
	F4E2M1     DType = 23
	F8E8M0     DType = 24
	Uint2      DType = 25
	Int2       DType = 26
)

// kind says how the bits of an element type are to be read.
type kind uint8

const (
	kindOpaque kind = iota
	kindFloat
	kindSigned
	kindUnsigned
	kindBool
	kindComplex
)

// info is the one table of facts about element types.
var info = [...]struct {
	name string
	bits int
	kind kind
}{
	Undefined:  {"undefined", 0, kindOpaque},
	Float32:    {"float32", 32, kindFloat},
	Uint8:      {"uint8", 8, kindUnsigned},
	Int8:       {"int8", 8, kindSigned},
	Uint16:     {"uint16", 16, kindUnsigned},
	Int16:      {"int16", 16, kindSigned},
	Int32:      {"int32", 32, kindSigned},
	Int64:      {"int64", 64, kindSigned},
	String:     {"string", 0, kindOpaque},
	Bool:       {"bool", 8, kindBool},
	Float16:    {"float16", 16, kindFloat},
	Float64:    {"float64", 64, kindFloat},
	Uint32:     {"uint32", 32, kindUnsigned},
	Uint64:     {"uint64", 64, kindUnsigned},
	Complex64:  {"complex64", 64, kindComplex},
	Complex128: {"complex128", 128, kindComplex},
	BFloat16:   {"bfloat16", 16, kindFloat},
	F8E4M3FN:   {"float8e4m3fn", 8, kindFloat},
	F8E4M3FNUZ: {"float8e4m3fnuz", 8, kindFloat},
	F8E5M2:     {"float8e5m2", 8, kindFloat},
	F8E5M2FNUZ: {"float8e5m2fnuz", 8, kindFloat},
	Uint4:      {"uint4", 4, kindUnsigned},
	Int4:       {"int4", 4, kindSigned},
	F4E2M1:     {"float4e2m1", 4, kindFloat},
	F8E8M0:     {"float8e8m0", 8, kindFloat},
	Uint2:      {"uint2", 2, kindUnsigned},
	Int2:       {"int2", 2, kindSigned},
}

// Valid reports whether d is a known element type other than Undefined.
func (d DType) Valid() bool { return d > Undefined && int(d) < len(info) }

// String returns the ONNX name in lower case, "float32" for example.
func (d DType) String() string {
	if d < 0 || int(d) >= len(info) {
		return fmt.Sprintf("dtype(%d)", int32(d))
	}
	return info[d].name
}

// Bits returns the bits of one element in packed storage; 0 for String and
// Undefined, whose elements have no fixed size.
func (d DType) Bits() int {
	if !d.Valid() {
		return 0
	}
	return info[d].bits
}

// IsFloat reports whether d is a real floating-point type of any width.
func (d DType) IsFloat() bool { return d.Valid() && info[d].kind == kindFloat }

// IsSigned reports whether d is a signed integer type.
func (d DType) IsSigned() bool { return d.Valid() && info[d].kind == kindSigned }

// IsInteger reports whether d is a signed or unsigned integer type (not bool).
func (d DType) IsInteger() bool {
	return d.Valid() && (info[d].kind == kindSigned || info[d].kind == kindUnsigned)
}

// Range returns the smallest and greatest value of an integer type of at most
// 32 bits. It panics if d is not such a type.
func (d DType) Range() (lo, hi int64) {
	bits := d.Bits()
	switch {
	case !d.IsInteger() || bits > 32:
		panic("tensor: Range of " + d.String())
	case d.IsSigned():
		return -1 << (bits - 1), 1<<(bits-1) - 1
	}
	return 0, 1<<bits - 1
}
