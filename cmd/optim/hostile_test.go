//go:build linux

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// copied copies the malformed models, with the link that one of them names,
// and returns the folder with the list of what is wrong with each.
func copied(t *testing.T, link string) (dir, list string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "bad")
	if err := os.CopyFS(dir, os.DirFS(data(t, "bad"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(link, filepath.Join(dir, "external-link.data")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(b)
}

// refused runs a command in this process and reports whether it ended as it
// has to for a bad model: exit 3, one line that names the file, soon.
func refused(t *testing.T, file string, args ...string) {
	t.Helper()
	start := time.Now()
	code, stdout, stderr := run(t, args...)
	if code != int(exitBadInput) || stdout != "" || !strings.HasPrefix(stderr, "optim: error: "+file+": ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%q: exit %d, stdout %q, stderr %q", args, code, stdout, stderr)
	}
	if d := time.Since(start); d > 5*time.Second && !raceEnabled {
		t.Errorf("%q: took %v", args, d)
	}
}

// TestMalformedModels gives every file of which the list says that it must be
// refused to every command that reads models. Nothing may be written.
func TestMalformedModels(t *testing.T) {
	t.Setenv("OPTIM_ORT_LIB", orttest.Library(t))
	t.Setenv("HOME", t.TempDir())
	outside := filepath.Join(t.TempDir(), "outside.data")
	if err := os.WriteFile(outside, make([]byte, 128), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, list := copied(t, outside)
	before := entries(t, dir)
	count := map[string]int{}
	for line := range strings.Lines(list) {
		cells := strings.Split(line, "\t")
		file := filepath.Join(dir, cells[0])
		count[cells[1]]++
		switch cells[1] {
		case "reject":
			refused(t, file, "inspect", file)
			refused(t, file, "quantize", "--int8", "--dry-run", file)
			fallthrough
		case "runtime":
			refused(t, file, "quantize", "--int8", file)
			refused(t, file, "eval", "--data", "random", "--metric", "cosine", "--against", filepath.Join(dir, "ok.onnx"), file)
		}
	}
	if count["reject"] < 25 || count["runtime"] != 2 {
		t.Errorf("the list has %v", count)
	}
	if after := entries(t, dir); len(after) != len(before) {
		t.Errorf("left %q", after)
	}
	inside, _ := copied(t, "external-ok.data")
	if code, _, stderr := run(t, "inspect", filepath.Join(inside, "external-symlink.onnx")); code != 0 {
		t.Errorf("a link inside the folder: exit %d, %s", code, stderr)
	}
}

// product is x·w → y with random weights, changed by f.
func product(t *testing.T, f func(m *onnx.Model)) string {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	m := onnxtest.Model(13, &onnx.Graph{
		Inputs:       []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, 2, 64)},
		Outputs:      []*onnx.ValueInfo{onnxtest.Output("y")},
		Initializers: []*onnx.Tensor{onnxtest.Random(r, "w", -1, 1, 64, 256)},
		Nodes:        []*onnx.Node{onnx.NewNode("MatMul", "n", []string{"x", "w"}, []string{"y"})},
	})
	f(m)
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "net.onnx")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// fill sets one weight of the product.
func fill(x float64) func(m *onnx.Model) {
	return func(m *onnx.Model) {
		v := make([]float32, 64*256)
		for i := range v {
			v[i] = float32(i%7) - 3
		}
		v[77] = float32(x)
		m.Graph.Initializers[0] = onnxtest.Floats("w", tensor.Shape{64, 256}, v...)
	}
}

// TestHostileModels: models that can be read, and with which something is
// wrong all the same.
func TestHostileModels(t *testing.T) {
	t.Setenv("OPTIM_ORT_LIB", orttest.Library(t))
	t.Setenv("HOME", t.TempDir())
	named := func(name string) func(m *onnx.Model) {
		return func(m *onnx.Model) { m.Graph.Nodes[0].Name = name }
	}
	unknown := func(op string) func(m *onnx.Model) {
		return func(m *onnx.Model) { m.Graph.Nodes[0].OpType = op }
	}
	for name, c := range map[string]struct {
		change func(m *onnx.Model)
		code   exitCode
		says   string
	}{
		"NaN weight":          {fill(math.NaN()), 3, `tensor "w": element 77 is NaN`},
		"infinite weight":     {fill(math.Inf(-1)), 3, `tensor "w": element 77 is -Inf`},
		"greatest weight":     {fill(math.MaxFloat32), 0, ""},
		"opset 6":             {func(m *onnx.Model) { m.SetOpset("", 6) }, 3, "below opset 7 cannot be raised"},
		"opset 99":            {func(m *onnx.Model) { m.SetOpset("", 99) }, 3, "Opset 99"},
		"IR version 0":        {func(m *onnx.Model) { m.IRVersion = 0 }, 3, "IR version"},
		"quoted name":         {named(`say "x" \`), 0, ""},
		"name of lines":       {named("a\nb\x00c\x1b[2J"), 0, ""},
		"name like a profile": {named(`x","args":{`), 0, ""},
		"escape as operator":  {unknown("\x1b]0;title\a"), 3, `\x1b]0;title\a`},
		"long operator":       {unknown(strings.Repeat("A", 1<<20)), 3, "AAA…AAA"},
	} {
		t.Run(name, func(t *testing.T) {
			file := product(t, c.change)
			for _, calib := range [][]string{nil, {"--calib", "random", "--calib-samples", "2"}} {
				args := append([]string{"quantize", "--int8", "--measure", "off", "--force", file}, calib...)
				code, _, stderr := run(t, args...)
				if code != int(c.code) || !strings.Contains(stderr, c.says) || len(stderr) > 5000 || strings.ContainsAny(stderr, "\x00\x1b\a") {
					t.Errorf("calib %q: exit %d, stderr %.2000q", calib, code, stderr)
				}
				if c.code != 0 && len(entries(t, filepath.Dir(file))) != 1 {
					t.Errorf("left %q", entries(t, filepath.Dir(file)))
				}
			}
		})
	}
}

// TestNaNInCalibration: the data is named, which the model makes NaN of.
func TestNaNInCalibration(t *testing.T) {
	t.Setenv("OPTIM_ORT_LIB", orttest.Library(t))
	t.Setenv("HOME", t.TempDir())
	file := product(t, func(m *onnx.Model) {
		m.Graph.Nodes[0].Inputs[0] = "l"
		m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("Neg", "neg", []string{"x"}, []string{"n"}),
			onnx.NewNode("Mul", "square", []string{"x", "n"}, []string{"s"}), onnx.NewNode("Log", "log", []string{"s"}, []string{"l"}))
	})
	refused(t, "random", "quantize", "--int8", "--calib", "random", file)
}

// TestInterruptBusyRuntime: functions that call each other twice in 40 levels
// keep the runtime busy for longer than anybody waits, in a call that it does
// not end. One interrupt has to be enough.
func TestInterruptBusyRuntime(t *testing.T) {
	const depth = 40
	file := product(t, func(m *onnx.Model) {
		m.SetOpset("d", 1)
		m.SetOpset("", 15)
		call := func(level int, in, out string) *onnx.Node {
			return &onnx.Node{OpType: fmt.Sprintf("F%d", level), Domain: "d", Name: out, Inputs: []string{in}, Outputs: []string{out}}
		}
		for i := range depth {
			f := &onnx.Function{Name: fmt.Sprintf("F%d", i), Domain: "d", Inputs: []string{"a"}, Outputs: []string{"c"},
				Opsets: []onnx.Opset{{Version: 15}, {Domain: "d", Version: 1}},
				Nodes:  []*onnx.Node{call(i+1, "a", "b"), call(i+1, "b", "c")}}
			if i == depth-1 {
				f.Nodes = []*onnx.Node{onnx.NewNode("Relu", "last", []string{"a"}, []string{"c"})}
			}
			m.Functions = append(m.Functions, f)
		}
		m.Graph.Nodes = append(m.Graph.Nodes, call(0, "y", "z"))
		m.Graph.Outputs = append(m.Graph.Outputs, onnxtest.Output("z"))
	})
	cmd := process(t, "quantize", "--int8", file)
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	start := time.Now()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatalf("the model keeps nobody busy: %v", err)
	}
	cmd.Wait()
	if code, d := cmd.ProcessState.ExitCode(), time.Since(start); code != int(exitInterrupted) || d > 3*patience || errs.String() != "optim: error: interrupted\n" {
		t.Errorf("exit %d after %v, stderr %q", code, d, errs.String())
	}
	if left := entries(t, filepath.Dir(file)); len(left) != 1 {
		t.Errorf("left %q", left)
	}
}
