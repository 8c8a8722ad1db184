//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
)

// process is the program as a process of its own: TestMain has put this test's
// binary on the path under the program's name.
func process(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("optim", args...)
	cmd.Env = append(os.Environ(), ort.LibraryEnv+"="+orttest.Library(t), "HOME="+t.TempDir())
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

func data(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(orttest.Root(t), "testdata", filepath.FromSlash(name))
}

// entries lists a folder.
func entries(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// waitFor waits until a file matches the pattern.
func waitFor(t testing.TB, pattern string) {
	t.Helper()
	for range 2000 {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %s after 20 s", pattern)
}

// slow are options that keep the gate busy for seconds.
func slow(t testing.TB, output string) []string {
	return []string{"quantize", "--int8", "--threads", "1", "--min-speedup", "0.001", "--eval", data(t, "digits/test.npz"),
		"-o", output, data(t, "models/digits-mlp/digits-mlp.onnx")}
}

func TestQuantizeInterrupted(t *testing.T) {
	dir := t.TempDir()
	cache := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		when string // a file that shows how far it is
	}{
		"in the gate": {slow(t, filepath.Join(dir, "a.onnx")), filepath.Join(dir, ".a.onnx.optim-*", "a.onnx")},
		"while calibrating": {[]string{"quantize", "--int8", "--threads", "1", "--calib", data(t, "text/valid.txt"), "--stride", "4",
			"--calib-samples", "100000", "--cache-dir", cache, "-o", filepath.Join(dir, "b.onnx"), data(t, "models/tinygpt/tinygpt.onnx")},
			filepath.Join(cache, "calibration")},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := process(t, c.args...)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, c.when)
			cmd.Process.Signal(os.Interrupt)
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != int(exitInterrupted) || out.Len() > 0 || !strings.HasSuffix(errs.String(), "optim: error: interrupted\n") {
				t.Errorf("exit %d, stdout %q, stderr %q", code, out.String(), errs.String())
			}
			if left := entries(t, dir); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		})
	}
}

// TestQuantizeKilled: what a run that was killed leaves does not hinder the next.
func TestQuantizeKilled(t *testing.T) {
	dir := t.TempDir()
	output := filepath.Join(dir, "a.onnx")
	cmd := process(t, slow(t, output)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, filepath.Join(dir, ".a.onnx.optim-*", "a.onnx"))
	cmd.Process.Kill()
	cmd.Wait()
	left := entries(t, dir)
	if len(left) != 1 || !strings.HasPrefix(left[0], ".a.onnx.optim-") {
		t.Fatalf("left %q", left)
	}
	if out, err := process(t, "quantize", "--int8", "--measure", "off", "-o", output, data(t, "models/digits-mlp/digits-mlp.onnx")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := entries(t, dir); !slices.Equal(got, []string{left[0], "a.onnx"}) {
		t.Errorf("left %q", got)
	}
}

// TestQuantizeBeyondFileLimit fails in the middle of writing.
func TestQuantizeBeyondFileLimit(t *testing.T) {
	for _, external := range []string{"never", "always"} {
		dir := t.TempDir()
		output := filepath.Join(dir, "a.onnx")
		optim := process(t, "quantize", "--int8", "--measure", "off", "--external-data", external, "-o", output, data(t, "models/digits-mlp/digits-mlp.onnx"))
		cmd := exec.Command("sh", append([]string{"-c", `ulimit -f 100 && exec "$@"`, "sh"}, optim.Args...)...)
		cmd.Env = optim.Env
		out, _ := cmd.CombinedOutput()
		want := fmt.Sprintf("optim: error: output %q: file too large\n", output)
		if code := cmd.ProcessState.ExitCode(); code != int(exitFailure) || string(out) != want {
			t.Errorf("exit %d: %s", code, out)
		}
		if left := entries(t, dir); len(left) > 0 {
			t.Errorf("left %q", left)
		}
	}
}

// TestQuantizeOnFullDisk writes to a file system of 200 kB.
func TestQuantizeOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=200k"); err != nil {
		t.Skipf("no file system of a given size can be made here: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	cmd := process(t, "quantize", "--int8", "--measure", "off", "-o", filepath.Join(dir, "a.onnx"), data(t, "models/digits-mlp/digits-mlp.onnx"))
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != int(exitFailure) || !strings.Contains(string(out), "bytes free, and the result needs 240") {
		t.Errorf("exit %d: %s", code, out)
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// together runs commands at once and returns their exit statuses.
func together(t testing.TB, commands ...*exec.Cmd) []int {
	codes := make([]int, len(commands))
	var wg sync.WaitGroup
	for i, cmd := range commands {
		wg.Go(func() {
			out, _ := cmd.CombinedOutput()
			if codes[i] = cmd.ProcessState.ExitCode(); codes[i] != 0 {
				t.Logf("%s", out)
			}
		})
	}
	wg.Wait()
	return codes
}

func TestQuantizeTwiceAtOnce(t *testing.T) {
	dir := t.TempDir()
	output := filepath.Join(dir, "a.onnx")
	one := func() *exec.Cmd {
		return process(t, "quantize", "--int8", "--measure", "off", "--external-data", "always", "-o", output, data(t, "models/digits-mlp/digits-mlp.onnx"))
	}
	codes := together(t, one(), one(), one())
	slices.Sort(codes)
	if !slices.Equal(codes, []int{0, 2, 2}) {
		t.Errorf("exit %v: only one may win", codes)
	}
	if left := entries(t, dir); !slices.Equal(left, []string{"a.onnx", "a.onnx.data"}) {
		t.Errorf("left %q", left)
	}
}

// TestCalibrateTwiceAtOnce: runs that share a cache give the same bytes.
func TestCalibrateTwiceAtOnce(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	var commands []*exec.Cmd
	for i := range 3 {
		commands = append(commands, process(t, "quantize", "--int8", "--measure", "off", "--calib", data(t, "digits/calib.npz"), "--calib-samples", "30",
			"--cache-dir", cache, "-o", filepath.Join(dir, fmt.Sprintf("%d.onnx", i)), data(t, "models/mnist-cnn/mnist-cnn.onnx")))
	}
	if codes := together(t, commands...); !slices.Equal(codes, []int{0, 0, 0}) {
		t.Fatalf("exit %v", codes)
	}
	first, err := os.ReadFile(filepath.Join(dir, "0.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1.onnx", "2.onnx"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(b, first) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
	if left := entries(t, filepath.Join(cache, "calibration")); len(left) != 1 {
		t.Errorf("the cache holds %q", left)
	}
}

// TestQuantizeMemory: the peak of resident memory follows the largest tensor,
// not the model.
func TestQuantizeMemory(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a model of 500 MB")
	}
	dir := t.TempDir()
	model := filepath.Join(dir, "gpt2.onnx")
	gen := exec.Command("go", "run", "./bench/genmodel", "-kind", "gpt2", "-o", model)
	gen.Dir = orttest.Root(t)
	if out, err := gen.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := process(t, "quantize", "--int8", "--json", model)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Peak  int64 `json:"peak_rss_bytes"`
		Input struct {
			Bytes int64 `json:"bytes"`
		} `json:"input"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	const largest = 50257 * 768 * 4 // the table of embeddings
	if limit := int64(3*largest + 150<<20); r.Peak == 0 || r.Peak > limit || r.Input.Bytes < 300<<20 {
		t.Errorf("peak %d for %d bytes of model, at most %d allowed", r.Peak, r.Input.Bytes, limit)
	}
}
