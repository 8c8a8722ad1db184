package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"optim/internal/tensor"
)

// protoTensor builds a TensorProto named "t" field by field.
func protoTensor(d tensor.DType, dims []int64, fields ...[]byte) []byte {
	m := &message{}
	m.ints(1, dims)
	m.int(2, int64(d))
	m.text(8, "t")
	for _, f := range fields {
		m.raw(f)
	}
	return m.head
}

func varints(field protowire.Number, packed bool, v ...int64) []byte {
	m := &message{}
	if packed {
		m.ints(field, v)
		return m.head
	}
	for _, x := range v {
		m.int(field, x)
	}
	return m.head
}

func fixed(field protowire.Number, packed bool, width int, b []byte) []byte {
	m := &message{}
	if packed {
		m.bytes(field, b)
		return m.head
	}
	typ := protowire.Fixed32Type
	if width == 8 {
		typ = protowire.Fixed64Type
	}
	for ; len(b) > 0; b = b[width:] {
		m.tag(field, typ)
		m.raw(b[:width])
	}
	return m.head
}

func decodeTensor(b []byte) (*Tensor, error) {
	return (&decoder{src: &mapping{data: b}}).tensor(b)
}

// TestTypedFields checks every element type against its packed bytes, written
// out by hand from the rules of onnx.proto3.
func TestTypedFields(t *testing.T) {
	f32 := tensor.AsBytes([]float32{1.5, -2, float32(math.Inf(1)), 0})
	f64 := tensor.AsBytes([]float64{1.5, -2, math.Pi, 0})
	for _, c := range []struct {
		d     tensor.DType
		n     int64
		field func(packed bool) []byte
		want  []byte
	}{
		{tensor.Float32, 4, func(p bool) []byte { return fixed(4, p, 4, f32) }, f32},
		{tensor.Complex64, 2, func(p bool) []byte { return fixed(4, p, 4, f32) }, f32},
		{tensor.Float64, 4, func(p bool) []byte { return fixed(10, p, 8, f64) }, f64},
		{tensor.Complex128, 2, func(p bool) []byte { return fixed(10, p, 8, f64) }, f64},
		{tensor.Int64, 3, func(p bool) []byte { return varints(7, p, -1, math.MinInt64, 300) },
			tensor.AsBytes([]int64{-1, math.MinInt64, 300})},
		{tensor.Uint64, 2, func(p bool) []byte { return varints(11, p, -1, 5) },
			tensor.AsBytes([]uint64{math.MaxUint64, 5})},
		{tensor.Uint32, 2, func(p bool) []byte { return varints(11, p, math.MaxUint32, 5) },
			tensor.AsBytes([]uint32{math.MaxUint32, 5})},
		{tensor.Int32, 2, func(p bool) []byte { return varints(5, p, math.MinInt32, 7) },
			tensor.AsBytes([]int32{math.MinInt32, 7})},
		{tensor.Int16, 2, func(p bool) []byte { return varints(5, p, -32768, 7) }, []byte{0, 0x80, 7, 0}},
		{tensor.Uint16, 2, func(p bool) []byte { return varints(5, p, 65535, 7) }, []byte{255, 255, 7, 0}},
		{tensor.Int8, 3, func(p bool) []byte { return varints(5, p, -128, 127, -1) }, []byte{128, 127, 255}},
		{tensor.Uint8, 2, func(p bool) []byte { return varints(5, p, 255, 1) }, []byte{255, 1}},
		{tensor.Bool, 3, func(p bool) []byte { return varints(5, p, 1, 0, 2) }, []byte{1, 0, 1}},
		{tensor.Float16, 2, func(p bool) []byte { return varints(5, p, 0x3c00, 0xbc00) }, []byte{0, 0x3c, 0, 0xbc}},
		{tensor.BFloat16, 1, func(p bool) []byte { return varints(5, p, -16512) }, []byte{0x80, 0xbf}},
		{tensor.F8E4M3FN, 2, func(p bool) []byte { return varints(5, p, 0x38, 0xb8) }, []byte{0x38, 0xb8}},
		{tensor.F8E8M0, 1, func(p bool) []byte { return varints(5, p, 127) }, []byte{127}},
		{tensor.Int4, 3, func(p bool) []byte { return varints(5, p, 0xf1, 0x08) }, []byte{0xf1, 0x08}},
		{tensor.Uint4, 4, func(p bool) []byte { return varints(5, p, 0xf1, 0x28) }, []byte{0xf1, 0x28}},
		{tensor.F4E2M1, 1, func(p bool) []byte { return varints(5, p, 0x03) }, []byte{0x03}},
		{tensor.Int2, 5, func(p bool) []byte { return varints(5, p, 0xe4, 0x01) }, []byte{0xe4, 0x01}},
	} {
		for _, packed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s packed=%v", c.d, packed), func(t *testing.T) {
				got, err := decodeTensor(protoTensor(c.d, []int64{c.n}, c.field(packed)))
				if err != nil {
					t.Fatal(err)
				}
				b, err := got.Bytes()
				if err != nil || !bytes.Equal(b, c.want) {
					t.Errorf("bytes % x, %v; want % x", b, err, c.want)
				}
				if _, err := decodeTensor(protoTensor(c.d, []int64{c.n + 9}, c.field(packed))); err == nil {
					t.Error("too few values were accepted")
				}
			})
		}
	}
}

// TestTypedMixed has one list in several pieces, packed and not.
func TestTypedMixed(t *testing.T) {
	var want []int64
	var fields [][]byte
	for i := range int64(20) {
		want = append(want, 3*i, -i)
		fields = append(fields, varints(7, i%3 == 0, 3*i, -i))
	}
	got, err := decodeTensor(protoTensor(tensor.Int64, []int64{40}, fields...))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := got.Bytes(); err != nil || !bytes.Equal(b, tensor.AsBytes(want)) {
		t.Errorf("got % x, %v", b, err)
	}
}

func TestTypedStrings(t *testing.T) {
	m := &message{}
	m.element(6, "ä")
	m.element(6, "")
	got, err := decodeTensor(protoTensor(tensor.String, []int64{2}, m.head))
	if err != nil {
		t.Fatal(err)
	}
	v, err := got.Value()
	if err != nil || !equalStrings(v.Strings, []string{"ä", ""}) {
		t.Errorf("%q, %v", v.Strings, err)
	}
	_, err = got.Bytes()
	wantError(t, err, `tensor "t"`, "strings")
}

func TestTensorErrors(t *testing.T) {
	raw := func(n int) []byte {
		m := &message{}
		m.bytes(9, make([]byte, n))
		return m.head
	}
	text := func(num protowire.Number, s string) []byte {
		m := &message{}
		m.element(num, s)
		return m.head
	}
	number := func(num protowire.Number, v int64) []byte {
		m := &message{}
		m.int(num, v)
		return m.head
	}
	for _, c := range []struct {
		name string
		b    []byte
		want []string
	}{
		{"wrong field", protoTensor(tensor.Float32, []int64{1}, varints(7, true, 1)), []string{"int64_data", "float_data"}},
		{"two fields", protoTensor(tensor.Int64, []int64{2}, varints(7, true, 1), varints(5, true, 1)), []string{"int64_data", "int32_data"}},
		{"no data", protoTensor(tensor.Float32, []int64{1}), []string{"no data"}},
		{"out of range", protoTensor(tensor.Int8, []int64{1}, varints(5, true, 128)), []string{"value 128", "int8"}},
		{"packed nibbles out of range", protoTensor(tensor.Int4, []int64{1}, varints(5, true, 256)), []string{"value 256", "int4"}},
		{"cut varint", protoTensor(tensor.Int64, []int64{1}, text(7, "\x80")), []string{"cut off"}},
		{"long varint", protoTensor(tensor.Int64, []int64{1}, text(7, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), []string{"int64_data"}},
		{"odd floats", protoTensor(tensor.Float32, []int64{1}, text(4, "12345")), []string{"multiple of 4"}},
		{"raw strings", protoTensor(tensor.String, []int64{1}, raw(1)), []string{"string_data"}},
		{"strings for floats", protoTensor(tensor.Float32, []int64{1}, text(6, "a")), []string{"string_data"}},
		{"strings missing", protoTensor(tensor.String, []int64{2}, text(6, "a")), []string{"1 values", "2"}},
		{"undefined", protoTensor(tensor.Undefined, nil, raw(4)), []string{"data_type 0"}},
		{"huge type", protoTensor(tensor.Float32, nil, number(2, 1<<40)), []string{"32 bits"}},
		{"bad location", protoTensor(tensor.Float32, []int64{1}, number(14, 2)), []string{"data_location 2"}},
		{"raw and external", protoTensor(tensor.Float32, []int64{1}, raw(4), number(14, 1)), []string{"external_data and raw_data"}},
		{"segment", protoTensor(tensor.Float32, []int64{1}, raw(4), text(3, "")), []string{"segment"}},
		{"rank", protoTensor(tensor.Float32, make([]int64, 65)), []string{"65 dimensions"}},
		{"nibbles too long", protoTensor(tensor.Uint4, []int64{3}, raw(3)), []string{"3 bytes", "needs 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodeTensor(c.b)
			if err == nil {
				_, err = got.Bytes()
			}
			wantError(t, err, append(c.want, `tensor "t"`)...)
		})
	}
}

// TestPackedFloatsAlias checks that packed float_data is used in place.
func TestPackedFloatsAlias(t *testing.T) {
	b := protoTensor(tensor.Float32, []int64{2}, fixed(4, true, 4, tensor.AsBytes([]float32{1, 2})))
	got, err := decodeTensor(b)
	if err != nil {
		t.Fatal(err)
	}
	v, err := got.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b[len(b)-4:], math.Float32bits(7))
	if x := math.Float32frombits(binary.LittleEndian.Uint32(v[4:])); x != 7 {
		t.Errorf("the bytes were copied: %v", x)
	}
}

func TestNewTensorPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"bytes": func() {
			NewTensor("t", tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{2}, Data: make([]byte, 4)})
		},
		"strings": func() { NewTensor("t", tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{2}}) },
		"lazy":    func() { NewLazyTensor("t", tensor.String, tensor.Shape{2}, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
