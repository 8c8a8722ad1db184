package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/checkpoint/checkpointtest"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
)

// gptqOf makes a GPTQ checkpoint, with act-order, of a model whose linear layers
// are named .c_….
func gptqOf(t testing.TB, model string, bits int) string {
	t.Helper()
	m, err := onnx.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f := checkpointtest.File{}
	for _, i := range m.Graph.Initializers {
		name, ok := strings.CutSuffix(strings.TrimPrefix(i.Name, "m."), ".weight")
		if !ok || !strings.Contains(name, ".c_") {
			continue
		}
		v, err := i.Value()
		if err != nil {
			t.Fatal(err)
		}
		w, err := v.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		k, n := int(i.Shape[0]), int(i.Shape[1])
		order := make([]int, k)
		for j := range order {
			order[j] = k - 1 - j
		}
		f.GPTQ(checkpointtest.Quantize(name, w, k, n, bits, 32, order, false), false)
	}
	if len(f) == 0 {
		t.Fatal("no linear layers")
	}
	return f.Write(t, fmt.Sprintf(`{"quant_method":"gptq","bits":%d,"group_size":32,"desc_act":true}`, bits))
}

func TestFromCheckpoint(t *testing.T) {
	t.Setenv(ort.LibraryEnv, orttest.Library(t))
	model := filepath.Join("..", "..", "testdata", "models", "tinygpt-s", "tinygpt-s.onnx")
	four, eight := gptqOf(t, model, 4), gptqOf(t, model, 8)
	cut := gptqOf(t, model, 4)
	path := filepath.Join(cut, "model.safetensors")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.onnx")
	quantize := func(args ...string) (int, string, string) {
		return run(t, append([]string{"quantize", "--no-progress", "--measure", "off", "-o", out, model}, args...)...)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "the checkpoint", []string{"--int4", "--from-checkpoint", eight}},
		{2, "has 4 bits, not 3", []string{"--int4", "--bits", "3", "--from-checkpoint", four}},
		{2, "--nf4", []string{"--nf4", "--from-checkpoint", four}},
		{2, "exclude each other", []string{"--int4", "--method", "rtn", "--from-checkpoint", four}},
		{2, "exclude each other", []string{"--compare", "--from-checkpoint", four}},
		{2, "--block-size means nothing", []string{"--int4", "--block-size", "64", "--from-checkpoint", four}},
		{3, "do not lie within", []string{"--int4", "--from-checkpoint", cut}},
		{3, "no such file", []string{"--int4", "--from-checkpoint", filepath.Join(four, "none")}},
		{3, "is the checkpoint quantized", []string{"--int4", "--from-checkpoint", t.TempDir()}},
	} {
		code, stdout, stderr := quantize(c.args...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%q: wrote a model", c.args)
		}
	}
	code, stdout, stderr := quantize("--int4", "--from-checkpoint", four)
	if code != 0 || !strings.Contains(stdout+stderr, "matrices are those of the checkpoint: gptq, 4 bits, groups of 32") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, stdout, stderr = quantize("--int4", "--from-checkpoint", four, "--if-unchanged", "skip"); code != 0 {
		t.Errorf("unchanged: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, _, stderr = quantize("--int8", "--from-checkpoint", eight, "--force", "--keep", "h.0"); code != 0 {
		t.Errorf("8 bits: exit %d, stderr %q", code, stderr)
	}
}
