package onnx

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a protobuf message. The slices alias the message.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	value uint64 // of a varint, fixed32 or fixed64 field
	bytes []byte // payload of a length-delimited field
	body  []byte // the value as encoded, without the tag
	raw   []byte // tag and value, for fields that are kept verbatim
}

// eachField calls f for every field of the message b, in order.
func eachField(b []byte, f func(field) error) error {
	for len(b) > 0 {
		fd, err := nextField(b)
		if err != nil {
			return err
		}
		b = b[len(fd.raw):]
		if err := f(fd); err != nil {
			return err
		}
	}
	return nil
}

// nextField reads the first field of b. Groups, which ONNX has never used, are
// refused: skipping them needs recursion.
func nextField(b []byte) (field, error) {
	num, typ, tag := protowire.ConsumeTag(b)
	if tag < 0 {
		return field{}, wireErrorf("%w", protowire.ParseError(tag))
	}
	f := field{num: num, typ: typ}
	n := 0
	switch rest := b[tag:]; typ {
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(rest)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(rest)
		f.value = uint64(v)
	case protowire.Fixed64Type:
		f.value, n = protowire.ConsumeFixed64(rest)
	case protowire.BytesType:
		size, k := protowire.ConsumeVarint(rest)
		if k >= 0 && size > uint64(len(rest)-k) {
			return field{}, wireErrorf("field %d claims %d bytes where %d are left", num, size, len(rest)-k)
		}
		if n = k; k >= 0 {
			n = k + int(size)
			f.bytes = rest[k:n]
		}
	default:
		return field{}, wireErrorf("field %d has wire type %d, which ONNX does not use", num, typ)
	}
	if n < 0 {
		return field{}, wireErrorf("field %d: %w", num, protowire.ParseError(n))
	}
	f.body = b[tag : tag+n]
	f.raw = b[:tag+n]
	return f, nil
}

// want reports a field whose wire type is not that of the specification.
func (f field) want(typ protowire.Type, name string) error {
	if f.typ != typ {
		return wireErrorf("field %d (%s) has wire type %d, not %d", f.num, name, f.typ, typ)
	}
	return nil
}

func (f field) message(name string) ([]byte, error) {
	return f.bytes, f.want(protowire.BytesType, name)
}

func (f field) setString(dst *string, name string) error {
	*dst = string(f.bytes)
	return f.want(protowire.BytesType, name)
}

func (f field) addString(dst *[]string, name string) error {
	*dst = append(*dst, string(f.bytes))
	return f.want(protowire.BytesType, name)
}

func (f field) setInt(dst *int64, name string) error {
	*dst = int64(f.value)
	return f.want(protowire.VarintType, name)
}

// setInt32 reads an int32 or an enum. Values beyond 32 bits are an error,
// where protobuf would cut them off without a word.
func (f field) setInt32(dst *int32, name string) error {
	if err := f.want(protowire.VarintType, name); err != nil {
		return err
	}
	if v := int64(f.value); v < math.MinInt32 || v > math.MaxInt32 {
		return fmt.Errorf("field %d (%s): %d does not fit 32 bits", f.num, name, v)
	}
	*dst = int32(f.value)
	return nil
}

func (f field) setFloat(dst *float32, name string) error {
	*dst = math.Float32frombits(uint32(f.value))
	return f.want(protowire.Fixed32Type, name)
}

// addInts reads a repeated int64 field, packed or not.
func (f field) addInts(dst *[]int64, name string) error {
	if f.typ == protowire.VarintType {
		*dst = append(*dst, int64(f.value))
		return nil
	}
	if err := f.want(protowire.BytesType, name); err != nil {
		return err
	}
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return fmt.Errorf("field %d (%s): %w", f.num, name, protowire.ParseError(n))
		}
		*dst = append(*dst, int64(v))
		b = b[n:]
	}
	return nil
}

// addFloats reads a repeated float field, packed or not.
func (f field) addFloats(dst *[]float32, name string) error {
	if f.typ == protowire.Fixed32Type {
		*dst = append(*dst, math.Float32frombits(uint32(f.value)))
		return nil
	}
	if err := f.want(protowire.BytesType, name); err != nil {
		return err
	}
	if len(f.bytes)%4 != 0 {
		return fmt.Errorf("field %d (%s): %d bytes are no multiple of 4", f.num, name, len(f.bytes))
	}
	for b := f.bytes; len(b) > 0; b = b[4:] {
		v, _ := protowire.ConsumeFixed32(b)
		*dst = append(*dst, math.Float32frombits(v))
	}
	return nil
}

// single guards the singular message fields of one message. Protobuf would
// merge a second occurrence into the first, and readers differ in that.
type single map[protowire.Number]bool

func (s *single) first(f field, name string) error {
	if (*s)[f.num] {
		return fmt.Errorf("field %d (%s) occurs twice", f.num, name)
	}
	if *s == nil {
		*s = single{}
	}
	(*s)[f.num] = true
	return nil
}

// errDepth says that graphs are nested too deeply.
var errDepth = errors.New("graphs are nested too deeply")

// wireError says that bytes are no protobuf message of the kind expected:
// the file is damaged, or is something else altogether.
type wireError struct{ error }

func wireErrorf(format string, args ...any) error {
	return wireError{fmt.Errorf(format, args...)}
}

func (e wireError) Unwrap() error { return e.error }
