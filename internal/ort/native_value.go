package ort

// #include "native.h"
import "C"

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"optim/internal/tensor"
)

// value is a tensor of ONNX Runtime.
type value = *C.OrtValue

func releaseValue(v value) {
	if v != nil {
		C.opt_release_value(v)
	}
}

// Up to FLOAT4E2M1 ONNX Runtime numbers element types as ONNX does; it has no
// F8E8M0, and its 2-bit integers took that place.
const (
	nativeUint2 = 24
	nativeInt2  = 25
)

func toNative(d tensor.DType) (C.int, error) {
	switch {
	case d == tensor.Uint2:
		return nativeUint2, nil
	case d == tensor.Int2:
		return nativeInt2, nil
	case d.Valid() && d <= tensor.F4E2M1:
		return C.int(d), nil
	}
	return 0, fmt.Errorf("onnx runtime has no element type %s", d)
}

func fromNative(t C.int) tensor.DType {
	switch {
	case t == nativeUint2:
		return tensor.Uint2
	case t == nativeInt2:
		return tensor.Int2
	case t > 0 && t <= C.int(tensor.F4E2M1):
		return tensor.DType(t)
	}
	return tensor.Undefined
}

// nothing stands for the address of a tensor without elements.
var nothing [64]byte

// dimsPtr returns the address of the dimensions; a scalar has none.
func dimsPtr(s tensor.Shape) *C.int64_t {
	if len(s) == 0 {
		return nil
	}
	return (*C.int64_t)(unsafe.Pointer(&s[0]))
}

// newValue makes a value of t. That of a numeric tensor shares t's memory,
// which pins keeps in place until its Unpin; strings are copied.
func newValue(t tensor.Tensor, pins *runtime.Pinner) (value, error) {
	if t.DType == tensor.String {
		return newStrings(t)
	}
	kind, err := toNative(t.DType)
	if err != nil {
		return nil, err
	}
	want, err := t.Shape.Bytes(t.DType)
	if err != nil {
		return nil, err
	}
	if int64(len(t.Data)) != want {
		return nil, fmt.Errorf("%d bytes of data, but %s %s takes %d", len(t.Data), t.DType, t.Shape, want)
	}
	data := unsafe.Pointer(&nothing[0])
	if want > 0 {
		data = unsafe.Pointer(&t.Data[0])
	}
	pins.Pin(data)
	var v value
	err = check(C.opt_tensor_over(data, C.size_t(want), dimsPtr(t.Shape), C.size_t(len(t.Shape)), kind, &v))
	return v, err
}

// newStrings makes a value with copies of t's strings.
func newStrings(t tensor.Tensor) (value, error) {
	n, err := t.Shape.Elements()
	if err != nil {
		return nil, err
	}
	if int64(len(t.Strings)) != n {
		return nil, fmt.Errorf("%d strings for shape %s", len(t.Strings), t.Shape)
	}
	var v value
	err = check(C.opt_tensor_new(dimsPtr(t.Shape), C.size_t(len(t.Shape)), C.int(tensor.String), &v))
	if err != nil {
		return nil, err
	}
	for i, s := range t.Strings {
		p := (*C.char)(unsafe.Pointer(unsafe.StringData(s)))
		if err := check(C.opt_set_string(v, C.size_t(i), p, C.size_t(len(s)))); err != nil {
			releaseValue(v)
			return nil, err
		}
	}
	return v, nil
}

// readValue copies a value into memory of Go.
func readValue(v value) (tensor.Tensor, error) {
	t, err := lendValue(v)
	t.Data = slices.Clone(t.Data)
	return t, err
}

// lendValue returns a tensor over the memory of a value, which is good until the
// value is released. Strings are copied.
func lendValue(v value) (tensor.Tensor, error) {
	var none tensor.Tensor
	if v == nil {
		return none, fmt.Errorf("no value")
	}
	var kind, present C.int
	if err := check(C.opt_value_kind(v, &kind, &present)); err != nil {
		return none, err
	}
	switch {
	case present == 0:
		return none, fmt.Errorf("the model left this optional value out")
	case kind != C.ONNX_TYPE_TENSOR:
		return none, fmt.Errorf("it is a %s, and only tensors can be read", kindName(kind))
	}
	t, err := valueType(v)
	if err != nil {
		return none, err
	}
	if t.DType == tensor.String {
		t.Strings, err = readStrings(v, t.Shape)
		return t, err
	}
	size, err := t.Shape.Bytes(t.DType)
	if err != nil {
		return none, err
	}
	t.Data = []byte{}
	if size == 0 {
		return t, nil
	}
	var data unsafe.Pointer
	if err := check(C.opt_value_data(v, &data)); err != nil {
		return none, err
	}
	t.Data = unsafe.Slice((*byte)(data), size)
	return t, nil
}

// valueType returns a tensor without data that has v's type and shape.
func valueType(v value) (tensor.Tensor, error) {
	var info *C.OrtTensorTypeAndShapeInfo
	var kind C.int
	var rank C.size_t
	if err := check(C.opt_value_type(v, &kind, &rank, &info)); err != nil {
		return tensor.Tensor{}, err
	}
	defer C.opt_release_info(info)
	t := tensor.Tensor{DType: fromNative(kind), Shape: make(tensor.Shape, int(rank))}
	if t.DType == tensor.Undefined {
		return t, fmt.Errorf("unknown element type %d of onnx runtime", int(kind))
	}
	return t, check(C.opt_dims(info, dimsPtr(t.Shape), rank))
}

// readStrings copies the strings of a value of the given shape.
func readStrings(v value, shape tensor.Shape) ([]string, error) {
	n, err := shape.Elements()
	if err != nil {
		return nil, err
	}
	out := make([]string, n)
	if n == 0 {
		return out, nil
	}
	var total C.size_t
	if err := check(C.opt_strings_size(v, &total)); err != nil {
		return nil, err
	}
	buf := make([]byte, int(total)+1) // never empty: its address is taken
	offsets := make([]C.size_t, n)
	err = check(C.opt_strings(v, unsafe.Pointer(&buf[0]), total, &offsets[0], C.size_t(n)))
	if err != nil {
		return nil, err
	}
	for i := range out {
		end := total
		if i+1 < len(offsets) {
			end = offsets[i+1]
		}
		out[i] = string(buf[offsets[i]:end])
	}
	return out, nil
}

// kindName says what a value or slot that is no tensor is.
func kindName(kind C.int) string {
	switch kind {
	case C.ONNX_TYPE_TENSOR:
		return "tensor"
	case C.ONNX_TYPE_SEQUENCE:
		return "sequence"
	case C.ONNX_TYPE_MAP:
		return "map"
	case C.ONNX_TYPE_SPARSETENSOR:
		return "sparse tensor"
	case C.ONNX_TYPE_OPTIONAL:
		return "optional"
	}
	return "value of unknown kind"
}
