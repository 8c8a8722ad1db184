package onnx

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// Open reads a model file strictly. The weights, also those in external data
// files, are not read: they alias the mapped files until Close. On return the
// model has passed Check, and the nodes of every graph stand in topological
// order (files in another order are put in order).
func Open(path string) (*Model, error) {
	m, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func open(path string) (*Model, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	src, err := mapFile(f, info, path)
	if err != nil {
		return nil, err
	}
	owner := &files{maps: []*mapping{src}}
	m, err := read(src, func(list []*Tensor) error {
		return resolve(list, filepath.Dir(path), owner)
	})
	if err != nil {
		// The reading error matters; that of unmapping could add nothing.
		_ = owner.close()
		return nil, err
	}
	m.Path = path
	m.files = owner
	return m, nil
}

// Parse reads a ModelProto from memory, which the tensors alias, with the same
// strictness as Open. External data is not looked for: tensors that refer to
// it keep the reference, and have no bytes.
func Parse(b []byte) (*Model, error) {
	src := &mapping{data: b}
	m, err := read(src, nil)
	if err != nil {
		return nil, err
	}
	m.files = &files{maps: []*mapping{src}}
	return m, nil
}

// read decodes, resolves external data where resolve is given, and checks.
func read(src *mapping, resolve func([]*Tensor) error) (*Model, error) {
	if len(src.data) == 0 {
		return nil, errors.New("not an ONNX model: the file is empty")
	}
	d := &decoder{src: src}
	m, err := d.model(src.data)
	if err != nil {
		if !errors.As(err, new(wireError)) {
			return nil, err
		}
		if what := sniff(src.data); what != "" {
			return nil, fmt.Errorf("not an ONNX model: %s", what)
		}
		return nil, fmt.Errorf("not an ONNX model, or damaged: %w", err)
	}
	if m.Graph == nil {
		return nil, errors.New("not an ONNX model: it has no graph")
	}
	if resolve != nil {
		if err := resolve(d.external); err != nil {
			return nil, err
		}
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	return m, m.sort()
}

// Close unmaps the files of the model. Bytes that alias them must no longer be
// used; tensors that lie in them fail from then on.
func (m *Model) Close() error {
	if m.files == nil {
		return nil
	}
	return m.files.close()
}

// signatures are the beginnings of files that people take for ONNX models.
var signatures = []struct{ prefix, what string }{
	{"version https://git-lfs", `a Git LFS pointer (fetch the file with "git lfs pull")`},
	{"PK\x03\x04", "a zip archive (a PyTorch checkpoint or a packed model)"},
	{"\x1f\x8b", "a gzip archive"},
	{"\x28\xb5\x2f\xfd", "a Zstandard archive"},
	{"\x89HDF", "an HDF5 file (Keras)"},
	{"GGUF", "a GGUF file (llama.cpp)"},
	{"ORTM", "an ORT format model (save it as ONNX)"},
	{"\x80\x02", "a Python pickle"},
	{"\x80\x04", "a Python pickle"},
	{"\x89PNG", "a PNG image"},
	{"\xff\xd8\xff", "a JPEG image"},
	{"%PDF", "a PDF document"},
	{"\x7fELF", "an ELF binary"},
	{"\x93NUMPY", "a NumPy array"},
}

// sniff says what a file is that is not a model; empty if it cannot tell.
func sniff(b []byte) string {
	head := b[:min(len(b), 512)]
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.prefix)) {
			return s.what
		}
	}
	text := bytes.ToLower(bytes.TrimLeft(head, " \t\r\n\ufeff"))
	switch {
	case bytes.HasPrefix(text, []byte("<!doctype html")), bytes.HasPrefix(text, []byte("<html")):
		return "an HTML page (a download that failed?)"
	case len(b) > 9 && b[8] == '{' && bytes.Equal(b[4:8], []byte{0, 0, 0, 0}):
		return "a safetensors file"
	case len(b) > 8 && string(b[4:8]) == "TFL3":
		return "a TensorFlow Lite model"
	case isText(head):
		return "a text file"
	}
	return ""
}

// isText reports whether b looks like text: UTF-8 without control characters.
func isText(b []byte) bool {
	for cut := 0; cut < utf8.UTFMax-1 && len(b) > utf8.UTFMax && !utf8.Valid(b); cut++ {
		b = b[:len(b)-1] // perhaps a rune that the caller's limit split
	}
	return utf8.Valid(b) && !slices.ContainsFunc(b, func(c byte) bool {
		return c < ' ' && c != '\n' && c != '\r' && c != '\t'
	})
}
