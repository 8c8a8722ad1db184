package opset_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/onnx/opset"
)

// FuzzUpgrade raises whatever can be read: no panic, and a model that still
// reads, or an error and the same model.
func FuzzUpgrade(f *testing.F) {
	for _, c := range stepCases {
		b, err := onnxtest.Model(c.from, c.graph).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Parse(b)
		if err != nil {
			return
		}
		before, err := m.Marshal()
		if err != nil {
			return // a weight without data, for example
		}
		_, failed := opset.Upgrade(m, opset.Highest)
		after, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if failed != nil && string(after) != string(before) {
			t.Errorf("changed in spite of %v", failed)
		}
		if _, err := onnx.Parse(after); err != nil {
			t.Errorf("the raised model does not read: %v", err)
		}
	})
}
