package ort_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// inputsFor makes inputs of small values. Symbols of a past are 0, which gives
// tensors without elements; all others are 3.
func inputsFor(t *testing.T, s *ort.Session) map[string]tensor.Tensor {
	t.Helper()
	in := map[string]tensor.Tensor{}
	for _, info := range s.Inputs() {
		shape := make(tensor.Shape, len(info.Dims))
		for i, d := range info.Dims {
			switch {
			case d >= 0:
				shape[i] = d
			case strings.Contains(info.Symbols[i], "past") && !strings.Contains(info.Symbols[i], "+"):
				shape[i] = 0
			default:
				shape[i] = 3
			}
		}
		x, err := tensor.New(info.DType, shape)
		if err != nil {
			t.Fatal(err)
		}
		switch info.DType {
		case tensor.Int64:
			for i := range tensor.As[int64](x.Data) {
				tensor.As[int64](x.Data)[i] = 1
			}
		case tensor.Float32:
			for i := range tensor.As[float32](x.Data) {
				tensor.As[float32](x.Data)[i] = float32(i%17) / 17
			}
		}
		in[info.Name] = x
	}
	return in
}

// TestRealModels runs every model of testdata, and those beside the repository
// where there are any, once freely and once bound, and
// wants the same bits.
func TestRealModels(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(orttest.Root(t), "testdata", "models", "*", "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	more, err := filepath.Glob(filepath.Join(orttest.Root(t), "..", "shared", "models", "*", "*-kv.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, more...)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s := orttest.Session(t, file, ort.Options{Threads: 1})
			in := inputsFor(t, s)
			free, err := s.Run(in)
			if err != nil {
				t.Fatal(err)
			}
			out := map[string]tensor.Tensor{}
			for _, info := range s.Outputs() {
				y, ok := free[info.Name]
				if !ok || y.DType != info.DType || len(y.Shape) != len(info.Dims) {
					t.Fatalf("output %q: %s%s, want %s", info.Name, y.DType, y.Shape, info)
				}
				if out[info.Name], err = tensor.New(y.DType, y.Shape); err != nil {
					t.Fatal(err)
				}
			}
			b, err := s.Bind(in, out)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := b.Run(); err != nil {
				t.Fatal(err)
			}
			for name, y := range out {
				same(t, y, free[name])
			}
			one, err := s.RunContext(t.Context(), in, []string{s.Outputs()[0].Name})
			if err != nil || len(one) != 1 {
				t.Fatalf("%d outputs, %v", len(one), err)
			}
			same(t, one[s.Outputs()[0].Name], free[s.Outputs()[0].Name])
		})
	}
}

// TestExternalData opens a model beside its data, from bytes with the folder
// named, and from bytes without.
func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	w := []float32{1, 2, 3, 4, 5, 6}
	data := append([]byte("pad"), tensor.AsBytes(w)...) // an unaligned offset
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	model := graph{
		inputs:  []msg{valueInfo("x", tensor.Float32, 6)},
		outputs: []msg{valueInfo("y", tensor.Float32, 6)},
		nodes:   []msg{node("Add", "add", []string{"x", "w"}, []string{"y"})},
		inits:   []msg{external("w", tensor.Float32, tensor.Shape{6}, "w.bin", "3", "24")},
	}.model()
	file := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(file, model, 0o600); err != nil {
		t.Fatal(err)
	}
	want := []float32{2, 3, 4, 5, 6, 7}
	for name, s := range map[string]*ort.Session{
		"file":  orttest.Session(t, file, ort.Options{}),
		"bytes": orttest.SessionOf(t, model, ort.Options{ExternalFolder: dir, NoPrepack: true}),
	} {
		out, err := s.Run(map[string]tensor.Tensor{"x": vector(1, 1, 1, 1, 1, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if got := tensor.As[float32](out["y"].Data); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if _, err := orttest.Runtime(t).OpenBytes(model, ort.Options{ExternalFolder: t.TempDir()}); err == nil {
		t.Error("opened without its data")
	}
}

func TestBadModels(t *testing.T) {
	rt := orttest.Runtime(t)
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.onnx")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage "), 9), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		garbage:                        garbage + ": protobuf parsing failed",
		filepath.Join(dir, "absent"):   "file doesn't exist",
		dir:                            dir + ": ",
		filepath.Join(dir, "zero\x00"): "zero byte",
	} {
		s, err := rt.Open(path, ort.Options{})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
	for _, model := range [][]byte{nil, {0}, bytes.Repeat([]byte{0xff}, 100), identity(tensor.Float32, "n")[:40]} {
		if s, err := rt.OpenBytes(model, ort.Options{}); err == nil {
			s.Close()
			t.Errorf("% x: opened", model)
		}
	}
	chain := graph{
		inputs:  []msg{valueInfo("x", tensor.Float32, "n")},
		outputs: []msg{valueInfo("y", tensor.Float32, "n")},
		nodes:   []msg{node("Add", "broken", []string{"x", "w"}, []string{"y"})},
		inits:   []msg{initializer("w", vector(1, 2, 3))},
	}.model()
	s := orttest.SessionOf(t, chain, ort.Options{})
	_, err := s.Run(map[string]tensor.Tensor{"x": vector(1, 2)})
	if want := `run: node "broken" (Add): `; err == nil || !strings.HasPrefix(fmt.Sprint(err), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
