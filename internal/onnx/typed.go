package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"optim/internal/tensor"
)

// typedSpan is one occurrence of a typed data field of a TensorProto: the
// payload of a packed field, or the one value of an unpacked field.
type typedSpan struct {
	field   protowire.Number
	payload []byte
}

// fieldNames are the data fields of TensorProto, for messages.
var fieldNames = map[protowire.Number]string{
	4: "float_data", 5: "int32_data", 6: "string_data", 7: "int64_data",
	9: "raw_data", 10: "double_data", 11: "uint64_data",
}

// typedField returns the field that holds the elements of type d, as
// onnx.proto3 lays down; 0 if there is none.
func typedField(d tensor.DType) protowire.Number {
	switch d {
	case tensor.Float32, tensor.Complex64:
		return 4
	case tensor.Float64, tensor.Complex128:
		return 10
	case tensor.Int64:
		return 7
	case tensor.Uint32, tensor.Uint64:
		return 11
	case tensor.String, tensor.Undefined:
		return 0
	}
	return 5
}

// fieldWidth returns the bytes of one value of a fixed-width field; 0: varint.
func fieldWidth(f protowire.Number) int {
	switch f {
	case 4:
		return 4
	case 10:
		return 8
	}
	return 0
}

// typedCount returns the values that a typed field needs for n elements of
// type d: two floats for a complex number, one int32 for each byte of a
// packed type.
func typedCount(d tensor.DType, n int64) int64 {
	switch bits := int64(d.Bits()); {
	case d == tensor.Complex64 || d == tensor.Complex128:
		return 2 * n
	case bits < 8:
		return (n*bits + 7) / 8
	}
	return n
}

// checkTyped reports whether spans hold exactly n elements of type d.
func checkTyped(d tensor.DType, n int64, spans []typedSpan) error {
	want := typedField(d)
	var got int64
	for _, s := range spans {
		if s.field != want {
			return fmt.Errorf("%s is set, where %s takes %s", fieldNames[s.field], d, fieldName(want))
		}
		c, err := countValues(s)
		if err != nil {
			return err
		}
		got += c
	}
	if need := typedCount(d, n); got != need {
		return fmt.Errorf("%s holds %d values where %d are needed", fieldName(want), got, need)
	}
	return nil
}

func fieldName(f protowire.Number) string {
	if name, ok := fieldNames[f]; ok {
		return name
	}
	return "no typed field"
}

// countValues counts the values of one span and checks that it ends with the
// end of a value.
func countValues(s typedSpan) (int64, error) {
	if w := fieldWidth(s.field); w > 0 {
		if len(s.payload)%w != 0 {
			return 0, fmt.Errorf("%s: %d bytes are no multiple of %d", fieldNames[s.field], len(s.payload), w)
		}
		return int64(len(s.payload) / w), nil
	}
	var n int64
	for _, b := range s.payload {
		if b < 0x80 {
			n++
		}
	}
	if k := len(s.payload); k > 0 && s.payload[k-1] >= 0x80 {
		return 0, fmt.Errorf("%s: the last value is cut off", fieldNames[s.field])
	}
	return n, nil
}

// checkValues reports a value of typed data that does not fit its element type.
// The count was checked.
func checkValues(d tensor.DType, spans []typedSpan) error {
	for _, s := range spans {
		if fieldWidth(s.field) > 0 {
			continue // every bit pattern is a float
		}
		for b := s.payload; len(b) > 0; {
			_, n, err := nextValue(b, d, s.field)
			if err != nil {
				return err
			}
			b = b[n:]
		}
	}
	return nil
}

// nextValue reads one varint and checks that it fits an element of type d.
func nextValue(b []byte, d tensor.DType, field protowire.Number) (v uint64, n int, err error) {
	v, n = protowire.ConsumeVarint(b)
	if n < 0 {
		return 0, 0, fmt.Errorf("%s: %w", fieldNames[field], protowire.ParseError(n))
	}
	return v, n, checkRange(int64(v), d, field)
}

// packTyped writes the values of spans, whose count was checked, as packed
// elements of type d.
func packTyped(dst []byte, d tensor.DType, spans []typedSpan) error {
	for _, s := range spans {
		if fieldWidth(s.field) > 0 {
			dst = dst[copy(dst, s.payload):]
			continue
		}
		var err error
		if dst, err = packVarints(dst, d, s); err != nil {
			return err
		}
	}
	return nil
}

// packVarints writes one span of varints and returns the rest of dst.
func packVarints(dst []byte, d tensor.DType, s typedSpan) ([]byte, error) {
	width := max(d.Bits()/8, 1)
	for b := s.payload; len(b) > 0; {
		v, n, err := nextValue(b, d, s.field)
		if err != nil {
			return nil, err
		}
		b = b[n:]
		if len(dst) < width {
			return nil, errors.New("more values than elements")
		}
		if d == tensor.Bool && v != 0 {
			v = 1
		}
		switch width {
		case 1:
			dst[0] = byte(v)
		case 2:
			binary.LittleEndian.PutUint16(dst, uint16(v))
		case 4:
			binary.LittleEndian.PutUint32(dst, uint32(v))
		case 8:
			binary.LittleEndian.PutUint64(dst, v)
		}
		dst = dst[width:]
	}
	return dst, nil
}

// checkRange reports a value that does not fit the element type. Bit patterns
// of small floats and packed types may have been written sign-extended.
func checkRange(v int64, d tensor.DType, field protowire.Number) error {
	bits := d.Bits()
	if bits == 64 || d == tensor.Bool {
		return nil
	}
	lo, hi := int64(0), int64(1)<<max(bits, 8)-1
	switch {
	case bits >= 8 && d.IsInteger():
		lo, hi = d.Range()
	default:
		lo = -1 << (max(bits, 8) - 1)
	}
	if v < lo || v > hi {
		return fmt.Errorf("%s: value %d does not fit %s", fieldNames[field], v, d)
	}
	return nil
}

// maxRank bounds the dimensions of a tensor, far above what any operator takes.
const maxRank = 64

// checkData reports whether the storage fits the type and the shape.
func (t *Tensor) checkData() error {
	if !t.DType.Valid() {
		return fmt.Errorf("data_type %d does not exist", int32(t.DType))
	}
	if len(t.Shape) > maxRank {
		return fmt.Errorf("%d dimensions, where %d are the most", len(t.Shape), maxRank)
	}
	n, err := t.Shape.Elements()
	if err != nil {
		return err
	}
	if t.DType == tensor.String {
		return t.checkStrings(n)
	}
	size, err := tensor.ByteSize(t.DType, n)
	if err != nil {
		return err
	}
	switch t.store.kind {
	case storeStrings:
		return fmt.Errorf("string_data is set, where %s takes %s", t.DType, fieldName(typedField(t.DType)))
	case storeTyped:
		return checkTyped(t.DType, n, t.store.typed)
	case storeRaw, storeFill:
		if t.store.size != size {
			return fmt.Errorf("raw_data holds %d bytes where %s %v needs %d", t.store.size, t.DType, t.Shape, size)
		}
	case storeEmpty:
		if size != 0 {
			return fmt.Errorf("no data where %s %v needs %d bytes", t.DType, t.Shape, size)
		}
	}
	return nil
}

func (t *Tensor) checkStrings(n int64) error {
	switch t.store.kind {
	case storeStrings, storeEmpty:
		if got := int64(len(t.store.strings)); got != n {
			return fmt.Errorf("string_data holds %d values where shape %v needs %d", got, t.Shape, n)
		}
		return nil
	}
	return errors.New("strings must lie in string_data")
}
