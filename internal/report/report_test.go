package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/eval"
	"optim/internal/host"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

var update = flag.Bool("update", false, "write the golden files anew")

func ptr[T any](v T) *T { return &v }

// samples are reports with every figure, with few, and with a missed limit.
func samples() map[string]Report {
	full := &Transform{
		Header: Header{Command: "quantize", Config: "optim.yaml"}, Method: "dynamic", Format: "int8",
		Input:  File{Path: "models/net.onnx", Bytes: 10_497_346, Parameters: 2_590_848},
		Output: &File{Path: "models/net.int8.onnx", Bytes: 2_718_281, Parameters: 2_590_848, Nonzero: ptr(int64(2_500_000))},
		Changes: []Change{
			{"/h.0/mlp/MatMul", "MatMul", "dynamic", "int8"},
			{"/h.1/mlp/MatMul", "MatMul", "dynamic", "int8"},
			{"/wte/Gather", "Gather", "weights", "int8"},
		},
		Unchanged:     []Unchanged{{"/conv", "Conv", "no fast dynamic kernel: give --calib"}, {"/n|1", "Add", "no weight"}},
		SizeReduction: ptr(0.741), Acceptable: true,
		Quality: &Quality{"perplexity", ptr(43.59), ptr(43.87), ptr(0.99362), ptr(0.95), ptr(0.00512), true, 20},
		Speed:   &Speed{4.211, 1.987, 2.119, 2.05, 2.19, []string{"1 x 128"}},
		Needs:   &Needs{13, "1.5"}, Duration: 1.234, PeakRSS: 45_000_000,
		Warnings: []string{"windows of 128 ids (config.json)"},
	}
	missed := *full
	missed.Acceptable, missed.Missed = false, []string{"speed: 0.81× is below 1.2×"}
	missed.Speed = &Speed{1.987, 2.411, 0.824, 0.81, 0.84, nil}
	bare := &Transform{
		Header: Header{Command: "quantize"}, Acceptable: true,
		Input: File{Path: "net.onnx", Bytes: 941_367}, Output: &File{Path: "net.fp16.onnx", Bytes: 471_000},
		Speed: &Speed{1, 1.01, 0.99, 0.97, 1.02, nil}, Duration: 0.05,
	}
	plan := &Plan{
		Header: Header{Command: "quantize"}, Input: "net.onnx",
		Plan:      []Step{{"/fc1/Gemm", "Gemm", "dynamic", "int8", 802_816, 200_704}, {"/fc2/Gemm", "Gemm", "dynamic", "int8", 131_072, 32_768}},
		Unchanged: []Unchanged{{"/conv", "Conv", "no fast dynamic kernel"}},
		Output:    PlannedFile{Path: "net.int8.onnx", Bytes: 236_000},
	}
	return map[string]Report{
		"transform": full, "transform-missed": &missed, "transform-bare": bare, "plan": plan, "distill": distillSample(), "importance": importanceSample(),
		"doctor": doctorSample(), "engine": engineSample(), "engine-bench": engineBenchSample(), "eval": evalSample(), "eval-text": evalTextSample(), "inspect": inspectSample(),
		"compare": compareSample(), "compare-bare": compareBare(), "compare-dry": compareDry(),
	}
}

func importanceSample() *Importance {
	return &Importance{
		Header: Header{Command: "prune"}, Path: "net.onnx", Score: "fisher", Top: 1, Warnings: []string{"windows of 128 ids"},
		Layers: []LayerScore{{"/fc2/Gemm", 1.234e-3, 32768}, {"/fc1/Gemm", 5.6e-5, 200704}},
	}
}

func distillSample() *Transform {
	f := func(v float64) *float64 { return &v }
	return &Transform{
		Header: Header{Command: "distill"}, Acceptable: true, Duration: 75.5, PeakRSS: 612_000_000,
		Input: File{Path: "gpt.onnx", Bytes: 10_500_000, Parameters: 2_590_848}, Output: &File{Path: "gpt.student.onnx", Bytes: 900_000, Parameters: 210_000},
		Quality: &Quality{Metric: "perplexity", Before: f(40.65), After: f(71.2), Retention: f(0.571), Limit: f(0.5), Acceptable: true, Samples: 390},
		Students: []Student{
			{Stage: 1, Teacher: 2_590_848, Parameters: 629_390, Ratio: 4.12, Layers: []int{0, 3}, Divided: []string{"units: 192 → 96", "units: 768 → 384 in 2 groups each"}, Quality: f(48.7), Best: 2},
			{Stage: 2, Teacher: 629_390, Parameters: 210_000, Ratio: 3, Layers: []int{0}, Divided: []string{"units: 96 → 48"}, Quality: f(71.2), Best: 1},
		},
		Epochs: []Epoch{
			{Stage: 1, Total: 2.5, KD: f(1.1), Task: f(5.2), Attention: f(0.0003), Seconds: 30.1, Metric: f(52.1)},
			{Stage: 1, Total: 1.9, KD: f(0.9), Task: f(4.2), Attention: f(0.0002), Seconds: 29.7, Metric: f(48.7)},
			{Stage: 2, Total: 2.1, KD: f(0.8), Task: f(4.5), Seconds: 12, Metric: f(71.2)},
		},
		Curve: []Point{{Stage: 1, Step: 10, Epoch: 0.5, Rate: 5e-5, Total: 2.9, Parts: map[string]float64{"kd": 1.4, "task": 5.6}}},
	}
}

func doctorSample() *Doctor {
	return &Doctor{
		Header:  Header{Command: "doctor"},
		Runtime: Runtime{Path: "lib/libonnxruntime.so.1", Version: "1.30.0", Source: "beside the binary", Providers: []string{"cpu"}},
		Facts: host.Facts{
			OS: "linux", Arch: "amd64", Memory: 25_300_000_000, Available: 23_000_000_000,
			CPU:       host.CPU{Model: "Example CPU", Cores: 2, Threads: 4, Features: []string{"avx2", "avx512-vnni"}},
			Container: &host.Limits{CPUs: ptr(1.5), Memory: ptr(int64(4_000_000_000))},
			CUDA:      host.Driver{Library: "/usr/lib64/libcuda.so.1"},
		},
		Builder: Builder{Error: "TensorRT is not available"},
		Cache:   &host.Folder{Path: "cache", Problem: "permission denied"},
	}
}

func evalTextSample() *Eval {
	spread := func(scale float64) eval.Spread {
		return eval.Spread{Mean: 0.1 * scale, StdErr: 0.001 * scale, Max: scale, P99_9: 0.9 * scale, P99: 0.8 * scale, P95: 0.7 * scale,
			P90: 0.6 * scale, P75: 0.4 * scale, Median: 0.05 * scale, P25: 0.02 * scale, P10: 0.01 * scale, P1: -0.1 * scale, Min: -0.2 * scale}
	}
	kl, delta := spread(0.02), spread(0.05)
	return &Eval{
		Header: Header{Command: "eval"}, Path: "gpt.int8.onnx", Data: "valid.txt", Metric: "perplexity", Value: 40.6788, StdErr: ptr(0.4961),
		Samples: 390, Against: "gpt.onnx", Reference: &Reference{40.6537, ptr(0.4957)}, Retention: ptr(0.99938), Interval: &eval.Interval{Low: 0.999, High: 0.99976},
		Agreement: &Agreement{0.977, 48391, 49530, "positions"}, Details: []Detail{{"top1", 0.28697}}, Duration: 14.3,
		Divergence: &eval.Divergence{
			Predictions: 49530, LogRatio: eval.Estimate{Value: 0.000616, StdErr: 0.00018}, Ratio: eval.Estimate{Value: 1.000616, StdErr: 0.00018},
			Difference: eval.Estimate{Value: 0.0251, StdErr: 0.0073}, Correlation: ptr(0.99994), KL: &kl, DeltaP: delta,
			RMS: eval.Estimate{Value: 0.00517, StdErr: 0.000049}, SameTop: eval.Estimate{Value: 0.977, StdErr: 0.00067},
		},
	}
}

func evalSample() *Eval {
	return &Eval{
		Header: Header{Command: "eval"}, Path: "net.int8.onnx", Data: "test.npz", Metric: "accuracy",
		Value: 0.9655, Samples: 2000, Against: "net.onnx", Reference: &Reference{Value: 0.97},
		Interval: &eval.Interval{Low: 0.9911, High: 0.9994}, Agreement: &Agreement{0.9805, 1961, 2000, "samples"},
		McNemar:   &eval.McNemar{Lost: 14, Gained: 5, P: 0.0636},
		Retention: ptr(0.9953608), Limit: ptr(0.95), Acceptable: ptr(true), Duration: 0.1634,
		Nodes: []NodeDiff{{"/Relu", "Relu", false, nil, 0}, {"/fc3/Gemm_output_0", "Gemm", false, ptr(31.25), 0.99951}, {"/Flatten_output_0", "Flatten", true, nil, 1}},
	}
}

func inspectSample() *Inspect {
	return &Inspect{
		Header: Header{Command: "inspect"},
		Summary: inspect.Summary{
			Path: "net.onnx", Bytes: 941_367, IRVersion: 7, Opset: 13, Producer: "pytorch",
			Opsets: map[string]int64{"ai.onnx": 13, "com.microsoft": 1}, Parameters: 235_146,
			Inputs:    []inspect.Value{{Name: "input", DType: "float32", Shape: []any{"batch", int64(3), nil}}},
			Outputs:   []inspect.Value{{Name: "logits", DType: "float32"}},
			Operators: map[string]int{"Gemm": 3, "Relu": 2},
			Weights:   map[string]inspect.Amount{"float32": {Count: 6, Elements: 235_146, Bytes: 940_584}},
			Recipe:    map[string]string{"optim.recipe": "int8"}, MACs: ptr(int64(234_752)),
			Quantization: inspect.Quantization{Kinds: []string{"dynamic"}, Weights: map[string]int{"int8": 3}},
			Tensors: []inspect.Weight{{
				Name:  "/a/very/long/name/of/a/tensor/that/does/not/fit/into/a/terminal/of/eighty/columns/fc1.weight",
				DType: "float32", Shape: tensor.Shape{256, 784}, Bytes: 802_816, Role: "weight",
			}, {Name: "evil\x1b[2J\n", DType: "float32", Shape: tensor.Shape{}, Bytes: 4, Role: "constant"}},
		},
	}
}

// TestGolden compares all renderings with files; -update writes them. After a
// failure the file NAME.got holds what came out.
func TestGolden(t *testing.T) {
	for name, r := range samples() {
		for ext, render := range map[string]func(b *bytes.Buffer) error{
			"txt":         func(b *bytes.Buffer) error { return r.Text(b, Style{Width: 80}) },
			"verbose.txt": func(b *bytes.Buffer) error { return r.Text(b, Style{Verbose: true}) },
			"quiet.txt":   func(b *bytes.Buffer) error { return r.Text(b, Style{Quiet: true}) },
			"md":          func(b *bytes.Buffer) error { return r.Markdown(b) },
			"json":        func(b *bytes.Buffer) error { return JSON(b, r) },
		} {
			var b bytes.Buffer
			if err := render(&b); err != nil {
				t.Errorf("%s.%s: %v", name, ext, err)
			}
			golden(t, filepath.Join("testdata", name+"."+ext), b.Bytes())
		}
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", file, got)
		if err := os.WriteFile(file+".got", got, 0o666); err != nil {
			t.Error(err)
		}
	}
}

// TestTextIsFit checks what holds for every text: no line is wider than the
// terminal (where names can be shortened), and nothing from a file moves the
// cursor.
func TestTextIsFit(t *testing.T) {
	for name, r := range samples() {
		var b bytes.Buffer
		if err := r.Text(&b, Style{Width: 80}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if strings.ContainsRune(line, '\x1b') {
				t.Errorf("%s: an escape sequence in %q", name, line)
			}
			if strings.HasSuffix(line, " \n") {
				t.Errorf("%s: trailing blanks in %q", name, line)
			}
			if strings.Contains(line, "terminal/of/eighty") {
				t.Errorf("%s: a long name was not shortened: %q", name, line)
			}
		}
		b.Reset()
		if err := r.Text(&b, Style{Colour: true, Width: 80}); err != nil || name != "compare" && !strings.Contains(b.String(), "\x1b[") {
			t.Errorf("%s: no colour: %v", name, err)
		}
	}
}

// TestTransformFields checks the names that scripts rely on, and that what was
// not measured is absent.
func TestTransformFields(t *testing.T) {
	fields := func(r any) map[string]any {
		t.Helper()
		var b bytes.Buffer
		if err := JSON(&b, r); err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	all := samples()
	full := fields(all["transform"])
	for _, name := range []string{"command", "input", "output", "size_reduction", "changes", "unchanged", "quality", "speed", "needs", "duration_s", "peak_rss_bytes", "warnings"} {
		if _, ok := full[name]; !ok {
			t.Errorf("no field %q", name)
		}
	}
	bare := fields(all["transform-bare"])
	for _, name := range []string{"quality", "loss", "needs", "sparsity", "epochs", "peak_rss_bytes", "compression_ratio"} {
		if v, ok := bare[name]; ok {
			t.Errorf("field %q, which was not measured, is %v", name, v)
		}
	}
	for _, name := range []string{"changes", "unchanged", "warnings"} {
		if v, ok := bare[name].([]any); !ok || len(v) != 0 {
			t.Errorf("field %q is %v, not an empty list", name, bare[name])
		}
	}
	if v := fields(all["transform-missed"])["acceptable"]; v != false {
		t.Errorf("acceptable is %v", v)
	}
	empty := fields(&Plan{})
	if v, ok := empty["plan"].([]any); !ok || len(v) != 0 {
		t.Errorf("plan is %v", empty["plan"])
	}
}

// TestIntegerKernels: what a report lists as integer kernels, inspect and the
// refusal to quantize twice take for signs of a quantized model.
func TestIntegerKernels(t *testing.T) {
	for _, op := range integerKernels {
		m := &onnx.Model{Graph: &onnx.Graph{Nodes: []*onnx.Node{onnx.NewNode(op, "", nil, nil)}}}
		if inspect.QuantizedNodes(m) != 1 {
			t.Errorf("%s is unknown to inspect", op)
		}
	}
}

// TestNamesStayApart checks that a narrow terminal does not make one name of two.
func TestNamesStayApart(t *testing.T) {
	p := &Plan{Output: PlannedFile{Bytes: 2000}, Plan: []Step{
		{Node: "/layer1/layer1.0/conv1/Conv", Op: "Conv", Action: "static", Format: "int8", BytesBefore: 4000, BytesAfter: 1000},
		{Node: "/layer1/layer1.1/conv1/Conv", Op: "Conv", Action: "static", Format: "int8", BytesBefore: 4000, BytesAfter: 1000},
		{Node: "/layer1/layer1.1/Add", Op: "Add", Action: "integer", Format: "uint8"},
	}}
	for _, width := range []int{1, 40, 60, 80, 200} {
		var b bytes.Buffer
		if err := p.Text(&b, Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		rows := map[string]bool{}
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, "Conv ") {
				rows[line] = true
			}
		}
		if len(rows) != 2 {
			t.Errorf("width %d: %d rows of convolutions, not 2:\n%s", width, len(rows), b.String())
		}
		if strings.Contains(b.String(), " 0 B") {
			t.Errorf("width %d: a size where there is no weight:\n%s", width, b.String())
		}
	}
}

// TestPathsStayWhole checks that what is there to be copied is not cut.
func TestPathsStayWhole(t *testing.T) {
	path := "/home/someone/.cache/optim/ort-1.30.0-0123456789ab/libonnxruntime.so.1"
	var b bytes.Buffer
	d := &Doctor{Runtime: Runtime{Path: path, Version: "1.30.0"}}
	if err := d.Text(&b, Style{Width: 60}); err != nil || !strings.Contains(b.String(), path) {
		t.Errorf("the path is cut (%v):\n%s", err, b.String())
	}
}

func TestSpeedUnits(t *testing.T) {
	for _, c := range []struct {
		before, after float64
		want          string
	}{
		{0.0117, 0.00984, "11.7 µs → 9.84 µs"},
		{0.0999, 0.05, "99.9 µs → 50.0 µs"},
		{0.2, 0.09, "0.200 ms → 0.0900 ms"},
		{4.21, 1.99, "4.21 ms → 1.99 ms"},
	} {
		s := &Speed{BeforeMS: c.before, AfterMS: c.after, Speedup: 2, Low: 1.9, High: 2.1}
		if got := s.line(); !strings.HasPrefix(got, c.want+"   2.00× faster") {
			t.Errorf("%v → %v: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}
