package trt

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/quant"
)

// fakePlan is the front of an engine of n bytes.
func fakePlan(magic string, n int, version ...byte) []byte {
	b := make([]byte, n)
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[16:], uint64(n))
	copy(b[24:], version)
	return b
}

func TestHeader(t *testing.T) {
	for magic, flavour := range map[string]string{"ftrt": Enterprise, "vtrt": RTX} {
		h, err := ParseHeader(fakePlan(magic, 100, 1, 7, 1, 116))
		if err != nil || h.Flavour != flavour || h.Version != "1.7.1.116" || h.Size != 100 {
			t.Errorf("%s: %+v, %v", magic, h, err)
		}
	}
	for _, b := range [][]byte{nil, []byte("vtr"), []byte("vtrt"), []byte("onnx-model-of-some-bytes-here"), fakePlan("vtrt", 40)[:27]} {
		if h, err := ParseHeader(b); err == nil {
			t.Errorf("%q is taken for %+v", b, h)
		}
	}
	h := Header{Flavour: RTX, Version: "1.7.1.116"}
	if err := h.Fits(Info{Flavour: RTX, Library: "1.7.2"}, false); err != nil {
		t.Error(err)
	}
	if h.Fits(Info{Flavour: RTX, Library: "1.6.0"}, true) != nil || h.Fits(Info{Flavour: Enterprise, Library: "11.4.0"}, true) == nil {
		t.Error("a version-compatible plan goes by its flavour alone")
	}
	for _, lib := range []Info{{Flavour: RTX, Library: "1.6.0"}, {Flavour: Enterprise, Library: "11.4.0"}} {
		if err := h.Fits(lib, false); err == nil || !strings.Contains(err.Error(), "plan is from TensorRT-RTX 1.7.1.116, this program has "+lib.Flavour) {
			t.Errorf("%+v: %v", lib, err)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(fakePlan("vtrt", 64, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHeader(b); err == nil && (len(b) < headerSize || h.Flavour == "") {
			t.Fatalf("%q is taken for %+v", b, h)
		}
	})
}

func TestEngineFiles(t *testing.T) {
	dir := t.TempDir()
	path, plan := filepath.Join(dir, "a.engine"), fakePlan("vtrt", 3<<20, 1, 7, 1, 116)
	side := &Sidecar{Command: "build-engine", Precision: FP16, Layers: map[string]int{"float16": 3}, Plan: &PlanFacts{Magic: "vtrt", Version: "1.7.1.116"}}
	if err := WriteEngine(path, plan, side, false); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); !bytes.Equal(b, plan) {
		t.Fatal("other bytes were written")
	}
	if h, err := ReadHeader(path); err != nil || h.Size != 3<<20 || !IsPlan(path) {
		t.Errorf("%+v, %v", h, err)
	}
	got, err := ReadSidecar(path)
	if err != nil || got.Layers["float16"] != 3 || got.Output.Bytes != 3<<20 || len(got.Plan.SHA256) != 64 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := WriteEngine(path, plan, side, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an engine is overwritten: %v", err)
	}
	lone := filepath.Join(dir, "b.engine")
	if err := os.WriteFile(SidecarPath(lone), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteEngine(lone, plan, side, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a sidecar is overwritten: %v", err)
	}
	if _, err := os.Stat(lone); !os.IsNotExist(err) {
		t.Errorf("an engine is left without its sidecar: %v", err)
	}
	if b, _ := os.ReadFile(SidecarPath(lone)); string(b) != "mine" {
		t.Errorf("the sidecar is %q", b)
	}
	plan[1000]++
	if err := os.WriteFile(path, plan, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSidecar(path); !errors.Is(err, ErrStale) {
		t.Errorf("a stale sidecar: %v", err)
	}
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadHeader(path); err == nil || !strings.Contains(err.Error(), "3145728 bytes, and the file has 1048576") {
		t.Errorf("a truncated engine: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	if err := WriteEngine(filepath.Join(dir, "no", "b.engine"), plan, side, false); err == nil {
		t.Error("a folder that is not there is written to")
	}
}

func FuzzSidecar(f *testing.F) {
	b, _ := json.Marshal(&Sidecar{Command: "build-engine", Plan: &PlanFacts{SHA256: strings.Repeat("a", 64)}, Profiles: []Profile{{"x": {Min: []int64{1}, Opt: []int64{1}, Max: []int64{1}}}}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseSidecar(b); err == nil && s.Plan == nil {
			t.Fatal("a sidecar without a plan")
		}
	})
}

func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.json")
	made := NewTable("hash", INT8, map[string]quant.Code{"x": {Scale: 0.5, Max: 127}, "y": {Scale: 0.25, Max: 127}})
	if err := made.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadTable(path, "hash", Best)
	if err != nil || len(got.Scales) != 2 || got.Codes()["x"] != (quant.Code{Scale: 0.5, Max: 127}) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, f := range map[string]func() (*Table, error){
		"another model": func() (*Table, error) { return ReadTable(path, "other", INT8) },
		"not for fp8":   func() (*Table, error) { return ReadTable(path, "hash", FP8) },
		"scale of":      func() (*Table, error) { return parseTable([]byte(`{"version":1,"scales":{"x":-1}}`)) },
		"not a table":   func() (*Table, error) { return parseTable([]byte(`{"version":2,"scales":{"x":1}}`)) },
		"invalid":       func() (*Table, error) { return parseTable([]byte(`nonsense`)) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// loaded is an engine as the library tells of it.
type loaded struct{ Engine }

func (loaded) Tensors() []Tensor {
	return []Tensor{{Name: "x", Input: true, DType: "float32", Shape: []int64{-1, 3}}, {Name: "y", DType: "float16", Shape: []int64{-1}}}
}
func (loaded) Profiles() int       { return 2 }
func (loaded) DeviceMemory() int64 { return 77 }
func (loaded) ProfileShape(input string, p int) (Range, error) {
	return Range{Min: []int64{int64(p), 3}, Opt: []int64{4, 3}, Max: []int64{8, 3}}, nil
}
func (loaded) Describe() ([]byte, error) {
	return []byte(`{"Layers":[{"Name":"a","Inputs":[{"Datatype":"Half"}]}]}`), nil
}

func TestSidecarLoad(t *testing.T) {
	var s Sidecar
	if err := s.Load(loaded{}); err != nil {
		t.Fatal(err)
	}
	if len(s.Inputs) != 1 || s.Outputs[0].Name != "y" || s.Profiles[1]["x"].Min[0] != 1 || *s.ActivationBytes != 77 || s.Layers["float16"] != 1 {
		t.Errorf("%+v", s)
	}
	if got := Computing(map[string]int{"int64": 3, "float32": 2}); len(got) != 1 || got["float32"] != 2 {
		t.Errorf("%v", got)
	}
}
