package bench

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"optim/internal/measure"
)

// saved writes a result as "optim bench --json" does.
func saved(t testing.TB, r *Result) string {
	t.Helper()
	text, err := json.Marshal(struct {
		Command string `json:"command"`
		*Result
	}{"bench", r})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "base.json")
	if err := os.WriteFile(file, text, 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBaseline compares with an earlier result; one of another machine, scenario
// or input is refused before the model has run for long.
func TestBaseline(t *testing.T) {
	o := short(t, digits)
	first := mustRun(t, o)
	base, err := ReadBaseline(saved(t, first))
	if err != nil {
		t.Fatal(err)
	}
	o.Baseline = base
	r := mustRun(t, o)
	if r.Baseline != base.File || len(r.Comparisons) != 1 || r.Comparisons[0].Other != "digits-mlp.onnx" {
		t.Errorf("%+v", r.Comparisons)
	}
	for what, change := range map[string]func(*Result){
		"processor":    func(r *Result) { r.Environment.CPU.Model = "another" },
		"threads":      func(r *Result) { r.Environment.Threads += 7 },
		"ONNX Runtime": func(r *Result) { r.Environment.ORT = "1.0.0" },
		"scenario":     func(r *Result) { r.Scenario = Offline },
		"inputs":       func(r *Result) { r.Workload.Inputs = map[string]string{"input": "float32[8 x 1 x 28 x 28]"} },
		"none of the models": func(r *Result) {
			r.Models = []Row{{Name: "digits-mlp.onnx", Provider: "cpu", Batch: 7, Concurrency: 1, Launches: []float64{1, 2}}}
		},
	} {
		other := *first
		change(&other)
		if o.Baseline, err = ReadBaseline(saved(t, &other)); err != nil {
			t.Fatal(err)
		}
		_, err := Run(t.Context(), o)
		var refused *BaselineError
		if !errors.As(err, &refused) || !strings.Contains(refused.Why, what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestBaselineOfSweep: the best settings are compared, by what a sample takes, though
// they be different ones; other samples are refused.
func TestBaselineOfSweep(t *testing.T) {
	o := short(t, digits)
	o.Scenario, o.Batches, o.Concurrency = Offline, []int{2}, []int{1}
	first := mustRun(t, o)
	row := &first.Models[0]
	if len(row.PerItem) != 2 || !(row.PerItem[0] > 0) {
		t.Fatalf("%+v", row)
	}
	row.Batch, row.Concurrency, row.By = 8, 2, BySessions
	row.PerItem = []float64{1000, 1000}
	first.Workload.Inputs = map[string]string{"input": "float32[8 x 1 x 28 x 28]"}
	var err error
	if o.Baseline, err = ReadBaseline(saved(t, first)); err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, o)
	if len(r.Comparisons) != 1 || !(r.Comparisons[0].Speedup > 10) {
		t.Errorf("%+v", r.Comparisons)
	}
	first.Workload.Inputs["input"] = "float32[2 x 1 x 32 x 28]"
	if o.Baseline, err = ReadBaseline(saved(t, first)); err != nil {
		t.Fatal(err)
	}
	var refused *BaselineError
	if _, err := Run(t.Context(), o); !errors.As(err, &refused) || !strings.Contains(refused.Why, "inputs") {
		t.Errorf("samples of another size: %v", err)
	}
}

// FuzzBaseline: any file is a baseline or an error.
func FuzzBaseline(f *testing.F) {
	f.Add([]byte(`{"command":"bench","models":[{"name":"a","launches_ms":[1,2]}]}`))
	f.Add([]byte(`{"command":"bench","models":[{"name":"a","launches_ms":[1,-2]}]}`))
	f.Add([]byte(`{"command":"bench","models":[{"name":"a","launches_ms":[1,2],"launches_item_ms":[0,1]}]}`))
	f.Add([]byte(`{"command":"eval"}`))
	f.Add([]byte(`{"command":"bench","models":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := parseBaseline(text)
		if (b == nil) != (err != nil) {
			t.Fatalf("%v, %v", b, err)
		}
		if err != nil {
			return
		}
		for _, r := range b.Models {
			for _, ms := range slices.Concat(r.Launches, r.PerItem) {
				if !(ms > 0) {
					t.Fatalf("a time of %v", ms)
				}
			}
		}
	})
}

// TestBadBaselines: what is no baseline is refused, and a pipe not waited for.
func TestBadBaselines(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	for _, file := range []string{dir, pipe, os.DevNull} {
		if _, err := ReadBaseline(file); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", file, err)
		}
	}
	for text, says := range map[string]string{
		``: "no JSON", `null`: `command ""`, `[1]`: "no JSON", `{"command":"eval"}`: `command "eval"`,
		`{"command":"bench","models":null}`:                                       "two processes or more",
		`{"command":"bench","models":[{"launches_ms":[1]}]}`:                      "two processes or more",
		`{"command":"bench","models":[{"launches_ms":["1","2"]}]}`:                "no JSON",
		`{"command":"bench","models":[{"launches_ms":[NaN,1]}]}`:                  "no JSON",
		`{"command":"bench","models":[{"launches_ms":[-1,1]}]}`:                   "a time of -1 ms",
		`{"command":"bench","models":[{"launches_ms":[0,1]}]}`:                    "a time of 0 ms",
		`{"command":"bench","models":[{"launches_ms":[5e-324,1]}]}`:               "a time of 5e-324 ms",
		`{"command":"bench","models":[{"launches_ms":[1,1e308]}]}`:                "a time of 1e+308 ms",
		`{"command":"bench","models":` + strings.Repeat("[", 100000):              "no JSON",
		`{"command":"bench","models":[{"launches_ms":[1,1]}]} and something else`: "no JSON",
	} {
		if _, err := parseBaseline([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	// What is believed gives an interval that can be printed.
	b, err := parseBaseline([]byte(`{"command":"bench","models":[{"launches_ms":[1e-6,1e9]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range [][]float64{{1e-6, 1e9}, {1e9, 1e9}, {1e-6, 1e-6}} {
		ratio, low, high := measure.GeometricRatio(b.Models[0].Launches, own)
		if math.IsInf(high, 0) || !(0 < low && low <= ratio && ratio <= high) {
			t.Errorf("%v: %v, %v to %v", own, ratio, low, high)
		}
	}
}
