package ort_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// TestBindSharesMemory changes the input between runs and reads the output
// where it was bound.
func TestBindSharesMemory(t *testing.T) {
	s := orttest.SessionOf(t, product(2, matrix(2, 2, func(i int) float32 { return float32(i) }), false), ort.Options{})
	x := []float32{1, 0}
	y := make([]float32, 2)
	b, err := s.Bind(
		map[string]tensor.Tensor{"x": tensor.Of(tensor.Float32, tensor.Shape{1, 2}, x)},
		map[string]tensor.Tensor{"y": tensor.Of(tensor.Float32, tensor.Shape{1, 2}, y)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range [][2][]float32{{{1, 0}, {0, 1}}, {{0, 1}, {2, 3}}, {{2, 2}, {4, 8}}} {
		copy(x, c[0])
		runtime.GC()
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(y, c[1]) {
			t.Errorf("%v: %v, want %v", c[0], y, c[1])
		}
		out, err := b.Output("y")
		if err != nil || !slices.Equal(tensor.As[float32](out.Data), c[1]) {
			t.Errorf("%v: copy %v, %v", c[0], out, err)
		}
	}
}

// TestBindAllocated leaves the outputs to ONNX Runtime, named or not.
func TestBindAllocated(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float16, tensor.Float32, tensor.Int64} {
		for _, outputs := range []map[string]tensor.Tensor{{"y": {}}, nil} {
			s := orttest.SessionOf(t, identity(d, "n"), ort.Options{})
			x, err := tensor.New(d, tensor.Shape{3})
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.Bind(map[string]tensor.Tensor{"x": x}, outputs)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				x.Data[0] = byte(i)
				if err := b.RunContext(context.Background()); err != nil {
					t.Fatal(err)
				}
				out, err := b.Output("y")
				if err != nil {
					t.Fatal(err)
				}
				same(t, out, x)
			}
			if _, err := b.Output("z"); err == nil {
				t.Error("an output that is not bound was read")
			}
			b.Close()
			if _, err := b.Output("y"); !errors.Is(err, ort.ErrClosed) {
				t.Errorf("output after close: %v", err)
			}
		}
	}
}

func TestBindRefuses(t *testing.T) {
	s := orttest.SessionOf(t, product(2, matrix(2, 2, func(int) float32 { return 1 }), false), ort.Options{})
	x := matrix(1, 2, func(int) float32 { return 1 })
	y := matrix(1, 2, func(int) float32 { return 0 })
	odd := tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{1, 2}, Data: tensor.AsBytes(make([]float32, 3))[1:9]}
	half := tensor.Tensor{DType: tensor.Float16, Shape: tensor.Shape{1, 2}, Data: make([]byte, 4)}
	type m = map[string]tensor.Tensor
	for _, c := range []struct {
		want    string
		in, out m
	}{
		{`input "x" is missing`, m{}, m{"y": y}},
		{`no output "z"`, m{"x": x}, m{"z": y}},
		{"no outputs to compute", m{"x": x}, m{}},
		{`bind input "x": data is not aligned`, m{"x": odd}, m{"y": y}},
		{`bind output "y": element type float16, but the model gives float32`, m{"x": x}, m{"y": half}},
	} {
		_, err := s.Bind(c.in, c.out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	// An output of the wrong size is found when the model runs.
	b, err := s.Bind(m{"x": x}, m{"y": matrix(2, 2, func(int) float32 { return 0 })})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Run(); err == nil {
		t.Error("an output of the wrong shape was filled")
	}
}

func BenchmarkBoundRun(b *testing.B) {
	s := orttest.SessionOf(b, product(16, matrix(16, 16, func(int) float32 { return 1 }), false), ort.Options{Threads: 1})
	x, y := matrix(1, 16, func(int) float32 { return 1 }), matrix(1, 16, func(int) float32 { return 0 })
	bound, err := s.Bind(map[string]tensor.Tensor{"x": x}, map[string]tensor.Tensor{"y": y})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := bound.Run(); err != nil {
			b.Fatal(err)
		}
	}
}
