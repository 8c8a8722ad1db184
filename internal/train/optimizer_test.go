package train

import (
	"errors"
	"math"
	"testing"

	"optim/internal/autodiff"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// TestOptimizers makes three steps on Σ w²·x, as the fixture does in PyTorch.
func TestOptimizers(t *testing.T) {
	var want map[string][][]float64
	fixture(t, "optimizers", &want)
	for _, name := range Optimizers {
		t.Run(name, func(t *testing.T) {
			tr := quadratic(t, Options{Optimizer: name, Rate: 0.1, Momentum: 0.9, WeightDecay: 0.05, Steps: 3}, 1)
			for step, w := range want[name] {
				if _, err := tr.Step(t.Context(), fillX(tr)); err != nil {
					t.Fatal(err)
				}
				for i, x := range tr.w.value {
					if math.Abs(float64(x)-w[i]) > 1e-5*max(1, math.Abs(w[i])) {
						t.Fatalf("step %d: w[%d] = %v, PyTorch's %v", step, i, x, w[i])
					}
				}
			}
		})
	}
}

// TestAccumulate: two equal batches give the step of one.
func TestAccumulate(t *testing.T) {
	for _, clip := range []float64{0, 0.5} {
		var got [2][]float32
		for i, n := range []int{1, 4} {
			tr := quadratic(t, Options{Optimizer: "sgd", Rate: 0.1, Accumulate: n, Clip: clip, Steps: 2}, 1)
			for range 2 {
				if _, err := tr.Step(t.Context(), fillX(tr)); err != nil {
					t.Fatal(err)
				}
			}
			got[i] = tr.w.value
		}
		for i := range got[0] {
			if math.Abs(float64(got[0][i]-got[1][i])) > 1e-6 {
				t.Fatalf("clip %v: %v with one batch, %v with four", clip, got[0], got[1])
			}
		}
	}
}

// TestChunks: weights larger than a chunk, with and without decay, get the same step
// as the first ones.
func TestChunks(t *testing.T) {
	o := Options{Optimizer: "adamw", Rate: 0.1, WeightDecay: 0.5, Steps: 1}
	const copies = chunk/6 + 3
	one, many := quadratic(t, o, 1), quadratic(t, o, copies)
	for _, tr := range []*Trainer{one, many} {
		if _, err := tr.Step(t.Context(), fillX(tr)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(many.opt.steps); n != 2 {
		t.Fatalf("%d chunks", n)
	}
	for i, x := range many.w.value {
		if x != one.w.value[i%6] {
			t.Fatalf("element %d is %v, not %v", i, x, one.w.value[i%6])
		}
	}
}

func TestClip(t *testing.T) {
	tr := quadratic(t, Options{Optimizer: "sgd", Rate: 1, Clip: 0.25, Steps: 1}, 1)
	before := append([]float32{}, tr.w.value...)
	l, err := tr.Step(t.Context(), fillX(tr))
	if err != nil {
		t.Fatal(err)
	}
	moved := 0.0
	for i, x := range tr.w.value {
		moved += math.Pow(float64(x-before[i]), 2)
	}
	if l.Norm < 1 || math.Abs(math.Sqrt(moved)-0.25) > 1e-5 {
		t.Errorf("gradient of length %v clipped to %v", l.Norm, math.Sqrt(moved))
	}
}

func TestRateAt(t *testing.T) {
	for _, c := range []struct {
		schedule string
		t        int
		want     float64
	}{
		{"constant", 1, 0.5}, {"constant", 2, 1}, {"constant", 12, 1},
		{"linear", 3, 1}, {"linear", 8, 0.5}, {"linear", 12, 0.1},
		{"cosine", 3, 1}, {"cosine", 8, 0.5}, {"cosine", 12, 0.5 * (1 + math.Cos(0.9*math.Pi))},
	} {
		o := Options{Rate: 1, Warmup: 2, Steps: 12, Schedule: c.schedule}
		if got := o.RateAt(c.t); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: rate of step %d is %v, not %v", c.schedule, c.t, got, c.want)
		}
	}
}

func TestDiverged(t *testing.T) {
	tr := quadratic(t, Options{Optimizer: "sgd", Rate: 1e38, Steps: 9}, 1)
	for range 9 {
		if _, err := tr.Step(t.Context(), fillX(tr)); err != nil {
			return
		}
	}
	t.Error("nine steps of 1e38 went well")
}

// quadratic trains copies of six numbers w on Σ w²·x, all with weight decay.
func quadratic(t *testing.T, o Options, copies int) *Trainer {
	t.Helper()
	shape := tensor.Shape{int64(copies), 6}
	typ := autodiff.Type{DType: tensor.Float32, Shape: shape}
	g := autodiff.NewGraph()
	g.Input("w", typ)
	g.Input("x", typ)
	var first []float32
	for range copies {
		first = append(first, 1, -2, 0.5, 3, -0.1, 0)
	}
	m := Model{Graph: g, Loss: g.Total(g.Mul(g.Mul("w", "w"), "x")), Weights: []Weight{{Name: "w", Shape: shape, First: first, Decay: true}}}
	tr, err := New(orttest.Runtime(t), m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

func fillX(tr *Trainer) func(int) error {
	return func(int) error {
		x := tensor.As[float32](tr.Inputs()["x"].Data)
		for i := range x {
			x[i] = []float32{0.3, -0.7, 1.1, 0.2, -0.9, 0.4}[i%6]
		}
		return nil
	}
}

// TestStateOfFailedStep: running values that a step has moved are as before when it fails.
func TestStateOfFailedStep(t *testing.T) {
	typ := autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{1}}
	g := autodiff.NewGraph()
	g.Input("w", typ)
	g.Input("s", typ)
	m := Model{
		Graph: g, Loss: g.Total(g.Mul("w", "w")), Weights: []Weight{{Name: "w", Shape: typ.Shape, First: []float32{1}}},
		State: map[string]State{"s": {Next: g.Add("s", g.Full(typ, 1)), First: []float32{0}}},
	}
	tr, err := New(orttest.Runtime(t), m, Options{Optimizer: "sgd", Rate: 0.1, Steps: 2, Accumulate: 2, Schedule: "constant"})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	failing := errors.New("no batch")
	if _, err := tr.Step(t.Context(), func(i int) error {
		if i == 1 {
			return failing
		}
		return nil
	}); !errors.Is(err, failing) || tr.state["s"][0] != 0 {
		t.Errorf("after a step that failed (%v) the state is %v", err, tr.state["s"])
	}
	if _, err := tr.Step(t.Context(), func(int) error { return nil }); err != nil || tr.state["s"][0] != 2 {
		t.Errorf("after a step (%v) the state is %v", err, tr.state["s"])
	}
}
