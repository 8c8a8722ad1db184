package gate

import (
	"math"
	"testing"

	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/workload"
)

func TestDifference(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	none := math.Inf(1)
	for _, c := range []struct {
		x, y   []float32
		cos    float64
		broken int
	}{
		{nil, nil, none, -1},
		{[]float32{1, 2}, []float32{1, 2}, 1, -1},
		{[]float32{1, 2}, []float32{-2, -4}, -1, -1},
		{[]float32{1, 0}, []float32{0, 1}, 0, -1},
		{[]float32{0, 0}, []float32{0, 0}, none, -1},
		{[]float32{0, 0}, []float32{1, 0}, none, -1}, // no direction to differ from
		{[]float32{1, 2}, []float32{0, 0}, 0, -1},
		{[]float32{1, 2}, []float32{1, nan}, 0, 1},
		{[]float32{1, 2}, []float32{-inf, 2}, 0, 0},
		{[]float32{nan, 2}, []float32{nan, 2}, 1, -1},
		{[]float32{inf, 2}, []float32{7, 2}, 1, -1},
		{[]float32{3e38, 3e38}, []float32{3e38, 3e38}, 1, -1},
	} {
		cos, broken := difference(c.x, c.y)
		if math.Abs(cos-c.cos) > 1e-12 || broken != c.broken {
			t.Errorf("%v, %v: %v, %d; want %v, %d", c.x, c.y, cos, broken, c.cos, c.broken)
		}
	}
}

// TestLeastCosineCounts: a small output that is wrong shows beside a large one
// that is right.
func TestLeastCosineCounts(t *testing.T) {
	one := func(v ...float32) tensor.Tensor { return tensor.Of(tensor.Float32, tensor.Shape{int64(len(v))}, v) }
	info := func(name string) ort.Info {
		return ort.Info{Name: name, DType: tensor.Float32, Dims: []int64{-1}, Symbols: []string{"n"}}
	}
	r := &run{verdict: &Verdict{}, inputs: &workload.Found{From: "made-up inputs"}}
	before := outcome{outputs: []ort.Info{info("large"), info("small")}, values: map[string]tensor.Tensor{
		"large": one(1e6, 2e6), "small": one(1, 0)}}
	after := outcome{values: map[string]tensor.Tensor{"large": one(1e6, 2e6), "small": one(0, 1)}}
	if err := r.judge(before, after); err != nil || *r.verdict.Cosine != 0 || len(r.verdict.Warnings) != 1 {
		t.Fatalf("%v, %+v", err, r.verdict)
	}
	after.values["small"] = one(float32(math.NaN()), 1, 2)
	if err := r.judge(before, after); err == nil {
		t.Error("NaN passes where the size differs")
	}
	after.values["small"] = tensor.Of(tensor.Float32, tensor.Shape{1, 2}, []float32{1, 0})
	if err := r.judge(before, after); err == nil {
		t.Error("another rank passes")
	}
}

func TestSameInterface(t *testing.T) {
	info := func(name string, d tensor.DType, dims ...int64) ort.Info {
		return ort.Info{Name: name, DType: d, Dims: dims, Symbols: make([]string, len(dims))}
	}
	a := outcome{inputs: []ort.Info{info("x", tensor.Float32, -1, 8)}, outputs: []ort.Info{info("y", tensor.Float32, -1, 2)}}
	for name, c := range map[string]struct {
		in, out ort.Info
		ok      bool
	}{
		"same":           {a.inputs[0], a.outputs[0], true},
		"input fixed":    {info("x", tensor.Float32, 1, 8), a.outputs[0], false},
		"input opened":   {info("x", tensor.Float32, -1, -1), a.outputs[0], false},
		"output fixed":   {a.inputs[0], info("y", tensor.Float32, 1, 2), true},
		"output opened":  {a.inputs[0], info("y", tensor.Float32, -1, -1), true},
		"output differs": {a.inputs[0], info("y", tensor.Float32, -1, 3), false},
		"no rank":        {a.inputs[0], info("y", tensor.Float32), true},
		"other rank":     {a.inputs[0], info("y", tensor.Float32, 2), false},
		"other type":     {info("x", tensor.Float16, -1, 8), a.outputs[0], false},
		"other name":     {a.inputs[0], info("z", tensor.Float32, -1, 2), false},
	} {
		b := outcome{inputs: []ort.Info{c.in}, outputs: []ort.Info{c.out}}
		if err := sameInterface(a, b, false); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHalfInterface: only where it was asked for, and only from float32 to a
// float of 16 bits, may a type change.
func TestHalfInterface(t *testing.T) {
	side := func(d tensor.DType) outcome {
		one := []ort.Info{{Name: "x", DType: d, Dims: []int64{2}, Symbols: []string{""}}}
		return outcome{inputs: one, outputs: one}
	}
	for _, c := range []struct {
		from, to tensor.DType
		ok       bool
	}{
		{tensor.Float32, tensor.Float16, true}, {tensor.Float32, tensor.BFloat16, true},
		{tensor.Float16, tensor.Float32, false}, {tensor.Float32, tensor.Float64, false},
		{tensor.Float32, tensor.Int16, false}, {tensor.Int64, tensor.Float16, false},
	} {
		if err := sameInterface(side(c.from), side(c.to), true); (err == nil) != c.ok {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
		if sameInterface(side(c.from), side(c.to), false) == nil {
			t.Errorf("%s to %s passes without being asked for", c.from, c.to)
		}
	}
}

func TestBlame(t *testing.T) {
	for _, c := range []struct {
		err  error
		exit error
	}{
		{&eval.OutputError{Model: "the source", Output: "y", What: "NaN"}, ErrSource},
		{&eval.OutputError{Model: "the result", Output: "y", What: "NaN"}, ErrResult},
	} {
		if got := blameModel(c.err); !isOnly(got, c.exit) {
			t.Errorf("%v: %v", c.err, got)
		}
	}
	data := &dataset.Error{File: "x.npz", Err: ErrLimit}
	if got := blameModel(data); got != error(data) {
		t.Errorf("an error of the data became %v", got)
	}
	if got := blameSource(data); got != error(data) {
		t.Errorf("an error of the data became %v", got)
	}
}

// TestSpeedVerdict: the lower end of the interval has to reach the limit.
func TestSpeedVerdict(t *testing.T) {
	for _, c := range []struct {
		speed    Speed
		min      float64
		missed   bool
		warnings int
	}{
		{Speed{Speedup: 2, Low: 1.9, High: 2.1}, 0, false, 0},
		{Speed{Speedup: 2, Low: 1.9, High: 2.1}, 1.9, false, 0},
		{Speed{Speedup: 2, Low: 1.89, High: 2.1}, 1.9, true, 0},
		{Speed{Speedup: math.NaN(), Low: math.NaN(), High: math.NaN()}, 1.9, true, 0},
		{Speed{Speedup: 0.9, Low: 0.8, High: 0.99}, 0, false, 1},
		{Speed{Speedup: 0.9, Low: 0.8, High: 1}, 0, false, 0},
	} {
		r := &run{verdict: &Verdict{Speed: &c.speed}, Options: Options{MinSpeedup: c.min}}
		r.judgeSpeed()
		if (len(r.verdict.Missed) > 0) != c.missed || len(r.verdict.Warnings) != c.warnings {
			t.Errorf("%+v at least %v: %+v", c.speed, c.min, r.verdict)
		}
	}
}

// TestQualityVerdict: retention has to be greater than the limit, not equal.
func TestQualityVerdict(t *testing.T) {
	for _, c := range []struct {
		kept, loss float64
		missed     bool
	}{{0.96, 0.05, false}, {0.95, 0.05, true}, {0.5, 0.5, true}, {1, 0, true}, {1.001, 0, false}, {0, 1, true}, {0.01, 1, false}, {math.NaN(), 1, true}} {
		r := &run{verdict: &Verdict{}, Options: Options{MaxLoss: c.loss}}
		r.judgeQuality(&Quality{Metric: "accuracy", Retention: &c.kept})
		if (len(r.verdict.Missed) > 0) != c.missed {
			t.Errorf("%v kept of at most %v lost: %+v", c.kept, c.loss, r.verdict.Missed)
		}
	}
	r := &run{verdict: &Verdict{}}
	if r.judgeQuality(&Quality{Metric: "mse", Value: 9}); len(r.verdict.Missed) > 0 {
		t.Errorf("mse has a limit: %+v", r.verdict.Missed)
	}
}
