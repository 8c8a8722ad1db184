package ort

// #include "native.h"
import "C"

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"optim/internal/tensor"
)

// Info describes an input or output of a session.
type Info struct {
	Name string
	// Kind is "tensor", or else "sequence", "map", "optional", "sparse tensor".
	Kind  string
	DType tensor.DType // Undefined for anything but a tensor
	Dims  []int64      // -1: symbolic; nil also for a tensor of unknown rank
	// Symbols has a name for each symbolic dimension that has one, else "".
	Symbols []string
	// Optional says that the input has a value in the model that is used when
	// none is given.
	Optional bool
}

// String returns "float32[batch x 3 x 224 x 224]".
func (i Info) String() string {
	if i.DType == tensor.Undefined {
		return i.Kind
	}
	parts := make([]string, len(i.Dims))
	for k, d := range i.Dims {
		switch {
		case d >= 0:
			parts[k] = strconv.FormatInt(d, 10)
		case k < len(i.Symbols) && i.Symbols[k] != "":
			parts[k] = i.Symbols[k]
		default:
			parts[k] = "?"
		}
	}
	return i.DType.String() + "[" + strings.Join(parts, " x ") + "]"
}

// accepts returns an error unless t may be given for this input.
func (i Info) accepts(t tensor.Tensor) error {
	if i.DType == tensor.Undefined {
		return fmt.Errorf("it is a %s, and only tensors can be given", i.Kind)
	}
	if t.DType != i.DType {
		return fmt.Errorf("element type %s, but the model wants %s", t.DType, i)
	}
	// A tensor of unknown rank looks like a scalar here; ONNX Runtime knows
	// the difference and checks it.
	if len(i.Dims) == 0 {
		return nil
	}
	fits := len(t.Shape) == len(i.Dims)
	for k := 0; fits && k < len(i.Dims); k++ {
		fits = i.Dims[k] < 0 || i.Dims[k] == t.Shape[k]
	}
	if !fits {
		return fmt.Errorf("shape %s, but the model wants %s", t.Shape, i)
	}
	if t.DType == tensor.Bool {
		for k, b := range t.Data {
			if b > 1 { // neither true nor false: undefined in the kernels
				return fmt.Errorf("byte %d at element %d is no bool", b, k)
			}
		}
	}
	return nil
}

// slots reads the descriptions of one side of a session.
func slots(s *C.OrtSession, side C.int) ([]Info, error) {
	var n C.size_t
	if err := check(C.opt_slots(s, side, &n)); err != nil {
		return nil, err
	}
	out := make([]Info, int(n))
	for i := range out {
		info, err := slot(s, side, i)
		if err != nil {
			return nil, fmt.Errorf("slot %d: %w", i, err)
		}
		info.Optional = side == C.OPT_OVERRIDABLE
		out[i] = info
	}
	return out, nil
}

func slot(s *C.OrtSession, side C.int, i int) (Info, error) {
	var name *C.char
	var kind, dtype C.int
	var rank C.size_t
	var owner *C.OrtTypeInfo
	var shape *C.OrtTensorTypeAndShapeInfo
	err := check(C.opt_slot(s, side, C.size_t(i), &name, &kind, &owner, &shape, &dtype, &rank))
	defer C.opt_release_type(owner)
	var info Info
	if name != nil {
		info.Name = C.GoString(name)
		C.opt_free(unsafe.Pointer(name))
	}
	info.Kind = kindName(kind)
	if err != nil || shape == nil {
		return info, err
	}
	info.DType = fromNative(dtype)
	if rank == 0 {
		return info, nil
	}
	info.Dims = make([]int64, int(rank))
	if err := check(C.opt_dims(shape, dimsPtr(info.Dims), rank)); err != nil {
		return info, err
	}
	symbols := make([]*C.char, int(rank))
	if err := check(C.opt_symbols(shape, &symbols[0], rank)); err != nil {
		return info, err
	}
	info.Symbols = make([]string, int(rank))
	for k, sym := range symbols {
		info.Symbols[k] = C.GoString(sym)
	}
	return info, nil
}
