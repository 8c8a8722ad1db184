package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
	"optim/internal/workload"
)

// TestMain lets the tests' own program be the worker.
func TestMain(m *testing.M) {
	if IsWorker(os.Args[1:]) {
		if err := Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	switch {
	case slices.Equal(os.Args[1:], []string{noiseArg}):
		makeNoise()
		return
	case slices.Equal(os.Args[1:], []string{mortalArg}):
		workUntilTwo()
		return
	}
	os.Exit(m.Run())
}

func testdata(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(orttest.Root(t), "testdata", filepath.FromSlash(name))
}

// short are options of a measurement that takes no longer than it must.
func short(t testing.TB, paths ...string) Options {
	t.Helper()
	o := Options{Library: ort.Config{Library: orttest.Library(t)}, Runs: 8, Warmup: 1, Restarts: 2, By: ByThreads}
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			p = testdata(t, p)
		}
		o.Paths = append(o.Paths, p)
	}
	return o
}

func mustRun(t testing.TB, o Options) *Result {
	t.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const digits, gpt = "models/digits-mlp/digits-mlp.onnx", "models/tinygpt-s/tinygpt-s.onnx"

// TestRunFields: every figure of a comparison is there and makes sense.
func TestRunFields(t *testing.T) {
	o := short(t, gpt, gpt)
	o.Eval = Eval{Source: testdata(t, "text/valid.txt"), Read: dataset.Options{
		Samples: 4, Tokenizer: testdata(t, "models/tinygpt/tokenizer.json")}}
	r := mustRun(t, o)
	e := r.Environment
	if e.ORT == "" || e.CPU.Threads < 1 || e.Threads < 1 || !(e.ClockNS > 0) || e.Restarts != 2 || e.Peaks == nil {
		t.Errorf("environment %+v", e)
	}
	if len(r.Models) != 2 || r.Models[0].Name != "tinygpt-s.onnx" || r.Models[1].Name != "tinygpt-s.onnx (2)" {
		t.Fatalf("rows %+v", r.Models)
	}
	for _, m := range r.Models {
		l := m.Latency
		if m.Runs != 8 || len(m.Samples) != 8 || len(m.Launches) != 2 || m.Batch != 1 || m.Concurrency != 1 || m.Provider != "cpu" {
			t.Errorf("%s: %+v", m.Name, m)
		}
		ordered := []float64{l.Min, l.P50, l.P90, l.P95, l.P99, l.Max}
		if !(l.Min > 0) || !slices.IsSorted(ordered) || l.Mean < l.Min || l.Mean > l.Max {
			t.Errorf("%s: times %+v", m.Name, l)
		}
		if !(*m.Throughput > 0) || *m.Tokens < 127**m.Throughput || *m.Tokens > 129**m.Throughput {
			t.Errorf("%s: %v items/s, %v tokens/s", m.Name, *m.Throughput, *m.Tokens)
		}
		if !(m.BaseRSS > 0) || m.PeakRSS < m.BaseRSS+m.Bytes/2 || m.SteadyRSS > m.PeakRSS {
			t.Errorf("%s: memory %d, %d, %d", m.Name, m.BaseRSS, m.SteadyRSS, m.PeakRSS)
		}
		if !(m.Cold.Load > 0) || !(m.Cold.First > 0) || m.MACs == nil || *m.MACs < 80e6 || m.GFLOPS == nil || m.Roofline == nil {
			t.Errorf("%s: cold %+v, %v MACs, %v GFLOP/s, %v", m.Name, m.Cold, m.MACs, m.GFLOPS, m.Roofline)
		}
		if m.Quality == nil || m.Quality.Metric != "perplexity" || m.Quality.Samples != 4 || m.Nodes["cpu"] < 10 {
			t.Errorf("%s: quality %+v, nodes %v", m.Name, m.Quality, m.Nodes)
		}
	}
	if len(r.Comparisons) != 1 || !(r.Comparisons[0].Low <= r.Comparisons[0].Speedup && r.Comparisons[0].Speedup <= r.Comparisons[0].High) {
		t.Errorf("comparisons %+v", r.Comparisons)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// TestRunCounts: as many runs as asked for, whatever the restarts.
func TestRunCounts(t *testing.T) {
	for _, c := range [][3]int{{1, 5, 1}, {7, 3, 3}, {40, 1, 1}} {
		o := short(t, digits)
		o.Runs, o.Restarts = c[0], c[1]
		if r := mustRun(t, o); r.Models[0].Runs != c[0] || len(r.Models[0].Launches) != c[2] {
			t.Errorf("%d runs in %d restarts: %d in %d", c[0], c[1], r.Models[0].Runs, len(r.Models[0].Launches))
		}
	}
}

// TestSettings: batches and streams are rows of their own, and count their samples.
func TestSettings(t *testing.T) {
	for _, by := range []string{ByThreads, BySessions} {
		o := short(t, digits)
		o.Batches, o.Concurrency, o.By = []int{1, 3}, []int{1, 2}, by
		o.Load.Source = testdata(t, "digits/calib.npz")
		r := mustRun(t, o)
		if len(r.Models) != 4 || r.Models[3].Batch != 3 || r.Models[3].Concurrency != 2 || r.Models[3].By != by || r.Models[3].Runs != 16 {
			t.Errorf("%s: %+v", by, r.Models)
		}
		if r.Workload.Inputs["input"] != "float32[1 x 1 x 28 x 28]" || r.Workload.Samples < 16 {
			t.Errorf("workload %+v", r.Workload)
		}
	}
}

// TestLengths: texts of many lengths, padded where they share a batch.
func TestLengths(t *testing.T) {
	o := short(t, gpt)
	lengths, err := workload.ParseLengths("5-9,30:2")
	if err != nil {
		t.Fatal(err)
	}
	o.Load.Lengths, o.Batches = lengths, []int{2}
	l := mustRun(t, o).Workload.Lengths
	if l == nil || l.Min < 5 || l.Min > 9 || l.Max != 30 {
		t.Errorf("lengths %+v", l)
	}
}

// fixed is a model with a batch of two.
func fixed(t *testing.T) string {
	m := onnxtest.Model(13, &onnx.Graph{
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, 2, 4)},
		Outputs: []*onnx.ValueInfo{onnxtest.Value("y", tensor.Float32, 2, 4)},
		Nodes:   []*onnx.Node{onnx.NewNode("Abs", "abs", []string{"x"}, []string{"y"})},
	})
	path := filepath.Join(t.TempDir(), "fixed.onnx")
	if _, err := m.WriteFile(path, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFixedBatch: the model's own batch is taken, and no other.
func TestFixedBatch(t *testing.T) {
	o := short(t, fixed(t))
	if r := mustRun(t, o); r.Models[0].Batch != 2 {
		t.Errorf("batch %d", r.Models[0].Batch)
	}
	o.Batches = []int{8}
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "batch size is 2, and cannot be 8") {
		t.Errorf("a batch of 8: %v", err)
	}
}

// TestErrors keep what they are across the border of processes.
func TestErrors(t *testing.T) {
	bad := func(change func(*Options)) error {
		o := short(t, digits)
		change(&o)
		r, err := Run(context.Background(), o)
		if err == nil || r == nil {
			t.Fatalf("no error: %+v", o)
		}
		return err
	}
	if err := bad(func(o *Options) { o.Library.Library = "nowhere.so" }); !errors.Is(err, ort.ErrLibrary) || strings.Contains(err.Error(), ".onnx") {
		t.Errorf("a missing library: %v", err)
	}
	if err := bad(func(o *Options) { o.Session.Providers = []string{"cuda"} }); !errors.Is(err, ort.ErrProvider) || !strings.Contains(err.Error(), `"cuda"`) {
		t.Errorf("a missing provider: %v", err)
	}
	if err := bad(func(o *Options) { o.Paths[0] = testdata(t, "bad/truncated.onnx") }); !strings.Contains(err.Error(), "truncated.onnx") {
		t.Errorf("a bad model: %v", err)
	}
	if err := bad(func(o *Options) { o.Session.CustomOps = "nothing.so" }); strings.Count(err.Error(), "digits-mlp.onnx: ") != 1 || !strings.Contains(err.Error(), "nothing.so") {
		t.Errorf("missing operators: %v", err)
	}
	if err := bad(func(o *Options) { o.Load.Source = "nothing.npz" }); !strings.Contains(err.Error(), "nothing.npz") {
		t.Errorf("missing data: %v", err)
	}
	if err := bad(func(o *Options) { o.Load.Read.Shapes = map[string]tensor.Shape{"input": {1, 3, 28, 28}} }); !strings.Contains(err.Error(), "input") {
		t.Errorf("a shape that does not fit: %v", err)
	}
	if err := bad(func(o *Options) { o.Worker = Command{"/bin/false", []string{"false"}} }); !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("a worker that dies: %v", err)
	}
}

// TestInterrupt: what was measured until then is there.
func TestInterrupt(t *testing.T) {
	o := short(t, digits)
	o.Runs, o.Duration, o.Restarts = 0, time.Hour, 1000
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o.Progress = func(what string, done, total int64) {
		if done == 2 {
			cancel()
		}
	}
	r, err := Run(ctx, o)
	if !errors.Is(err, context.Canceled) || !r.Interrupted || len(r.Models) != 1 || len(r.Models[0].Launches) < 2 {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestUniqueNames(t *testing.T) {
	got := uniqueNames([]string{"a/x.onnx", "b/x.onnx", "y.onnx", "a/x.onnx"})
	if want := []string{"a/x.onnx", "b/x.onnx", "y.onnx", "a/x.onnx (2)"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestShare: the parts add up, and differ by one at most.
func TestShare(t *testing.T) {
	for _, n := range []int{0, 1, 4, 5, 7, 100} {
		for _, k := range []int{1, 3, 5, 8} {
			sum, least, most := 0, n, 0
			for i := range k {
				s := share(n, k, i)
				sum, least, most = sum+s, min(least, s), max(most, s)
			}
			if sum != n || most-least > 1 {
				t.Errorf("%d in %d parts: sum %d, %d to %d", n, k, sum, least, most)
			}
		}
	}
}

// TestSteadiness: falling times are not stable, equal ones are; at least five runs.
func TestSteadiness(t *testing.T) {
	window := func(ns ...int64) *block { return &block{Streams: [][]int64{ns}} }
	var s steadiness
	for _, ns := range []int64{1000, 900, 820, 760} {
		s.add(window(ns, ns))
	}
	if s.done() {
		t.Error("times that fall are stable")
	}
	s.add(window(765, 755))
	s.add(window(770, 758))
	if !s.done() || s.last() != 764 {
		t.Errorf("times within 3 %%: %+v", s)
	}
	few := steadiness{}
	for range 3 {
		few.add(window(10))
	}
	if few.done() {
		t.Error("three runs are enough")
	}
}

// TestRatios: restarts are paired; of one restart the turns are.
func TestRatios(t *testing.T) {
	one := func(ms ...float64) launch {
		var l launch
		for i, x := range ms {
			l.samples = append(l.samples, Sample{Block: i, MS: x})
		}
		l.items = len(ms)
		return l
	}
	a := &track{launches: []launch{one(2, 4), one(6, 6)}}
	b := &track{launches: []launch{one(1, 1), one(2, 2), one(9, 9)}}
	if got := ratios(a, b, (*track).medians); !slices.Equal(got, []float64{3, 3}) {
		t.Errorf("restarts: %v", got)
	}
	a.launches, b.launches = a.launches[:1], b.launches[:1]
	if got := ratios(a, b, (*track).medians); !slices.Equal(got, []float64{2, 4}) {
		t.Errorf("turns: %v", got)
	}
}
