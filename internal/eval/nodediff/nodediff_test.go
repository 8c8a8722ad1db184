package nodediff_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"optim/internal/dataset"
	"optim/internal/eval/nodediff"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// bench is a model, its data and the library.
type bench struct {
	rt  *ort.Runtime
	dir string
	set *dataset.Set
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{rt: orttest.Runtime(t), dir: filepath.Join(orttest.Root(t), "testdata")}
	path := filepath.Join(b.dir, "models/digits-mlp/digits-mlp.onnx")
	s, err := b.rt.Open(path, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	info := dataset.ModelInfo{Path: path, Inputs: s.Inputs(), Outputs: s.Outputs()}
	b.set, err = dataset.Open(filepath.Join(b.dir, "digits/calib.npz"), info, dataset.Options{Samples: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.set.Close() })
	return b
}

func (b *bench) open(t *testing.T, file string) *onnx.Model {
	t.Helper()
	m, err := onnx.Open(filepath.Join(b.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

const mlp = "models/digits-mlp/digits-mlp.onnx"

// scaleBias multiplies the bias of the second layer, so that all that comes
// before stays equal and all that comes after differs.
func scaleBias(t *testing.T, m *onnx.Model, factor float32) {
	t.Helper()
	for i, w := range m.Graph.Initializers {
		if w.Name != "fc2.bias" {
			continue
		}
		v, err := w.Value()
		if err != nil {
			t.Fatal(err)
		}
		f, err := v.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		scaled := make([]float32, len(f))
		for k, x := range f {
			scaled[k] = x * factor
		}
		m.Graph.Initializers[i] = onnx.NewTensor(w.Name, tensor.Of(tensor.Float32, w.Shape, scaled))
		return
	}
	t.Fatal("no fc2.bias")
}

func TestCompare(t *testing.T) {
	b := newBench(t)
	ref, other := b.open(t, mlp), b.open(t, mlp)
	scaleBias(t, other, 1.5)
	outputs := len(ref.Graph.Outputs)
	calls := 0
	diffs, err := nodediff.Compare(t.Context(), b.rt, ref, other, b.set, nodediff.Options{
		Session:  ort.Options{Threads: 1},
		Progress: func(done, total int) { calls++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(ref.Graph.Outputs) != outputs || calls != 5 {
		t.Errorf("%d outputs are left in the reference, %d calls of progress", len(ref.Graph.Outputs), calls)
	}
	equal := map[string]bool{"/Flatten_output_0": true, "/fc1/Gemm_output_0": true, "/Relu_output_0": true}
	if len(diffs) != 6 {
		t.Fatalf("%d activations, want 6: %+v", len(diffs), diffs)
	}
	for i, d := range diffs {
		if i > 0 && d.SQNR < diffs[i-1].SQNR {
			t.Errorf("%s with %g dB comes after %s with %g dB", d.Value, d.SQNR, diffs[i-1].Value, diffs[i-1].SQNR)
		}
		switch {
		case equal[d.Value]:
			if !math.IsInf(d.SQNR, 1) || d.Noise != 0 || d.Cosine != 1 {
				t.Errorf("%s differs: %+v", d.Value, d)
			}
		case d.Noise <= 0 || d.Cosine >= 1 || d.Cosine < 0.5 || math.Abs(d.SQNR-10*math.Log10(d.Signal/d.Noise)) > 1e-9:
			t.Errorf("%s: %+v", d.Value, d)
		}
	}
}

// TestOtherSizes: activations of one name and two shapes come first, without
// figures.
func TestOtherSizes(t *testing.T) {
	b := newBench(t)
	diffs, err := nodediff.Compare(t.Context(), b.rt, b.open(t, mlp), b.open(t, "models/mnist-cnn/mnist-cnn.onnx"), b.set,
		nodediff.Options{Session: ort.Options{Threads: 1}})
	if err != nil || len(diffs) == 0 {
		t.Fatalf("%+v, %v", diffs, err)
	}
	if last := diffs[len(diffs)-1]; math.IsInf(last.SQNR, -1) || last.Value != "logits" {
		t.Errorf("the logits have no figure: %+v", diffs)
	}
	if first := diffs[0]; !math.IsInf(first.SQNR, -1) || first.Cosine != 0 {
		t.Errorf("first is %+v", first)
	}
}

func TestNothingShared(t *testing.T) {
	b := newBench(t)
	other := b.open(t, mlp)
	for _, n := range other.Graph.Nodes {
		for i := range n.Outputs {
			other.Graph.RenameUses(n.Outputs[i], n.Outputs[i]+"'")
			n.Outputs[i] += "'"
		}
	}
	for _, o := range other.Graph.Outputs {
		if o.Name == "logits" {
			o.Name = "logits'"
		}
	}
	_, err := nodediff.Compare(t.Context(), b.rt, b.open(t, mlp), other, b.set, nodediff.Options{})
	if !errors.Is(err, nodediff.ErrNothingShared) {
		t.Errorf("error %v", err)
	}
}

func TestCanceled(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := b.open(t, mlp)
	if _, err := nodediff.Compare(ctx, b.rt, m, m, b.set, nodediff.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
