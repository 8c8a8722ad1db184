package ort

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// repairer makes JSON of a profile: ONNX Runtime writes the names of nodes and
// operators into it as they are, with quotes, backslashes and control
// characters. It copies what stands outside of strings, and escapes within.
type repairer struct {
	from   *bufio.Reader
	inside bool   // of a string
	ready  []byte // that does not fit the reader's last buffer
}

func repaired(r io.Reader) io.Reader { return &repairer{from: bufio.NewReaderSize(r, 1<<16)} }

func (r *repairer) Read(p []byte) (int, error) {
	for len(r.ready) < len(p) {
		b, err := r.from.ReadByte()
		if err != nil {
			if len(r.ready) > 0 {
				break
			}
			return 0, err
		}
		r.take(b)
	}
	n := copy(p, r.ready)
	r.ready = append(r.ready[:0], r.ready[n:]...)
	return n, nil
}

func (r *repairer) take(b byte) {
	switch {
	case !r.inside:
		r.inside = b == '"'
		r.ready = append(r.ready, b)
	case b == '"' && r.ends():
		r.inside = false
		r.ready = append(r.ready, b)
	case b == '"' || b == '\\':
		r.ready = append(r.ready, '\\', b)
	case b < ' ':
		r.ready = fmt.Appendf(r.ready, `\u%04x`, b)
	default:
		r.ready = append(r.ready, b)
	}
}

// ends reports whether the quote just read ends a string, by what stands behind
// it: ONNX Runtime sets at most one blank before a colon. A name may look the
// same; what is then read is no JSON, or a wrong name.
func (r *repairer) ends() bool {
	next, err := r.from.Peek(2)
	if err != nil && len(next) == 0 {
		return true
	}
	return strings.IndexByte(",:}]", next[0]) >= 0 || string(next) == " :"
}
