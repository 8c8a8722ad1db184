package dataset

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"optim/internal/tensor"
)

func TestMasks(t *testing.T) {
	masks := map[string]tensor.Tensor{
		"a/weight": tensor.Of(tensor.Float32, tensor.Shape{2, 3}, []float32{1, 0, 0, 1, 1, 0}),
		"b":        tensor.Of(tensor.Float32, tensor.Shape{1}, []float32{0}),
	}
	shapes := map[string]tensor.Shape{"a/weight": {2, 3}, "b": {1}, "c": {4}}
	var b bytes.Buffer
	if err := WriteMasks(&b, masks); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "masks.npz")
	write := func(content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(b.Bytes())
	got, err := ReadMasks(file, shapes)
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	for name, m := range masks {
		if !slices.Equal(got[name].Data, m.Data) || !got[name].Shape.Equal(m.Shape) {
			t.Errorf("%s: %v", name, got[name])
		}
	}
	for name, wrong := range map[string]map[string]tensor.Shape{
		"no such weight": {"b": {1}}, "other shape": {"a/weight": {3, 2}, "b": {1}},
	} {
		if _, err := ReadMasks(file, wrong); err == nil {
			t.Error(name)
		}
	}
	for n := range b.Len() {
		write(b.Bytes()[:n])
		if _, err := ReadMasks(file, shapes); err == nil {
			t.Fatalf("%d of %d bytes are enough", n, b.Len())
		}
	}
	if _, err := ReadMasks(filepath.Join(t.TempDir(), "none.npz"), shapes); err == nil {
		t.Error("a file that is not there")
	}
}
