package onnx

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// wrap returns content as a length-delimited field.
func wrap(num protowire.Number, content ...[]byte) []byte {
	m := &message{}
	m.bytes(num, bytes.Join(content, nil))
	return m.head
}

// TestHostileSizes reads files of 256 KiB that consist of the shortest
// records there are. Memory and time must follow the size of the file.
func TestHostileSizes(t *testing.T) {
	const size = 1 << 18
	fill := func(b []byte) []byte { return bytes.Repeat(b, size/len(b)) }
	opType, attrName := wrap(4, []byte("A")), wrap(1, []byte("a"))
	inGraph := func(parts ...[]byte) []byte { return wrap(7, parts...) }
	inNode := func(parts ...[]byte) []byte { return inGraph(wrap(1, append([][]byte{opType}, parts...)...)) }
	inAttr := func(parts ...[]byte) []byte { return inNode(wrap(5, append([][]byte{attrName}, parts...)...)) }
	nested := opType
	for range 60 {
		nested = bytes.Join([][]byte{opType, wrap(5, attrName, wrap(6, wrap(1, nested)))}, nil)
	}
	for name, b := range map[string][]byte{
		"opsets":       fill(wrap(8, []byte{2 << 3, 1})),
		"metadata":     fill(wrap(14)),
		"functions":    fill(wrap(25, wrap(1, []byte("f")))),
		"nodes":        inGraph(fill(wrap(1, opType))),
		"graph inputs": inGraph(fill(wrap(11))),
		"values":       inGraph(fill(wrap(13))),
		"initializers": inGraph(fill(wrap(5, []byte{1 << 3, 0, 2 << 3, 1}))),
		"node inputs":  inNode(fill(wrap(1))),
		"attributes":   inNode(fill(wrap(5, attrName))),
		"ints":         inAttr(wrap(8, make([]byte, size))),
		"strings":      inAttr(fill(wrap(9))),
		"tensors":      inAttr(fill(wrap(10, []byte{1 << 3, 0, 2 << 3, 1}))),
		"graphs":       inAttr(fill(wrap(11))),
		"types":        inAttr(fill(wrap(15))),
		"dimensions":   inAttr(wrap(14, wrap(1, wrap(2, fill(wrap(1)))))),
		"dims":         inGraph(wrap(5, wrap(1, make([]byte, size)))),
		"references":   inGraph(wrap(5, fill(wrap(13)), []byte{14 << 3, 1, 1 << 3, 0, 2 << 3, 1})),
		"unknown":      fill(wrap(20)),
		"nested":       inGraph(fill(wrap(1, nested))),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			if m, err := Parse(b); (m == nil) == (err == nil) {
				t.Errorf("model %v, error %v", m != nil, err)
			}
			d := time.Since(start)
			runtime.ReadMemStats(&after)
			// Doubling slices count several times here: what is held is less.
			if n := after.TotalAlloc - before.TotalAlloc; n > 400*size || d > 5*time.Second {
				t.Errorf("%d bytes of file took %v and %d bytes of memory", len(b), d, n)
			}
		})
	}
}
