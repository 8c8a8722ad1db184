// Package orttest gives tests the ONNX Runtime library that `make lib` puts
// into the repository's lib folder.
package orttest

import (
	"os"
	"path/filepath"
	"testing"

	"optim/internal/ort"
)

// Root returns the repository's root: the nearest folder above the test's own
// that holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}

// Library returns the path of the library: OPTIM_ORT_LIB, or the one in lib.
func Library(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(ort.LibraryEnv); path != "" {
		return path
	}
	found, err := filepath.Glob(filepath.Join(Root(t), "lib", "libonnxruntime*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no library in lib: run `make lib` first")
	}
	return found[0]
}

// Runtime returns the process's one runtime.
func Runtime(t testing.TB) *ort.Runtime {
	t.Helper()
	rt, err := ort.Load(ort.Config{Library: Library(t)})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// Session opens a session that is closed when the test ends.
func Session(t testing.TB, path string, o ort.Options) *ort.Session {
	t.Helper()
	s, err := Runtime(t).Open(path, o)
	return closing(t, s, err)
}

// SessionOf is Session for a model in memory.
func SessionOf(t testing.TB, model []byte, o ort.Options) *ort.Session {
	t.Helper()
	s, err := Runtime(t).OpenBytes(model, o)
	return closing(t, s, err)
}

func closing(t testing.TB, s *ort.Session, err error) *ort.Session {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
