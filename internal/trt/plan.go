package trt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"optim/internal/onnx"
)

// headerSize is what of a plan ReadHeader needs.
const headerSize = 28

// Header is what the first bytes of a plan say; they are read without the library.
type Header struct {
	Magic   string `json:"magic"`
	Flavour string `json:"flavour"`
	Version string `json:"version"` // of the library that built it, four numbers
	Size    uint64 `json:"bytes"`   // of the whole file
}

var magics = map[string]string{"ftrt": Enterprise, "vtrt": RTX}

// ErrNoPlan says that a file is no TensorRT engine.
var ErrNoPlan = errors.New("this is no TensorRT engine")

// ParseHeader reads the header at the front of b: the magic, the size of the file at
// 16, and the version at 24.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < 4 || magics[string(b[:4])] == "" {
		return Header{}, fmt.Errorf("%w: it begins with neither ftrt nor vtrt", ErrNoPlan)
	}
	if len(b) < headerSize {
		return Header{}, fmt.Errorf("the engine is cut off after %d bytes", len(b))
	}
	return Header{
		Magic: string(b[:4]), Flavour: magics[string(b[:4])],
		Size:    binary.LittleEndian.Uint64(b[16:]),
		Version: fmt.Sprintf("%d.%d.%d.%d", b[24], b[25], b[26], b[27]),
	}, nil
}

// ReadHeader reads the header of an engine file and checks its size.
func ReadHeader(path string) (Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Header{}, err
	}
	if !info.Mode().IsRegular() {
		return Header{}, fmt.Errorf("%s: not a regular file", path)
	}
	b := make([]byte, headerSize)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return Header{}, err
	}
	h, err := ParseHeader(b[:n])
	if err == nil && h.Size != uint64(info.Size()) {
		err = fmt.Errorf("the engine says that it has %d bytes, and the file has %d", h.Size, info.Size())
	}
	if err != nil {
		return Header{}, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// IsPlan reports whether a file begins as an engine does. A file that cannot be read
// is none.
func IsPlan(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false // reading a pipe would take its bytes
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var b [4]byte
	_, err = io.ReadFull(f, b[:])
	return err == nil && magics[string(b[:])] != ""
}

// Fits reports why a plan cannot be loaded by the library that is open: flavours and,
// but for version-compatible plans, of which the library itself tells, versions have to
// be the same.
func (h Header) Fits(lib Info, compatible bool) error {
	if h.Flavour == lib.Flavour && (compatible || sameRelease(h.Version, lib.Library)) {
		return nil
	}
	return fmt.Errorf("plan is from %s %s, this program has %s %s", h.Flavour, h.Version, lib.Flavour, lib.Library)
}

// sameRelease compares major and minor numbers.
func sameRelease(a, b string) bool {
	var majorA, minorA, majorB, minorB int
	_, errA := fmt.Sscanf(a, "%d.%d", &majorA, &minorA)
	_, errB := fmt.Sscanf(b, "%d.%d", &majorB, &minorB)
	return errA == nil && errB == nil && majorA == majorB && minorA == minorB
}

// outputs lists the outputs of a model as the sidecar has them.
func outputs(m *onnx.Model) []Tensor {
	var out []Tensor
	for _, v := range m.Graph.Outputs {
		out = append(out, tensorOf(v))
	}
	return out
}

func tensorOf(v *onnx.ValueInfo) Tensor {
	t := Tensor{Name: v.Name}
	if v.Type == nil {
		return t
	}
	t.DType = v.Type.DType.String()
	for _, d := range v.Type.Dims {
		size := d.Value
		if d.Symbol != "" {
			size = -1
		}
		t.Shape = append(t.Shape, size)
	}
	return t
}
