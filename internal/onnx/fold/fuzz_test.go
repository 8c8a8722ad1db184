package fold_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
)

// FuzzFold folds whatever can be read: no panic, and a model that still reads.
func FuzzFold(f *testing.F) {
	for _, c := range foldCases {
		seed(f, c.graph)
	}
	for _, c := range bnCases {
		seed(f, c.graph)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Parse(b)
		if err != nil {
			return
		}
		if _, err := fold.Simplify(m); err != nil {
			return
		}
		if _, err := fold.BatchNorm(m); err != nil {
			return
		}
		if b, err = m.Marshal(); err != nil {
			return // a weight without data, for example
		}
		if _, err := onnx.Parse(b); err != nil {
			t.Errorf("the folded model does not read: %v", err)
		}
	})
}

func seed(f *testing.F, g *onnx.Graph) {
	b, err := onnxtest.Model(13, g).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
}
