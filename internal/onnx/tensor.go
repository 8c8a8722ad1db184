package onnx

import (
	"fmt"

	"optim/internal/tensor"
)

// Tensor is a TensorProto: a weight, or the value of an attribute. Its
// elements lie in a mapped file, in memory, or are computed when they are
// asked for. Name, Shape (same number of elements) and the texts may be
// changed; for other elements make a new tensor.
type Tensor struct {
	Name     string
	DType    tensor.DType
	Shape    tensor.Shape
	Doc      string
	Metadata []Property
	Unknown  []byte

	store storage
}

// storage says where the elements of a tensor are. Exactly one of src (with
// off and size), typed, strings, fill and external is used.
type storage struct {
	kind     storeKind
	src      *mapping // storeRaw: packed bytes at off
	off      int64
	size     int64 // storeRaw, storeFill: bytes
	typed    []typedSpan
	strings  [][]byte
	fill     func(dst []byte) error
	external []Property // storeExternal: as in the file, not resolved
}

type storeKind uint8

const (
	storeEmpty    storeKind = iota // no data: a tensor of no elements
	storeRaw                       // packed bytes of a mapping
	storeTyped                     // float_data, int32_data, …
	storeStrings                   // string_data
	storeFill                      // computed on demand
	storeExternal                  // in a file that could not be looked for
)

// NewTensor returns a tensor over t, whose bytes are not copied. It panics if
// the length of t.Data (or of t.Strings) is not that of its type and shape.
func NewTensor(name string, t tensor.Tensor) *Tensor {
	out := &Tensor{Name: name, DType: t.DType, Shape: t.Shape.Clone()}
	if t.DType == tensor.String {
		if n := t.Len(); n != len(t.Strings) {
			panic(fmt.Sprintf("onnx: NewTensor: %d strings for shape %v", len(t.Strings), t.Shape))
		}
		out.store.kind = storeStrings
		for _, s := range t.Strings {
			out.store.strings = append(out.store.strings, []byte(s))
		}
		return out
	}
	n, err := t.Shape.Bytes(t.DType)
	if err != nil || n != int64(len(t.Data)) {
		panic(fmt.Sprintf("onnx: NewTensor: %d bytes for %s %v", len(t.Data), t.DType, t.Shape))
	}
	out.setRaw(&mapping{data: t.Data}, 0, n)
	return out
}

// NewLazyTensor returns a tensor whose packed bytes f computes when they are
// needed: by Bytes, or while the model is written, then in one of several
// workers. f gets a zeroed dst of exactly the tensor's size, may be called more
// than once, must give the same bytes each time, and must not keep dst. It
// panics if type and shape have no fixed size.
func NewLazyTensor(name string, d tensor.DType, s tensor.Shape, f func(dst []byte) error) *Tensor {
	n, err := s.Bytes(d)
	if err != nil {
		panic("onnx: NewLazyTensor: " + err.Error())
	}
	t := &Tensor{Name: name, DType: d, Shape: s.Clone()}
	t.store = storage{kind: storeFill, size: n, fill: f}
	return t
}

func (t *Tensor) setRaw(src *mapping, off, size int64) {
	t.store = storage{kind: storeRaw, src: src, off: off, size: size}
}

// Clone returns a tensor with the same elements, not copied, under a name.
func (t *Tensor) Clone(name string) *Tensor {
	c := *t
	c.Name = name
	c.Shape = t.Shape.Clone()
	return &c
}

// Size returns the bytes of the elements in packed storage; for strings the
// sum of their lengths.
func (t *Tensor) Size() int64 {
	if t.DType == tensor.String {
		var n int64
		for _, s := range t.store.strings {
			n += int64(len(s))
		}
		return n
	}
	n, err := t.Shape.Bytes(t.DType)
	if err != nil {
		return 0 // an unchecked tensor; Check reports it
	}
	return n
}

// Elements returns the number of elements (0 if the shape is not valid).
func (t *Tensor) Elements() int64 {
	n, err := t.Shape.Elements()
	if err != nil {
		return 0
	}
	return n
}

// Bytes returns the elements packed, little-endian, as raw_data holds them.
// Where they lie in the file they are aliased, and must not be written to or
// used after Close; else they are computed anew by each call.
func (t *Tensor) Bytes() ([]byte, error) {
	if src := t.store.src; src != nil && src.closed {
		return nil, t.errorf("%w", errClosed)
	}
	if err := t.checkData(); err != nil {
		return nil, t.errorf("%w", err)
	}
	switch t.store.kind {
	case storeRaw:
		b, err := t.store.src.slice(t.store.off, t.store.size)
		if err != nil {
			return nil, t.errorf("%w", err)
		}
		return b, nil
	case storeStrings:
		return nil, t.errorf("strings have no packed bytes")
	case storeExternal:
		return nil, t.errorf("its external data is not at hand: the model was not read from a file")
	}
	dst := make([]byte, t.Size())
	if err := t.compute(dst); err != nil {
		return nil, err
	}
	return dst, nil
}

// compute writes the packed bytes of a typed or computed tensor to dst, which
// must be zeroed and of the tensor's size.
func (t *Tensor) compute(dst []byte) error {
	if src := t.store.src; src != nil && src.closed {
		return t.errorf("%w", errClosed)
	}
	var err error
	switch t.store.kind {
	case storeTyped:
		err = packTyped(dst, t.DType, t.store.typed)
	case storeFill:
		err = t.store.fill(dst)
	}
	if err != nil {
		return t.errorf("%w", err)
	}
	return nil
}

// Value returns the tensor as a view over Bytes, or its strings.
func (t *Tensor) Value() (tensor.Tensor, error) {
	v := tensor.Tensor{DType: t.DType, Shape: t.Shape.Clone()}
	if t.DType == tensor.String {
		if err := t.checkData(); err != nil {
			return tensor.Tensor{}, t.errorf("%w", err)
		}
		v.Strings = make([]string, len(t.store.strings))
		for i, s := range t.store.strings {
			v.Strings[i] = string(s)
		}
		return v, nil
	}
	var err error
	v.Data, err = t.Bytes()
	if err != nil {
		return tensor.Tensor{}, err
	}
	return v, nil
}

// Release gives the mapped pages that hold the elements back to the system, so
// that resident memory does not grow to the size of the file. The elements may
// still be used. It does nothing for elements in memory.
func (t *Tensor) Release() {
	if t.store.kind == storeRaw {
		t.store.src.release(t.store.off, t.store.size)
	}
}

// Location returns where the packed elements lie in a file; ok is false if
// they lie in none. The path is absolute, with symbolic links resolved.
func (t *Tensor) Location() (path string, offset, length int64, ok bool) {
	s := &t.store
	if s.kind != storeRaw || s.src.path == "" {
		return "", 0, 0, false
	}
	return s.src.path, s.off, s.size, true
}

// errorf makes an error that names the tensor.
func (t *Tensor) errorf(format string, args ...any) error {
	return fmt.Errorf("tensor %q: %w", t.Name, fmt.Errorf(format, args...))
}
