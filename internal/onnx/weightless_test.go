package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"optim/internal/tensor"
)

// TestWeightless puts the weightless model into the folder of its source and
// opens it there: all references must lead to the same weights.
func TestWeightless(t *testing.T) {
	for _, name := range []string{"digits-mlp", "tinygpt-s"} {
		folder := copyFolder(t, filepath.Join(root, "testdata/models", name))
		list, err := filepath.Glob(filepath.Join(folder, "*.onnx"))
		if err != nil || len(list) == 0 {
			t.Fatalf("no models (%v)", err)
		}
		for _, path := range list {
			m := mustOpen(t, path)
			b, err := m.Weightless(folder)
			if err != nil {
				t.Fatal(err)
			}
			if limit := int64(100_000); int64(len(b)) > limit {
				t.Errorf("%s: %d bytes", path, len(b))
			}
			probe := filepath.Join(folder, "probe")
			if err := os.WriteFile(probe, b, 0o600); err != nil {
				t.Fatal(err)
			}
			back := mustOpen(t, probe)
			if err := sameModel(m, back); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			for _, w := range back.Graph.Initializers {
				at, _, n, _ := w.Location()
				if inside := at == realOf(t, probe); inside != (n <= weightlessMin) {
					t.Errorf("%s of %d bytes lies in %s", w.Name, n, at)
				}
			}
		}
	}
}

func realOf(t *testing.T, path string) string {
	t.Helper()
	real, err := realPath(path)
	if err != nil {
		t.Fatal(err)
	}
	return real
}

// TestWeightlessThroughLink opens a model by a symbolic link into another
// folder: the weights are referred to where they really are.
func TestWeightlessThroughLink(t *testing.T) {
	folder := copyFolder(t, filepath.Join(root, "testdata/models/digits-mlp"))
	link := filepath.Join(t.TempDir(), "link.onnx")
	if err := os.Symlink(filepath.Join(folder, "digits-mlp.onnx"), link); err != nil {
		t.Fatal(err)
	}
	m := mustOpen(t, link)
	if m.Folder() != realOf(t, folder) {
		t.Errorf("folder %s", m.Folder())
	}
	b, err := m.Weightless(m.Folder())
	if err != nil || len(b) > 10_000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	// Seen from the link's folder the weights lie outside, and are written in.
	b, err = m.Weightless(filepath.Dir(link))
	if err != nil || len(b) < 900_000 {
		t.Errorf("from the link's folder: %d bytes, %v", len(b), err)
	}
}

func TestWeightlessKeepsWhatIsNew(t *testing.T) {
	m := mustOpen(t, filepath.Join(root, "testdata/models/digits-mlp/digits-mlp.onnx"))
	data := bytes.Repeat([]byte{7}, 5000)
	m.Graph.Initializers = append(m.Graph.Initializers,
		NewTensor("memory", tensor.Of(tensor.Uint8, tensor.Shape{5000}, data)),
		NewLazyTensor("computed", tensor.Uint8, tensor.Shape{5000}, func(dst []byte) error {
			copy(dst, data)
			return nil
		}))
	b, err := m.Weightless(m.Folder())
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"memory", "computed"} {
		if got, err := back.Graph.Initializer(name).Bytes(); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if (&Model{}).Folder() != "" {
		t.Error("a model that was not read has a folder")
	}
}
