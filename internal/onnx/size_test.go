package onnx

import (
	"errors"
	"path/filepath"
	"testing"

	"optim/internal/tensor"
)

// TestWrittenSize compares what is foretold with what is written.
func TestWrittenSize(t *testing.T) {
	for _, external := range []string{"auto", "always", "never"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.onnx")
		m := &Model{IRVersion: 8, Opsets: []Opset{{Version: 17}}, Graph: &Graph{Name: "g", Initializers: []*Tensor{
			NewTensor("small", tensor.Of(tensor.Float32, tensor.Shape{3}, []float32{1, 2, 3})),
			NewLazyTensor("large", tensor.Float32, tensor.Shape{100, 200}, func([]byte) error { return nil }),
			NewLazyTensor("packed", tensor.Int4, tensor.Shape{5001}, func([]byte) error { return nil }),
		}}}
		o := WriteOptions{External: external, DataPath: path + ".data"}
		want, err := m.WrittenSize(path, o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.WriteFile(path, o)
		if err != nil || got.Size+got.DataSize != want {
			t.Errorf("%s: %d bytes foretold, %d and %d written, %v", external, want, got.Size, got.DataSize, err)
		}
	}
}

// TestWrittenSizeComputesNothing: a tensor too large to exist has a size.
func TestWrittenSizeComputesNothing(t *testing.T) {
	fail := func([]byte) error { return errors.New("computed") }
	m := &Model{IRVersion: 8, Graph: &Graph{Name: "g", Initializers: []*Tensor{NewLazyTensor("w", tensor.Float32, tensor.Shape{1 << 40}, fail)}}}
	n, err := m.WrittenSize("m.onnx", WriteOptions{DataPath: "m.onnx.data"})
	if err != nil || n < 4<<40 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := m.WrittenSize("m.onnx", WriteOptions{External: "never"}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("in one file: %v", err)
	}
}
