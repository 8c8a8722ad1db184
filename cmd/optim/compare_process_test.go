//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/report"
	"optim/internal/tensor"
)

// compared runs quantize --compare as a process and returns what it reports.
func compared(t *testing.T, args ...string) *report.Compare {
	t.Helper()
	cmd := process(t, append([]string{"quantize", "--compare", "--json"}, args...)...)
	dir := t.TempDir()
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("%v: %s", err, errs.String())
	}
	r := &report.Compare{}
	if err := json.Unmarshal(out, r); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	return r
}

// nanSamples is a file with pictures of which the last is not finite.
func nanSamples(t *testing.T) string {
	t.Helper()
	header := "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1, 28, 28), }"
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00\x76\x00"), header...)
	for i := range 3 * 28 * 28 {
		v := float32(i%7) / 7
		if i >= 2*28*28 {
			v = float32(math.NaN())
		}
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	file := filepath.Join(t.TempDir(), "nan.npy")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCompareFailedRow: a sample that is found bad while it is read fails the row that
// reads it, and the others go on.
func TestCompareFailedRow(t *testing.T) {
	r := compared(t, "--measure", "off", "--calib", nanSamples(t), data(t, "models/mnist-cnn/mnist-cnn.onnx"))
	seen := map[string]bool{}
	for _, row := range r.Rows {
		seen[row.Name] = true
		switch row.Name {
		case "int8 static":
			if !strings.Contains(row.Error, `nan.npy: array "input", row 2: element 0 is NaN`) || row.Bytes != nil {
				t.Errorf("%s: error %q, %v", row.Name, row.Error, row.Bytes)
			}
		case "int8 dynamic", "int8 weight-only":
			if row.Error != "" || row.Bytes == nil || row.PeakRSS == nil {
				t.Errorf("%s: error %q, %v", row.Name, row.Error, row.Bytes)
			}
		}
	}
	if len(seen) < 4 || r.Recommended == "" || r.Recommended == "int8 static" {
		t.Errorf("%q is recommended of %v", r.Recommended, seen)
	}
}

// TestCompareNothingWorks: weights that are not finite are the reason of all rows.
func TestCompareNothingWorks(t *testing.T) {
	v := make([]float32, 64*64)
	for i := range v {
		v[i] = float32(i%13) - 6
	}
	v[7] = float32(math.NaN())
	g := &onnx.Graph{
		Inputs: []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, 1, 64)}, Outputs: []*onnx.ValueInfo{onnxtest.Value("y", tensor.Float32, 1, 64)},
		Nodes:        []*onnx.Node{{OpType: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
		Initializers: []*onnx.Tensor{onnxtest.Floats("w", tensor.Shape{64, 64}, v...)},
	}
	file := filepath.Join(t.TempDir(), "nan.onnx")
	b, err := onnxtest.Model(17, g).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := process(t, "quantize", "--compare", "--measure", "off", "--json", file)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, _ := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != int(exitBadInput) || len(out) > 0 || !strings.Contains(errs.String(), "no row worked") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs.String())
	}
}

// TestCompareTimes times one row against the source.
func TestCompareTimes(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of measuring")
	}
	t.Setenv(ort.LibraryEnv, orttest.Library(t))
	name := os.Args[0]
	os.Args[0] = "optim" // TestMain then takes a worker for the program
	defer func() { os.Args[0] = name }()
	model := data(t, "models/digits-mlp/digits-mlp.onnx")
	row := filepath.Join(t.TempDir(), "int8.onnx")
	if code, _, stderr := run(t, "quantize", "--int8", "--measure", "off", "-o", row, model); code != 0 {
		t.Fatal(stderr)
	}
	c := &comparison{app: newApp(&Streams{}), o: &quantizeOptions{model: model}, r: &report.Compare{Rows: make([]report.Row, 1)}}
	c.ortLib = orttest.Library(t)
	r := report.Row{}
	c.time(t.Context(), row, &r)
	c.r.Rows = append(c.r.Rows, r)
	c.completeOriginal()
	source := c.r.Rows[0]
	if r.Error != "" || !wasTimed(r) || r.ResidentBytes == nil || r.TimingSeconds == 0 || source.Latency == nil || source.ResidentBytes == nil {
		t.Fatalf("%+v; the source: %+v", r, source)
	}
	if l := r.Latency; !(l.Low <= l.Median && l.Median <= l.High) || !(*l.SpeedupLow <= *l.Speedup && *l.Speedup <= *l.SpeedupHigh) {
		t.Errorf("%+v", l)
	}
	if l := source.Latency; !(l.Low > 0 && l.Low <= l.High && l.Median > 0) {
		t.Errorf("%+v", l)
	}
}

// TestCompareInterrupted: what was made until then is printed, and nothing is left.
func TestCompareInterrupted(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	cmd := process(t, "quantize", "--compare", "--threads", "1", "--measure", "off", "--calib", data(t, "text/valid.txt"), "--stride", "4",
		"--calib-samples", "100000", "--cache-dir", cache, data(t, "models/tinygpt/tinygpt.onnx"))
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(cache, "calibration")) // the process of a row is at it
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != int(exitInterrupted) || !strings.HasSuffix(errs.String(), "optim: error: interrupted\n") {
		t.Errorf("exit %d, stderr %q", code, errs.String())
	}
	if !strings.Contains(out.String(), "int8 dynamic") || !strings.Contains(out.String(), "interrupted: rows are missing") {
		t.Errorf("stdout %q", out.String())
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}
