package onnx

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"optim/internal/tensor"
)

// residentBytes returns how much of mapped files is in this process's memory.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc")
	}
	_, rest, _ := strings.Cut(string(b), "RssFile:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		t.Skip("no RssFile in /proc/self/status")
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// sparseFile writes a model of which the weight of n bytes is a hole in the
// file.
func sparseFile(t *testing.T, n int64) string {
	t.Helper()
	m := tiny(op("a", []string{"x", "big"}, "y"))
	m.Graph.Initializers = append(m.Graph.Initializers, NewLazyTensor("big", tensor.Float32, tensor.Shape{n / 4}, nil))
	msg, err := (&encoder{}).model(m)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sparse.onnx")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var at int64
	err = msg.each(
		func(b []byte) error { k, err := f.WriteAt(b, at); at += int64(k); return err },
		func(h hole) error { at += h.n; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLargeModel opens a model of 1 GiB in no time and memory, and reads all of
// it without keeping it.
func TestLargeModel(t *testing.T) {
	const size = 1 << 30
	path := sparseFile(t, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	m := mustOpen(t, path)
	if d := time.Since(start); d > 500*time.Millisecond {
		t.Errorf("opening took %v", d)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("opening allocated %d bytes", n)
	}
	if b, err := m.Graph.Initializer("big").Bytes(); err != nil || len(b) != size {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	b, err := m.Weightless(m.Folder())
	if err != nil || len(b) > 1000 {
		t.Errorf("weightless: %d bytes, %v", len(b), err)
	}
}

// TestRelease reads a large weight chunk by chunk, as hashing and writing do,
// and whole.
func TestRelease(t *testing.T) {
	const size = 128 << 20
	m := mustOpen(t, sparseFile(t, size))
	before := residentBytes(t)
	if _, err := m.Hash(); err != nil {
		t.Fatal(err)
	}
	if grown := residentBytes(t) - before; grown > size/4 {
		t.Errorf("hashing left %d bytes resident", grown)
	}
	w := m.Graph.Initializer("big")
	b, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var sum int
	for i := 0; i < len(b); i += 512 {
		sum += int(b[i])
	}
	if grown := residentBytes(t) - before; grown < size*3/4 {
		t.Errorf("reading all made only %d bytes resident: the test measures nothing", grown)
	}
	w.Release()
	if grown := residentBytes(t) - before; grown > size/4 {
		t.Errorf("%d bytes stayed resident", grown)
	}
	if b[size/2] != 0 || sum != 0 {
		t.Error("the bytes changed")
	}
}
