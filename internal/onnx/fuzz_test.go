package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse: what is accepted survives being written and read again, what is
// refused gives no model, and nothing panics.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.onnx", "testdata/models/*/*-ext.onnx"} {
		seeds, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(seeds) == 0 {
			f.Fatalf("no seeds for %s (%v)", pattern, err)
		}
		for _, path := range seeds {
			b, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Add(mustMarshal(f, everything()))
	f.Add(mustMarshal(f, branchy()))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			if m != nil {
				t.Fatal("a model came with an error")
			}
			return
		}
		first, err := m.Marshal()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := Parse(first)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if err := sameModel(m, back); err != nil {
			t.Fatal(err)
		}
		second, err := back.Marshal()
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("written again it differs (%v)", err)
		}
		checkEdits(t, back)
	})
}

// checkEdits runs what must work on every model that passed Check.
func checkEdits(t *testing.T, m *Model) {
	NewIndex(m.Graph)
	name := m.NewNamer().Fresh("x")
	m.Graph.RenameUses("x", name)
	m.Graph.RenameUses(name, "x")
	m.Graph.RemoveDead()
	if err := m.Check(); err != nil {
		t.Fatalf("after removing what is dead: %v", err)
	}
}
