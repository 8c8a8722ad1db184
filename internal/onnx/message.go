package onnx

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// inlineLimit is the size up to which tensor data is put among the headers.
const inlineLimit = 4096

// message is an encoded message of which the data of large tensors is left
// out: headers in memory, and holes where the writer puts the data in. Nested
// messages are appended whole, so that every length is known before the first
// byte is written.
type message struct {
	head  []byte
	holes []hole
	extra int64 // bytes of the holes
}

// hole is the place of tensor data: before head[at].
type hole struct {
	at int
	t  *Tensor
	n  int64
}

// size returns the encoded length, data included.
func (m *message) size() int64 { return int64(len(m.head)) + m.extra }

func (m *message) tag(num protowire.Number, typ protowire.Type) {
	m.head = protowire.AppendTag(m.head, num, typ)
}

// int writes a varint field, also if it is zero.
func (m *message) int(num protowire.Number, v int64) {
	m.tag(num, protowire.VarintType)
	m.head = protowire.AppendVarint(m.head, uint64(v))
}

// bytes writes a length-delimited field, also if it is empty.
func (m *message) bytes(num protowire.Number, v []byte) {
	m.tag(num, protowire.BytesType)
	m.head = protowire.AppendBytes(m.head, v)
}

// text writes a string field, unless it is empty.
func (m *message) text(num protowire.Number, v string) {
	if v != "" {
		m.element(num, v)
	}
}

// element writes one element of a repeated string field, also if it is empty.
func (m *message) element(num protowire.Number, v string) {
	m.tag(num, protowire.BytesType)
	m.head = protowire.AppendString(m.head, v)
}

// ints writes a packed repeated integer field, unless it is empty.
func (m *message) ints(num protowire.Number, v []int64) {
	if len(v) == 0 {
		return
	}
	n := 0
	for _, x := range v {
		n += protowire.SizeVarint(uint64(x))
	}
	m.tag(num, protowire.BytesType)
	m.head = protowire.AppendVarint(m.head, uint64(n))
	for _, x := range v {
		m.head = protowire.AppendVarint(m.head, uint64(x))
	}
}

// raw appends encoded fields.
func (m *message) raw(b []byte) { m.head = append(m.head, b...) }

// nest writes sub as a field.
func (m *message) nest(num protowire.Number, sub *message) {
	m.tag(num, protowire.BytesType)
	m.head = protowire.AppendVarint(m.head, uint64(sub.size()))
	for _, h := range sub.holes {
		h.at += len(m.head)
		m.holes = append(m.holes, h)
	}
	m.extra += sub.extra
	m.head = append(m.head, sub.head...)
}

// data writes a field whose content, n bytes, comes from t when the message is
// written.
func (m *message) data(num protowire.Number, t *Tensor, n int64) {
	m.tag(num, protowire.BytesType)
	m.head = protowire.AppendVarint(m.head, uint64(n))
	m.holes = append(m.holes, hole{at: len(m.head), t: t, n: n})
	m.extra += n
}

// each calls text for the pieces of the headers and data for the holes
// between them, in order.
func (m *message) each(text func([]byte) error, data func(hole) error) error {
	at := 0
	for _, h := range m.holes {
		if err := text(m.head[at:h.at]); err != nil {
			return err
		}
		at = h.at
		if err := data(h); err != nil {
			return err
		}
	}
	return text(m.head[at:])
}
