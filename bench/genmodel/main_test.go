package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// parameters counts the float32 weights of a model, and fails on one that is
// written down twice.
func parameters(t *testing.T, m *onnx.Model) int64 {
	t.Helper()
	var n int64
	seen := map[string]bool{}
	for _, w := range m.Graph.Initializers {
		if seen[w.Name] {
			t.Errorf("initializer %q twice", w.Name)
		}
		seen[w.Name] = true
		if w.DType == tensor.Float32 && len(w.Shape) > 0 {
			n += w.Elements()
		}
	}
	return n
}

func TestParameters(t *testing.T) {
	// GPT-2's published sizes. ResNet-50 has 25 557 032; folding its 26 560
	// normalized channels takes one of their two parameters away.
	want := map[string]int64{
		"gpt2":        124_439_808,
		"gpt2-medium": 354_823_168,
		"gpt2-large":  774_030_080,
		"resnet50":    25_557_032 - 26_560,
	}
	for kind, n := range want {
		for _, linear := range []string{"gemm", "matmul"} {
			if got := parameters(t, kinds[kind](options{linear: linear})); got != n {
				t.Errorf("%s (%s): %d parameters, want %d", kind, linear, got, n)
			}
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	cases := []struct {
		name string
		args []string
		data bool // weights in a file of their own
	}{
		{"gemm", []string{"-kind", "gpt2-tiny"}, false},
		{"matmul", []string{"-kind", "gpt2-tiny", "-linear", "matmul"}, false},
		{"external", []string{"-kind", "gpt2-tiny", "-external", "always"}, true},
		{"convolutions", []string{"-kind", "resnet-tiny"}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "m.onnx")
			if err := run(append(c.args, "-o", out), io.Discard); err != nil {
				t.Fatal(err)
			}
			m, err := onnx.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if len(m.Graph.Outputs) != 1 || m.Graph.Outputs[0].Name != "logits" {
				t.Errorf("outputs %v", m.Graph.Outputs)
			}
			if parameters(t, m) == 0 {
				t.Error("no weights")
			}
			others, err := filepath.Glob(filepath.Join(filepath.Dir(out), "*"))
			if err != nil || (len(others) > 1) != c.data {
				t.Errorf("files %v (%v), want external data: %v", others, err, c.data)
			}
		})
	}
}

func TestSeed(t *testing.T) {
	write := func(args ...string) []byte {
		out := filepath.Join(t.TempDir(), "m.onnx")
		if err := run(append([]string{"-kind", "gpt2-tiny", "-o", out}, args...), io.Discard); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one := write("-workers", "1")
	if !bytes.Equal(one, write("-workers", "3")) {
		t.Error("the number of workers changes the bytes")
	}
	if bytes.Equal(one, write("-seed", "1")) {
		t.Error("another seed, the same bytes")
	}
}

func TestNormal(t *testing.T) {
	const n, deviation = 1 << 18, 0.02
	v := make([]float32, n)
	if err := normal(tensorSeed(7, "w"), deviation)(tensor.AsBytes(v)); err != nil {
		t.Fatal(err)
	}
	var sum, squares, fourth, greatest float64
	for _, x := range v {
		z := float64(x) / deviation
		sum, squares, fourth = sum+z, squares+z*z, fourth+z*z*z*z
		greatest = max(greatest, math.Abs(z))
	}
	if m := sum / n; math.Abs(m) > 5/math.Sqrt(n) {
		t.Errorf("mean %g deviations", m)
	}
	if s := squares / n; math.Abs(s-1) > 0.02 {
		t.Errorf("variance %g, want 1", s)
	}
	// The kurtosis of a sum of k uniforms is 3 − 6/(5k).
	if k := fourth / n; math.Abs(k-2.7) > 0.1 {
		t.Errorf("kurtosis %g, want 2.7", k)
	}
	if greatest > math.Sqrt(12)+1e-3 || greatest < 3 {
		t.Errorf("greatest %g deviations, want close to √12", greatest)
	}
}

func TestBadArguments(t *testing.T) {
	out := filepath.Join(t.TempDir(), "m.onnx")
	cases := map[string][]string{
		"unknown kind":        {"-kind", "bert", "-o", out},
		"unknown linear form": {"-linear", "conv", "-o", out},
		"no output":           {"-kind", "gpt2-tiny"},
		"unexpected argument": {"-o", out, "more"},
		"not defined":         {"-nonsense"},
	}
	for want, args := range cases {
		if err := run(args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", args, err, want)
		}
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("a failed run left %s (%v)", out, err)
	}
}
