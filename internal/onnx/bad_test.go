package onnx

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// defects are words that the error about a bad file must hold.
var defects = map[string][]string{
	"cycle.onnx":                    {"cycle", `node "add"`, `node "relu"`},
	"dims-overflow-zero.onnx":       {`tensor "w"`, "overflow"},
	"dims-overflow.onnx":            {`tensor "w"`, "overflow"},
	"duplicate-initializer.onnx":    {"two initializers", `"w"`},
	"duplicate-output.onnx":         {`value "y"`, "made twice", `node "a"`, `node "b"`},
	"empty.onnx":                    {"empty"},
	"endless-varint.onnx":           {"variable length integer"},
	"external-absolute.onnx":        {`tensor "w"`, "absolute path"},
	"external-dotdot-deep.onnx":     {`tensor "w"`, "leads out"},
	"external-dotdot.onnx":          {`tensor "w"`, "leads out"},
	"external-length-huge.onnx":     {`tensor "w"`, "4611686018427387904"},
	"external-missing-file.onnx":    {`tensor "w"`, `"no-such-file.data"`, "no such file"},
	"external-negative-offset.onnx": {`tensor "w"`, "offset", "negative"},
	"external-offset-beyond.onnx":   {`tensor "w"`, "offset 4096", "128 bytes"},
	"external-symlink.onnx":         {`tensor "w"`, `"external-link.data"`},
	"float-data-short.onnx":         {`tensor "w"`, "float_data", "31", "32"},
	"length-huge.onnx":              {"1099511627776 bytes"},
	"length-overflow.onnx":          {"18446744073709551615 bytes"},
	"missing-input.onnx":            {`node "mm"`, `"nowhere"`},
	"negative-dim.onnx":             {`tensor "w"`, "-4"},
	"no-graph.onnx":                 {"no graph"},
	"output-not-made.onnx":          {`output "y"`},
	"random-bytes.onnx":             {"not an ONNX model"},
	"raw-and-typed.onnx":            {`tensor "w"`, "raw_data and float_data"},
	"raw-too-long.onnx":             {`tensor "w"`, "144 bytes", "128"},
	"raw-too-short.onnx":            {`tensor "w"`, "100 bytes", "128"},
	"truncated.onnx":                {"bytes", "are left"},
	"unknown-dtype.onnx":            {`tensor "w"`, "data_type 77"},
	"wrong-wire-type.onnx":          {"graph", "wire type 1"},
}

// openBounded opens a file and fails the test if that took long or memory.
func openBounded(t *testing.T, path string) (*Model, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	m, err := Open(path)
	if d := time.Since(start); d > time.Second {
		t.Errorf("opening took %v", d)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("opening allocated %d bytes", n)
	}
	if (m == nil) == (err == nil) {
		t.Errorf("model %v with error %v", m != nil, err)
	}
	return m, err
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not mention %q", err, w)
		}
	}
}

func TestBad(t *testing.T) {
	folder := filepath.Join(root, "testdata/bad")
	table, err := os.ReadFile(filepath.Join(folder, "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(strings.TrimSpace(line), "\t")
		name, expect := cells[0], cells[1]
		if name == "file" {
			continue
		}
		listed++
		t.Run(name, func(t *testing.T) {
			m, err := openBounded(t, filepath.Join(folder, name))
			switch expect {
			case "reject":
				if len(defects[name]) == 0 {
					t.Fatal("the test does not know its defect")
				}
				wantError(t, err, append(defects[name], name)...)
			case "accept", "runtime":
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			default:
				t.Fatalf("expected.tsv says %q", expect)
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.onnx"))
	if err != nil || listed < 30 || len(files) != listed {
		t.Errorf("%d files, %d listed (%v)", len(files), listed, err)
	}
}

func TestExternalLinks(t *testing.T) {
	folder := copyFolder(t, filepath.Join(root, "testdata/bad"))
	outside := filepath.Join(t.TempDir(), "outside.data")
	if err := os.WriteFile(outside, make([]byte, 128), 0o600); err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(folder, outside)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "external-link.data")
	for name, c := range map[string]struct {
		target string
		inside bool
	}{
		"out absolute": {outside, false},
		"out relative": {relative, false},
		"in relative":  {"external-ok.data", true},
		"in absolute":  {filepath.Join(folder, "external-ok.data"), true},
		"dangling":     {"nothing.data", false},
		"loop":         {"external-link.data", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Symlink(c.target, link); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(link)
			m, err := openBounded(t, filepath.Join(folder, "external-symlink.onnx"))
			if !c.inside {
				wantError(t, err, "external-symlink.onnx", `tensor "w"`, `"external-link.data"`)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if b, err := m.Graph.Initializers[0].Bytes(); err != nil || len(b) != 128 {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
}

func TestExternalSpecialFiles(t *testing.T) {
	folder := copyFolder(t, filepath.Join(root, "testdata/bad"))
	link := filepath.Join(folder, "external-link.data")
	model := filepath.Join(folder, "external-symlink.onnx")
	if err := syscall.Mkfifo(link, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openBounded(t, model)
	wantError(t, err, `tensor "w"`, "FIFO")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(link, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = openBounded(t, model)
	wantError(t, err, `tensor "w"`, "directory")
}

func TestNotAModel(t *testing.T) {
	folder := t.TempDir()
	for name, c := range map[string]struct{ content, want string }{
		"lfs":         {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"},
		"html":        {"\n<!DOCTYPE html><html><body>404</body></html>", "HTML"},
		"zip":         {"PK\x03\x04\x14\x00\x00\x00", "zip"},
		"gzip":        {"\x1f\x8b\x08\x00\x00", "gzip"},
		"gguf":        {"GGUF\x03\x00\x00\x00", "GGUF"},
		"safetensors": {"\x40\x00\x00\x00\x00\x00\x00\x00{\"a\":{}}", "safetensors"},
		"tflite":      {"\x1c\x00\x00\x00TFL3\x00\x00", "TensorFlow Lite"},
		"text":        {"hello, this is no model: ümlaut\n", "text"},
		"json":        {`{"architectures": ["GPT2"]}`, "text"},
		"zeros":       {strings.Repeat("\x00", 100), "not an ONNX model"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder, name+".onnx")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := openBounded(t, path)
			wantError(t, err, path, "not an ONNX model", c.want)
		})
	}
}

func TestNotAFile(t *testing.T) {
	folder := t.TempDir()
	fifo := filepath.Join(folder, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		folder:                           "a directory",
		fifo:                             "a FIFO",
		"/dev/zero":                      "a device",
		filepath.Join(folder, "missing"): "no such file",
	} {
		_, err := openBounded(t, path)
		wantError(t, err, path+": ", want)
	}
}
