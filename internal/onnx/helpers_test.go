package onnx

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"optim/internal/tensor"
)

// root is the repository, seen from this package.
const root = "../.."

// modelFiles returns every model of testdata, and those of ../shared where it
// exists.
func modelFiles(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(root, "testdata/models/*/*.onnx"))
	if err != nil || len(list) < 8 {
		t.Fatalf("found %d models in testdata (%v)", len(list), err)
	}
	shared, err := filepath.Glob(filepath.Join(root, "../shared/models/*/*-kv.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return append(list, shared...)
}

func mustOpen(t testing.TB, path string) *Model {
	t.Helper()
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func mustMarshal(t testing.TB, m *Model) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func floats(name string, v ...float32) *Tensor {
	return NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape{int64(len(v))}, v))
}

// tiny returns the smallest sensible model around the nodes: x and w are
// there, y is to be made.
func tiny(nodes ...*Node) *Model {
	return &Model{
		IRVersion: 8,
		Opsets:    []Opset{{Version: 17}},
		Graph: &Graph{
			Name:         "g",
			Nodes:        nodes,
			Initializers: []*Tensor{floats("w", 1, 2, 3)},
			Inputs:       []*ValueInfo{{Name: "x", Type: TensorType(tensor.Float32, -1, 3)}},
			Outputs:      []*ValueInfo{{Name: "y", Type: TensorType(tensor.Float32, -1, 3)}},
		},
	}
}

func op(name string, in []string, out ...string) *Node { return NewNode("Op", name, in, out) }

// sameModel compares two models field by field, and tensors by their value.
func sameModel(a, b *Model) error {
	return same("model", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
}

func same(path string, a, b reflect.Value) error {
	switch a.Type() {
	case reflect.TypeFor[Tensor]():
		return sameTensor(path, a.Addr().Interface().(*Tensor), b.Addr().Interface().(*Tensor))
	case reflect.TypeFor[float32]():
		// NaN equals NaN, and -0 is not 0.
		if fmt.Sprintf("%x", a.Float()) != fmt.Sprintf("%x", b.Float()) {
			return fmt.Errorf("%s: %v and %v", path, a.Float(), b.Float())
		}
		return nil
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() != b.IsNil() {
			return fmt.Errorf("%s: one is nil", path)
		}
		if a.IsNil() {
			return nil
		}
		return same(path, a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Len() != b.Len() {
			return fmt.Errorf("%s: %d and %d elements", path, a.Len(), b.Len())
		}
		for i := range a.Len() {
			if err := same(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		for i := range a.NumField() {
			name := a.Type().Field(i).Name
			if name == "files" || name == "Path" {
				continue
			}
			if err := same(path+"."+name, a.Field(i), b.Field(i)); err != nil {
				return err
			}
		}
		return nil
	}
	if !a.Equal(b) {
		return fmt.Errorf("%s: %v and %v", path, a, b)
	}
	return nil
}

func sameTensor(path string, a, b *Tensor) error {
	path += "(" + a.Name + ")"
	switch {
	case a.Name != b.Name || a.Doc != b.Doc || a.DType != b.DType || !a.Shape.Equal(b.Shape):
		return fmt.Errorf("%s: %s %v and %q %s %v", path, a.DType, a.Shape, b.Name, b.DType, b.Shape)
	case !reflect.DeepEqual(a.Metadata, b.Metadata) || !bytes.Equal(a.Unknown, b.Unknown):
		return fmt.Errorf("%s: metadata or unknown fields differ", path)
	case a.store.kind == storeExternal || b.store.kind == storeExternal:
		if !reflect.DeepEqual(a.store.external, b.store.external) {
			return fmt.Errorf("%s: external data %v and %v", path, a.store.external, b.store.external)
		}
		return nil
	}
	va, ea := a.Value()
	vb, eb := b.Value()
	if ea != nil || eb != nil {
		// A value that cannot be had is as bad on either side.
		if (ea == nil) != (eb == nil) {
			return fmt.Errorf("%s: %v and %v", path, ea, eb)
		}
		return nil
	}
	if !bytes.Equal(va.Data, vb.Data) || !equalStrings(va.Strings, vb.Strings) {
		return fmt.Errorf("%s: elements differ", path)
	}
	return nil
}

func equalStrings(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// copyFolder copies the files of a folder to a new temporary one.
func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
