package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// info describes an input or output: -1 in dims takes the symbols in turn.
func info(name string, d tensor.DType, symbols string, dims ...int64) ort.Info {
	in := ort.Info{Name: name, Kind: "tensor", DType: d, Dims: dims, Symbols: make([]string, len(dims))}
	for list := strings.Fields(symbols); len(list) > 0; list = list[1:] {
		for i := range dims {
			if dims[i] < 0 && in.Symbols[i] == "" {
				in.Symbols[i] = list[0]
				break
			}
		}
	}
	return in
}

// vision takes pictures [batch, 1, 2, 3] and has two classes.
var vision = ModelInfo{
	Path:    "model.onnx",
	Inputs:  []ort.Info{info("input", tensor.Float32, "batch", -1, 1, 2, 3)},
	Outputs: []ort.Info{info("logits", tensor.Float32, "batch", -1, 2)},
}

// encoder is a BERT; its last input can be left out of data.
var encoder = ModelInfo{
	Path: "model.onnx",
	Inputs: []ort.Info{
		info("input_ids", tensor.Int64, "batch sequence", -1, -1),
		info("attention_mask", tensor.Int64, "batch sequence", -1, -1),
		info("token_type_ids", tensor.Int64, "batch sequence", -1, -1),
	},
	Outputs: []ort.Info{info("last_hidden_state", tensor.Float32, "batch sequence", -1, -1, 384)},
}

// decoder is a GPT.
var decoder = ModelInfo{
	Path: "model.onnx",
	Inputs: []ort.Info{
		info("input_ids", tensor.Int64, "batch sequence", -1, -1),
		info("attention_mask", tensor.Int64, "batch sequence", -1, -1),
	},
	Outputs: []ort.Info{info("logits", tensor.Float32, "batch sequence", -1, -1, 2048)},
}

// cached is a GPT with a cache of keys and values.
var cached = ModelInfo{
	Path: "model.onnx",
	Inputs: []ort.Info{
		info("input_ids", tensor.Int64, "batch sequence", -1, -1),
		info("attention_mask", tensor.Int64, "batch total", -1, -1),
		info("position_ids", tensor.Int64, "batch sequence", -1, -1),
		info("past_key_values.0.key", tensor.Float32, "batch past", -1, 4, -1, 48),
	},
	Outputs: []ort.Info{info("logits", tensor.Float32, "batch sequence", -1, -1, 2048)},
}

// npy returns a .npy file.
func npy(descr string, fortran bool, shape []int64, elements []byte) []byte {
	parts := ""
	for _, d := range shape {
		parts += fmt.Sprintf("%d, ", d)
	}
	order := "False"
	if fortran {
		order = "True"
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", descr, order, parts)
	head += strings.Repeat(" ", 63-(10+len(head))%64) + "\n"
	out := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), byte(len(head)>>8))
	return append(append(out, head...), elements...)
}

// pack returns the elements of v in the given byte order.
func pack(order binary.ByteOrder, v any) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, order, v); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// writeFile writes a file into a temporary folder.
func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

type entry struct {
	name string
	data []byte
}

// npz returns a compressed .npz file.
func npz(entries ...entry) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := z.Create(e.name + ".npy")
		if err == nil {
			_, err = w.Write(e.data)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// all reads a set to its end.
func all(t testing.TB, s *Set) []Sample {
	t.Helper()
	var out []Sample
	for {
		sample, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sample)
	}
}

// open opens a set that is closed with the test.
func open(t testing.TB, path string, m ModelInfo, o Options) *Set {
	t.Helper()
	s, err := Open(path, m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// drain opens a set and reads it; it returns the first error.
func drain(path string, m ModelInfo, o Options) error {
	s, err := Open(path, m, o)
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		if _, err := s.Next(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// wantError checks that err is a data error of one line with all the words.
func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	var de *Error
	if !errors.As(err, &de) {
		t.Fatalf("got %v (%T), want a data error", err, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not have %q", err, w)
		}
	}
}

// ints returns the elements of an integer input.
func ints(t testing.TB, s Sample, name string) []int64 {
	t.Helper()
	v, err := s.Inputs[name].Int64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// floats returns the elements of an input of reals.
func floats(t testing.TB, s Sample, name string) []float32 {
	t.Helper()
	v, err := s.Inputs[name].Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testdata returns a path below testdata; the test is skipped where it is not.
func testdata(t testing.TB, rel string) string {
	t.Helper()
	path := filepath.Join("..", "..", "testdata", rel)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not here", rel)
	}
	return path
}
