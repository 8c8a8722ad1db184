package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"optim/internal/tensor"
)

// The header of a .npy file is read here and not by sbinet/npyio: that library
// reads an array in one piece, where samples have to be streamed row by row,
// and it trusts the header's length and shape.

// maxHeader bounds the textual header; numpy's own are below 200 bytes.
const maxHeader = 1 << 16

// npyHeader describes the array of a .npy file (numpy.lib.format 1.0 to 3.0).
type npyHeader struct {
	dtype   tensor.DType
	big     bool // big-endian elements
	fortran bool
	shape   tensor.Shape
	size    int64 // bytes of the header, so where the elements begin
}

// npyTypes maps numpy's kind and item size to element types.
var npyTypes = map[string]tensor.DType{
	"f2": tensor.Float16, "f4": tensor.Float32, "f8": tensor.Float64,
	"i1": tensor.Int8, "i2": tensor.Int16, "i4": tensor.Int32, "i8": tensor.Int64,
	"u1": tensor.Uint8, "u2": tensor.Uint16, "u4": tensor.Uint32, "u8": tensor.Uint64,
	"b1": tensor.Bool, "?": tensor.Bool,
}

// readNpyHeader reads the magic and the header, and leaves r at the elements.
func readNpyHeader(r io.Reader) (npyHeader, error) {
	var fixed [8]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil || string(fixed[:6]) != "\x93NUMPY" {
		return npyHeader{}, fmt.Errorf("not a .npy array")
	}
	width := 4
	switch fixed[6] {
	case 1:
		width = 2
	case 2, 3:
	default:
		return npyHeader{}, fmt.Errorf("unknown .npy version %d.%d", fixed[6], fixed[7])
	}
	length := make([]byte, 4)
	if _, err := io.ReadFull(r, length[:width]); err != nil {
		return npyHeader{}, fmt.Errorf("truncated .npy header")
	}
	n := binary.LittleEndian.Uint32(length)
	if n > maxHeader {
		return npyHeader{}, fmt.Errorf(".npy header of %d bytes", n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return npyHeader{}, fmt.Errorf("truncated .npy header")
	}
	h, err := parseNpyDict(text)
	h.size = int64(8+width) + int64(n)
	return h, err
}

// parseNpyDict reads the Python literal {'descr': …, 'fortran_order': …,
// 'shape': (…)}: these three keys, in any order, once each.
func parseNpyDict(text []byte) (npyHeader, error) {
	p := &literal{rest: string(bytes.TrimRight(text, " \n\x00"))}
	var h npyHeader
	seen := map[string]bool{}
	p.expect("{")
	for p.err == nil && !p.accept("}") {
		key := p.quoted()
		p.expect(":")
		if seen[key] {
			p.fail("key %q twice", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			h.setDescr(p)
		case "fortran_order":
			h.fortran = p.boolean()
		case "shape":
			h.shape = p.tuple()
		default:
			p.fail("unknown key %q", key)
		}
		if !p.accept(",") {
			p.expect("}")
			break
		}
	}
	if p.err == nil && (len(seen) != 3 || p.rest != "") {
		p.fail("incomplete or followed by %.20q", p.rest)
	}
	if p.err != nil {
		return npyHeader{}, fmt.Errorf("bad .npy header: %w", p.err)
	}
	if _, err := h.shape.Bytes(h.dtype); err != nil {
		return npyHeader{}, err
	}
	return h, nil
}

// setDescr reads the element type.
func (h *npyHeader) setDescr(p *literal) {
	if strings.HasPrefix(p.rest, "[") {
		p.fail("structured arrays are not supported")
		return
	}
	descr := p.quoted()
	if p.err != nil {
		return
	}
	kind := strings.TrimLeft(descr, "<>|=")
	h.big = strings.HasPrefix(descr, ">")
	h.dtype = npyTypes[kind]
	if h.dtype == tensor.Undefined || len(descr)-len(kind) > 1 {
		p.fail("unsupported element type %.40q", descr)
	}
}

// literal scans the few Python literals that occur in a .npy header. After the
// first error every method returns a zero value.
type literal struct {
	rest string
	err  error
}

func (p *literal) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.rest = ""
}

// accept skips spaces, and token if it is next.
func (p *literal) accept(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = strings.TrimLeft(rest, " \t\r\n")
	}
	return ok
}

func (p *literal) expect(token string) {
	if p.err == nil && !p.accept(token) {
		p.fail("want %q before %.20q", token, p.rest)
	}
}

// quoted reads a string in single or double quotes, without escapes.
func (p *literal) quoted() string {
	for _, q := range []string{"'", `"`} {
		if p.accept(q) {
			s, rest, ok := strings.Cut(p.rest, q)
			if ok {
				p.rest = rest
				return s
			}
		}
	}
	p.fail("want a string before %.20q", p.rest)
	return ""
}

func (p *literal) boolean() bool {
	switch {
	case p.accept("True"):
		return true
	case !p.accept("False"):
		p.fail("want True or False before %.20q", p.rest)
	}
	return false
}

// tuple reads a tuple of at most 32 non-negative integers (numpy's limit).
func (p *literal) tuple() tensor.Shape {
	shape := tensor.Shape{}
	p.expect("(")
	for p.err == nil && !p.accept(")") {
		end := strings.IndexAny(p.rest, ",) L")
		if end < 0 {
			p.fail("unfinished shape")
			break
		}
		d, err := strconv.ParseInt(p.rest[:end], 10, 64)
		if err != nil || d < 0 || len(shape) == 32 {
			p.fail("bad shape at %.20q", p.rest)
			break
		}
		shape = append(shape, d)
		p.rest = strings.TrimPrefix(p.rest[end:], "L") // Python 2 wrote longs
		if !p.accept(",") {
			p.expect(")")
			break
		}
	}
	return shape
}
