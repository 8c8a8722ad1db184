package quant_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// result is a quantized model beside its source.
type result struct {
	t       testing.TB
	plan    *quant.Plan
	source  []byte
	bytes   []byte
	model   *onnx.Model // that was quantized
	samples []map[string]tensor.Tensor
	sources []map[string]tensor.Tensor // outputs of the source, by sample
	outputs []map[string]tensor.Tensor
	kernels map[string]int
}

// sampleCount is the number of calibration samples.
const sampleCount = 8

// samples draws samples for a model; they are the same each time.
func samples(t testing.TB, s *ort.Session) (*dataset.Set, []map[string]tensor.Tensor) {
	t.Helper()
	info := dataset.ModelInfo{Inputs: s.Inputs(), Outputs: s.Outputs()}
	shapes := map[string]tensor.Shape{}
	for _, in := range info.Inputs {
		shape := tensor.Shape(in.Dims).Clone()
		for i, d := range shape {
			if d < 0 {
				shape[i] = 3
			}
		}
		shapes[in.Name] = shape
	}
	set, err := dataset.Open(dataset.Random, info, dataset.Options{Samples: sampleCount, Shapes: shapes})
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]tensor.Tensor
	for range sampleCount {
		one, err := set.Next()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, one.Inputs)
	}
	if err := set.Rewind(); err != nil {
		t.Fatal(err)
	}
	return set, list
}

// calibrated prepares a model and observes it.
func calibrated(t testing.TB, m *onnx.Model, o *quant.Options) quant.Observations {
	t.Helper()
	set, _ := samples(t, session(t, marshal(t, m)))
	values, channels := quant.Activations(m, o)
	r, err := calibrate.Run(context.Background(), orttest.Runtime(t), m, set, calibrate.Options{
		Values: values, Channels: channels, Histograms: o.Calibrator.Histograms(),
		Session: ort.Options{Threads: 1, NoSpin: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.Observations
}

// rewrite quantizes a copy of a model and returns the file's bytes.
func rewrite(t testing.TB, source []byte, o *quant.Options, workers int) ([]byte, *quant.Plan, error) {
	t.Helper()
	m := parse(t, source)
	if _, err := quant.Prepare(m, o); err != nil {
		return nil, nil, err
	}
	var obs quant.Observations
	if o.Method == quant.Static {
		obs = calibrated(t, m, o)
	}
	plan, err := quant.Quantize(context.Background(), m, o, obs, workers)
	if err != nil {
		return nil, plan, err
	}
	return marshal(t, m), plan, nil
}

// apply quantizes a model, runs both, and looks at the kernels that run.
func apply(t testing.TB, m *onnx.Model, o *quant.Options) *result {
	t.Helper()
	r := &result{t: t, source: marshal(t, m)}
	var err error
	if r.bytes, r.plan, err = rewrite(t, r.source, o, 2); err != nil {
		t.Fatalf("quantize: %v (left: %v)", err, r.plan)
	}
	r.model = parse(t, r.bytes)
	before, after := session(t, r.source), session(t, r.bytes)
	_, r.samples = samples(t, before)
	for _, in := range r.samples {
		a, err := before.Run(in)
		if err != nil {
			t.Fatalf("source: %v", err)
		}
		b, err := after.Run(in)
		if err != nil {
			t.Fatalf("result: %v", err)
		}
		r.sources, r.outputs = append(r.sources, a), append(r.outputs, b)
	}
	r.kernels = kernels(t, r.bytes, r.samples[0])
	return r
}

// kernels counts the operators that the runtime really runs.
func kernels(t testing.TB, model []byte, in map[string]tensor.Tensor) map[string]int {
	t.Helper()
	open := func(o ort.Options) (*ort.Session, error) { return orttest.Runtime(t).OpenBytes(model, o) }
	nodes, err := ort.Profile(open, ort.Options{Threads: 1, NoSpin: true}, in)
	if err != nil {
		t.Fatal(err)
	}
	return ort.KernelCounts(nodes)
}

// close checks every output against the source: relative error in the
// Frobenius norm, over all samples.
func (r *result) close(tolerance float64) *result {
	r.t.Helper()
	for name := range r.sources[0] {
		noise, signal := 0.0, 0.0
		for i, want := range r.sources {
			got, ok := r.outputs[i][name]
			if !ok || got.DType != want[name].DType || !got.Shape.Equal(want[name].Shape) {
				r.t.Fatalf("output %q is %v %v, want %v %v", name, got.DType, got.Shape, want[name].DType, want[name].Shape)
			}
			if got.DType != tensor.Float32 {
				if !bytes.Equal(got.Data, want[name].Data) {
					r.t.Fatalf("output %q of %v differs", name, got.DType)
				}
				continue
			}
			n, s := squares(tensor.As[float32](want[name].Data), tensor.As[float32](got.Data))
			noise, signal = noise+n, signal+s
		}
		if !(noise <= tolerance*tolerance*signal) {
			r.t.Errorf("output %q: squared error %.3g of %.3g is above %.3g: kernels %v", name, noise, signal, tolerance*tolerance, r.kernels)
		}
	}
	return r
}

func squares(want, got []float32) (noise, signal float64) {
	for i, w := range want {
		d := float64(w) - float64(got[i])
		noise += d * d
		signal += float64(w) * float64(w)
	}
	return noise, signal
}

// runs checks the kernels: "QLinearConv:2 Conv:0" names counts.
func (r *result) runs(want string) *result {
	r.t.Helper()
	for _, f := range strings.Fields(want) {
		var n int
		op, count, _ := strings.Cut(f, ":")
		if _, err := fmt.Sscan(count, &n); err != nil {
			r.t.Fatalf("bad expectation %q", f)
		}
		if r.kernels[op] != n {
			r.t.Errorf("%d kernels %s, want %d: %v", r.kernels[op], op, n, r.kernels)
		}
	}
	return r
}

// left checks that a node with an operator stays, for a reason that contains
// the words.
func (r *result) left(op, words string) *result {
	r.t.Helper()
	if !isLeft(r.plan, op, words) {
		r.t.Errorf("no %s left because of %q: %+v", op, words, r.plan.Unchanged)
	}
	return r
}

func isLeft(p *quant.Plan, op, words string) bool {
	return slices.ContainsFunc(p.Unchanged, func(u quant.Unchanged) bool {
		return u.Op == op && strings.Contains(u.Reason, words) && u.Node != ""
	})
}

// counts gives the operators in the file.
func (r *result) counts() map[string]int {
	out := map[string]int{}
	r.model.WalkNodes(func(n *onnx.Node) { out[n.OpType]++ })
	return out
}

// nodes checks the operators in the file as runs checks kernels.
func (r *result) nodes(want string) *result {
	r.t.Helper()
	have := r.counts()
	for _, f := range strings.Fields(want) {
		var n int
		op, count, _ := strings.Cut(f, ":")
		if _, err := fmt.Sscan(count, &n); err != nil {
			r.t.Fatalf("bad expectation %q", f)
		}
		if have[op] != n {
			r.t.Errorf("%d nodes %s, want %d: %v", have[op], op, n, have)
		}
	}
	return r
}

// floatsBelow checks that no float32 initializer has more than that many elements.
func (r *result) floatsBelow(elements int64) *result {
	r.t.Helper()
	for _, i := range r.model.Graph.Initializers {
		if i.DType == tensor.Float32 && i.Elements() > elements {
			r.t.Errorf("initializer %q of %v is still float32", i.Name, i.Shape)
		}
	}
	return r
}
