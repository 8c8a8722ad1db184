package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

func TestIdenticalModelPasses(t *testing.T) {
	o := digits(t).withTest(t)
	o.Measure = "on"
	v := mustRun(t, o)
	if v.Cosine == nil || *v.Cosine < 0.999999 || len(v.Missed) > 0 || v.BytesAfter == 0 || v.External {
		t.Errorf("%+v", v)
	}
	if q := v.Quality; q == nil || q.Metric != "accuracy" || *q.Retention != 1 || *q.Limit != 1-DefaultMaxLoss || q.Samples != 50 {
		t.Errorf("quality %+v", q)
	}
	if s := v.Speed; s == nil || !(s.Low <= s.Speedup && s.Speedup <= s.High && s.Before > 0 && s.After > 0) {
		t.Errorf("speed %+v", s)
	}
	if v.Opset != 13 || v.Needs != "1.6" || v.Kernels["Gemm"]+v.Kernels["FusedGemm"] == 0 {
		t.Errorf("opset %d, needs %q, kernels %v", v.Opset, v.Needs, v.Kernels)
	}
	if left := leftIn(t, filepath.Dir(o.Output.Path)); !slices.Equal(left, []string{"out.onnx"}) {
		t.Errorf("left %q", left)
	}
	orttest.Session(t, o.Output.Path, ort.Options{})
}

func TestMissedLimits(t *testing.T) {
	for name, change := range map[string]func(o *Options){
		"quality": func(o *Options) { o.MaxLoss = 0 }, // equal is not better
		"speed":   func(o *Options) { o.MinSpeedup = 1000 },
		"size":    func(o *Options) { o.MaxSize = 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			o := digits(t).withTest(t)
			o.Measure, o.Advice = "auto", map[string]string{name: "this"}
			change(&o)
			v, err := Run(context.Background(), o)
			if !errors.Is(err, ErrLimit) || len(v.Missed) != 1 || v.Missed[0].Limit != name || v.Missed[0].Detail == "" || v.Missed[0].Try != "this" {
				t.Fatalf("%v, missed %+v", err, v.Missed)
			}
			if v.BytesAfter == 0 || v.Quality == nil || v.Speed == nil {
				t.Errorf("the verdict is not complete: %+v", v)
			}
			wantNothing(t, o.Output.Path)
		})
	}
}

// TestBrokenResults compares models that differ in what they compute.
func TestBrokenResults(t *testing.T) {
	dir := t.TempDir()
	source := save(t, filepath.Join(dir, "source.onnx"), unary("Abs", 1, 1, 8))
	for name, c := range map[string]struct {
		result *onnx.Model
		want   string // in the error; empty: a warning
	}{
		"not a number":   {unary("Log", -1, 1, 8), `output "y" is`},
		"infinite":       {unary("Reciprocal", 0, 1, 8), `output "y" is`},
		"other shape":    {unary("Abs", 1, 1, 9), `is "x" float32[1 x 9]`},
		"other input":    {renamed(unary("Abs", 1, 1, 8), "x", "z"), `is "z"`},
		"more outputs":   {moreOutputs(unary("Abs", 1, 1, 8)), "2 outputs"},
		"does not load":  {unary("Conv", 1, 1, 8), "does not hold"},
		"other sign":     {unary("Neg", 1, 1, 8), ""},
		"nothing at all": {unary("Abs", 0, 1, 8), ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, source, c.result, filepath.Join(t.TempDir(), "out.onnx"))
			v, err := Run(context.Background(), o)
			if c.want == "" {
				if err != nil || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "differs much") || *v.Cosine > strange {
					t.Fatalf("%v, %+v", err, v)
				}
				return
			}
			if !errors.Is(err, ErrResult) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			wantNothing(t, o.Output.Path)
		})
	}
}

func renamed(m *onnx.Model, from, to string) *onnx.Model {
	m.Graph.Inputs[0].Name = to
	m.Graph.RenameUses(from, to)
	return m
}

func moreOutputs(m *onnx.Model) *onnx.Model {
	m.Graph.Outputs = append(m.Graph.Outputs, onnxtest.Value("h", tensor.Float32, 1, 8))
	return m
}

// TestOpenSizesStayOpen: a result that takes one size only is not the same
// model, one that takes more is none the worse.
func TestOpenSizesStayOpen(t *testing.T) {
	dir := t.TempDir()
	free := func() *onnx.Model { return unary("Abs", 1, -1, 8) }
	fixed := func() *onnx.Model { return unary("Abs", 1, 1, 8) }
	o := options(t, save(t, filepath.Join(dir, "a.onnx"), free()), fixed(), filepath.Join(t.TempDir(), "out.onnx"))
	if _, err := Run(context.Background(), o); !errors.Is(err, ErrResult) {
		t.Fatalf("an input was fixed: %v", err)
	}
	o.Result = free()
	mustRun(t, o)
}

// nonZero is a model of data-dependent size: where op(x) is not zero.
func nonZero(op string) *onnx.Model {
	m := unary(op, 1, 1, 64)
	m.Graph.Nodes = append(m.Graph.Nodes,
		onnx.NewNode("NonZero", "nz", []string{"y"}, []string{"at"}),
		onnx.NewNode("Cast", "cast", []string{"at"}, []string{"real"}, onnx.IntAttr("to", 1)))
	m.Graph.Outputs = []*onnx.ValueInfo{onnxtest.Value("at", tensor.Int64, 2, -1), onnxtest.Value("real", tensor.Float32, 2, -1)}
	return m
}

func TestSizesThatDependOnData(t *testing.T) {
	dir := t.TempDir()
	source := save(t, filepath.Join(dir, "a.onnx"), nonZero("Relu"))
	o := options(t, source, nonZero("Abs"), filepath.Join(t.TempDir(), "out.onnx"))
	o.Measure = "on"
	v := mustRun(t, o)
	if len(v.Warnings) == 0 || !strings.Contains(v.Warnings[0], "depends on the data") || v.Speed == nil {
		t.Fatalf("%+v", v)
	}
}

func TestForceReplacesAndRemovesStaleData(t *testing.T) {
	o := digits(t)
	o.Output.External = "always"
	if v := mustRun(t, o); !v.External {
		t.Fatal("no external data")
	}
	orttest.Session(t, o.Output.Path, ort.Options{})
	if left := leftIn(t, filepath.Dir(o.Output.Path)); !slices.Equal(left, []string{"out.onnx", "out.onnx.data"}) {
		t.Fatalf("left %q", left)
	}
	var refused *OutputError
	if _, err := Run(context.Background(), o); !errors.As(err, &refused) {
		t.Fatalf("overwritten unasked: %v", err)
	}
	o.Output.Force = true
	mustRun(t, o)
	o.Output.External = "never"
	mustRun(t, o)
	if left := leftIn(t, filepath.Dir(o.Output.Path)); !slices.Equal(left, []string{"out.onnx"}) {
		t.Fatalf("left %q", left)
	}
	orttest.Session(t, o.Output.Path, ort.Options{})
	// Data that no model refers to is not ours to remove.
	write(t, o.Output.data(), "somebody's")
	mustRun(t, o)
	if b, err := os.ReadFile(o.Output.data()); err != nil || string(b) != "somebody's" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestDataThatStandsInTheWay: the model's own name is free, that of the data is
// not, and it turns out only when the data is to be placed.
func TestDataThatStandsInTheWay(t *testing.T) {
	dir := t.TempDir()
	s := &staging{Target: Target{Path: filepath.Join(dir, "x.onnx")}, folder: t.TempDir()}
	s.model, s.weight = filepath.Join(s.folder, "x.onnx"), filepath.Join(s.folder, "x.onnx.data")
	write(t, s.model, "new")
	write(t, s.weight, "new data")
	write(t, s.data(), "theirs")
	var refused *OutputError
	if err := s.commit(true); !errors.As(err, &refused) {
		t.Fatalf("error %v", err)
	}
	if left := leftIn(t, dir); !slices.Equal(left, []string{"x.onnx.data"}) {
		t.Errorf("left %q", left)
	}
}

// TestCancelAtEveryStage stops a run when each of its stages begins and ends.
func TestCancelAtEveryStage(t *testing.T) {
	seen := map[string]bool{}
	stop := func(at string) error {
		o := digits(t).withTest(t)
		o.Measure, o.Output.External = "on", "always"
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		o.Progress = func(stage string, done, total int64) {
			key := fmt.Sprintf("%s %t", stage, total > 0 && done == total)
			seen[key] = true
			if key == at {
				cancel()
				waitForNothing(t, o.Output.Path) // the process may end before the run does
			}
		}
		_, err := Run(ctx, o)
		if at != "" {
			wantNothing(t, o.Output.Path)
		}
		return err
	}
	if err := stop(""); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{"writing", "comparing", "evaluating", "timing"} {
		if !seen[stage+" false"] {
			t.Fatalf("stage %q was not seen: %v", stage, seen)
		}
	}
	for key := range seen {
		if err := stop(key); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped at %s: %v", key, err)
		}
	}
}

// waitForNothing waits until the folder of the output is empty.
func waitForNothing(t *testing.T, output string) {
	t.Helper()
	for range 500 {
		if left, err := os.ReadDir(filepath.Dir(output)); err == nil && len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the staged result is still there")
}

// TestCommitsToOneOutput: without force exactly one of several stagings gets the
// name; with it all do in turn, and model and data are of one of them.
func TestCommitsToOneOutput(t *testing.T) {
	for _, force := range []bool{false, true} {
		dir := t.TempDir()
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			s := &staging{Target: Target{Path: filepath.Join(dir, "out.onnx"), Force: force}, folder: t.TempDir()}
			s.model, s.weight = filepath.Join(s.folder, "out.onnx"), filepath.Join(s.folder, "out.onnx.data")
			write(t, s.model, fmt.Sprint(i))
			write(t, s.weight, fmt.Sprint(i))
			wg.Go(func() { errs[i] = s.commit(true) })
		}
		wg.Wait()
		won := 0
		var refused *OutputError
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case force || !errors.As(err, &refused):
				t.Errorf("force %t: %v", force, err)
			}
		}
		if !force && won != 1 {
			t.Errorf("%d commits won", won)
		}
		if left := leftIn(t, dir); !slices.Equal(left, []string{"out.onnx", "out.onnx.data"}) {
			t.Errorf("left %q", left)
		}
		model, _ := os.ReadFile(filepath.Join(dir, "out.onnx"))
		data, _ := os.ReadFile(filepath.Join(dir, "out.onnx.data"))
		if string(model) != string(data) {
			t.Errorf("force %t: model %q with data %q", force, model, data)
		}
	}
}

// TestRunsTakeTurns: a second run waits, and waiting can be cancelled.
func TestRunsTakeTurns(t *testing.T) {
	o := digits(t)
	ctx, cancel := context.WithCancel(context.Background())
	o.Progress = func(string, int64, int64) {
		other := digits(t)
		cancel()
		if _, err := Run(ctx, other); !errors.Is(err, context.Canceled) {
			t.Errorf("a run within a run: %v", err)
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestSourceThatFails(t *testing.T) {
	dir := t.TempDir()
	unknown := save(t, filepath.Join(dir, "unknown.onnx"), unary("Frobnicate", 1, 1, 8))
	if _, err := Run(context.Background(), options(t, unknown, unary("Abs", 1, 1, 8), filepath.Join(t.TempDir(), "o.onnx"))); !errors.Is(err, ErrSource) {
		t.Errorf("unknown operator: %v", err)
	}
	o := digits(t).withTest(t)
	o.Probe.Source = testdata(t, "sts/sentences.txt")
	var data *dataset.Error
	if _, err := Run(context.Background(), o); !errors.As(err, &data) || errors.Is(err, ErrSource) {
		t.Errorf("text for a model of pictures: %v", err)
	}
	wantNothing(t, o.Output.Path)
}

// TestSourceThatNeverRuns: three rows cannot be reshaped to a size that no
// candidate has.
func TestSourceThatNeverRuns(t *testing.T) {
	m := func() *onnx.Model {
		m := unary("Abs", 1, -1, -1)
		m.Graph.Initializers = append(m.Graph.Initializers, onnxtest.Ints("shape", 1, 7, 11))
		m.Graph.Nodes[1].Outputs[0] = "a"
		m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("Reshape", "reshape", []string{"a", "shape"}, []string{"y"}))
		m.Graph.Outputs[0] = onnxtest.Value("y", tensor.Float32, 1, 7, 11)
		return m
	}
	o := options(t, save(t, filepath.Join(t.TempDir(), "a.onnx"), m()), m(), filepath.Join(t.TempDir(), "out.onnx"))
	o.Measure = "on"
	v := mustRun(t, o)
	if len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "give --dim or --shape") || v.Speed != nil || v.Cosine != nil {
		t.Errorf("%+v", v)
	}
	o.Output.Force, o.MinSpeedup = true, 1
	if v, err := Run(context.Background(), o); !errors.Is(err, ErrLimit) || v.Missed[0].Limit != "speed" {
		t.Errorf("a speed that cannot be measured: %v", err)
	}
	o.MinSpeedup = 0
	o.Probe.Read.Shapes = map[string]tensor.Shape{"x": {1, 77}}
	if v := mustRun(t, o); v.Cosine == nil {
		t.Errorf("with --shape: %+v", v)
	}
}

// TestMappedSessions takes the way of large models.
func TestMappedSessions(t *testing.T) {
	for _, model := range []string{"digits-mlp.onnx", "digits-mlp-ext.onnx"} {
		o := digits(t).withTest(t)
		o.Source = open(t, testdata(t, "models/digits-mlp/"+model))
		r := &run{Options: o, ctx: context.Background(), verdict: &Verdict{}}
		var err error
		if r.stage, err = newStaging(o.Output, o.Source); err != nil {
			t.Fatal(err)
		}
		defer r.close()
		if err := r.write(); err != nil {
			t.Fatal(err)
		}
		if err := r.pair(r.openMapped, r.quality); err != nil || r.verdict.Quality.Samples != 50 || *r.verdict.Quality.Retention != 1 {
			t.Errorf("%s: %v, %+v", model, err, r.verdict.Quality)
		}
	}
}
