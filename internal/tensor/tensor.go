// Package tensor is the shared core: element types, shapes, views over bytes,
// conversion, statistics, and the codecs that quantization uses. It knows
// nothing of files, of ONNX or of a runtime, and does no I/O.
package tensor

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Tensor is a view: Data holds the elements in row-major order, little-endian,
// packed as ONNX raw_data is (4-bit types: first element in the low nibble).
// Strings are opaque: they lie in Strings, and Data is nil.
type Tensor struct {
	DType   DType
	Shape   Shape
	Data    []byte
	Strings []string
}

// Len returns the number of elements; the shape must be valid.
func (t Tensor) Len() int {
	n, err := t.Shape.Elements()
	if err != nil {
		panic("tensor: " + err.Error())
	}
	return int(n)
}

// New returns a zeroed tensor. It fails for shapes that overflow and for types
// without a fixed size.
func New(d DType, s Shape) (Tensor, error) {
	n, err := s.Bytes(d)
	if err != nil {
		return Tensor{}, err
	}
	return Tensor{DType: d, Shape: s.Clone(), Data: make([]byte, n)}, nil
}

// Number is any Go type whose memory is the storage of an element type.
type Number interface {
	~float32 | ~float64 | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Of returns a tensor over v without copying; d must have the size of T and
// the shape len(v) elements. It panics otherwise.
func Of[T Number](d DType, s Shape, v []T) Tensor {
	var zero T
	n, err := s.Elements()
	if err != nil || n != int64(len(v)) || d.Bits() != 8*int(unsafe.Sizeof(zero)) {
		panic(fmt.Sprintf("tensor: Of(%s, %v) over %d elements", d, s, len(v)))
	}
	return Tensor{DType: d, Shape: s.Clone(), Data: AsBytes(v)}
}

// AsBytes returns the memory of v (little-endian hosts only, which are all
// that ONNX Runtime supports here).
func AsBytes[T Number](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

// unalignedLoads says that the processor reads numbers at any address. Weights
// in a model file lie at arbitrary offsets, and copying them would cost as much
// as quantizing them.
const unalignedLoads = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// As returns b seen as elements of T: aliased where the processor can read it
// in place, else a copy. It panics if len(b) is no multiple of T's size.
func As[T Number](b []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if len(b)%size != 0 {
		panic(fmt.Sprintf("tensor: As: %d bytes are no multiple of %d", len(b), size))
	}
	if len(b) == 0 {
		return nil
	}
	if unalignedLoads || uintptr(unsafe.Pointer(&b[0]))%uintptr(size) == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/size)
	}
	out := make([]T, len(b)/size)
	copy(AsBytes(out), b)
	return out
}
