package ort_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// TestCUDA runs every model of testdata on a GPU, freely and bound, and wants
// what the CPU computes, up to TF32, whose products have 10 bits: a machine with
// one, its drivers and a library with the provider are needed (OPTIM_ORT_LIB).
func TestCUDA(t *testing.T) {
	rt := orttest.Runtime(t)
	if !slices.Contains(rt.Providers(), ort.CUDA) {
		t.Skip("the library has no provider cuda")
	}
	gpu := ort.Options{Providers: []string{ort.CUDA, ort.CPU}}
	files, err := filepath.Glob(filepath.Join(orttest.Root(t), "testdata", "models", "*", "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			on, err := rt.Open(path, gpu)
			if errors.Is(err, ort.ErrProvider) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer on.Close()
			in := inputsFor(t, on)
			want, err := orttest.Session(t, path, ort.Options{Threads: 1}).Run(in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := on.Run(in)
			if err != nil {
				t.Fatal(err)
			}
			alike(t, want, got)
			outputs := map[string]tensor.Tensor{}
			for name, o := range want {
				if outputs[name], err = tensor.New(o.DType, o.Shape); err != nil {
					t.Fatal(err)
				}
			}
			b, err := on.Bind(in, outputs)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := b.Run(); err != nil {
				t.Fatal(err)
			}
			alike(t, want, outputs)
		})
	}
	model, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	open := func(o ort.Options) (*ort.Session, error) {
		o.ExternalFolder = filepath.Dir(files[0])
		return rt.OpenBytes(model, o)
	}
	s, err := open(gpu)
	if errors.Is(err, ort.ErrProvider) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	nodes, err := ort.Profile(open, gpu, inputsFor(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(nodes, func(n ort.NodeTime) bool { return n.Provider == ort.CUDA }) {
		t.Errorf("no node ran on the GPU: %+v", nodes)
	}
}

// alike wants outputs that differ by at most 1 in 100, in the Frobenius norm.
func alike(t *testing.T, want, got map[string]tensor.Tensor) {
	t.Helper()
	for name, w := range want {
		if !w.Shape.Equal(got[name].Shape) || w.DType != got[name].DType {
			t.Errorf("output %q is %v %v, not %v %v", name, got[name].DType, got[name].Shape, w.DType, w.Shape)
			continue
		}
		a, err := w.Float32s()
		if err != nil {
			continue
		}
		b, err := got[name].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		noise, signal := 0.0, 0.0
		for i, x := range a {
			noise += math.Pow(float64(x-b[i]), 2)
			signal += math.Pow(float64(x), 2)
		}
		t.Logf("output %q: relative error %.2g", name, math.Sqrt(noise/signal))
		if !(noise <= 1e-4*signal) {
			t.Errorf("output %q: squared error %.3g of %.3g", name, noise, signal)
		}
	}
}
