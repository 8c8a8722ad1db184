package report

import (
	"fmt"
	"io"
	"math"
	"path/filepath"

	"optim/internal/bench/engine"
	"optim/internal/gpu"
	"optim/internal/tensor"
	"optim/internal/trt"
)

// EngineBench is the result of "optim bench" for a TensorRT engine.
type EngineBench struct {
	Header
	Path      string    `json:"path"`
	GPU       gpu.Facts `json:"gpu"`
	Library   trt.Info  `json:"library"`
	CUDAGraph bool      `json:"cuda_graph"`
	engine.Result
	Outputs []EngineOutput `json:"outputs,omitempty"` // against ONNX Runtime, on the same inputs
}

// EngineOutput compares an output with ONNX Runtime's.
type EngineOutput struct {
	Name    string  `json:"name"`
	Cosine  float64 `json:"cosine"`
	Largest float64 `json:"largest_difference"`
}

// Compare adds the comparison of an output, in float32.
func (e *EngineBench) Compare(name string, got, want tensor.Tensor) {
	a, errA := tensor.Convert(got, tensor.Float32)
	b, errB := tensor.Convert(want, tensor.Float32)
	if errA != nil || errB != nil || a.Len() != b.Len() {
		e.Warnings = append(e.Warnings, fmt.Sprintf("output %q cannot be compared: %v %v against %v %v", name, got.DType, got.Shape, want.DType, want.Shape))
		return
	}
	x, y := tensor.As[float32](a.Data), tensor.As[float32](b.Data)
	out := EngineOutput{Name: name, Cosine: tensor.Cosine(x, y)}
	for i := range x {
		out.Largest = max(out.Largest, math.Abs(float64(x[i])-float64(y[i])))
	}
	e.Outputs = append(e.Outputs, out)
}

// Text implements Report.
func (e *EngineBench) Text(w io.Writer, s Style) error {
	if s.Quiet {
		_, err := fmt.Fprintf(w, "%s ms\n", significant(e.Latency.Median, 3))
		return err
	}
	fmt.Fprintf(w, "%s on %s\n\n", clean(filepath.Base(e.Path)), e.GPU.Name)
	if err := e.grid().text(w, s); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := e.facts().text(w, s); err != nil {
		return err
	}
	return notes(w, s, e.Warnings)
}

// Markdown implements Report.
func (e *EngineBench) Markdown(w io.Writer) error {
	fmt.Fprintf(w, "### optim bench: %s on %s\n\n", escapeMarkdown(filepath.Base(e.Path)), escapeMarkdown(e.GPU.Name))
	if err := e.grid().markdown(w); err != nil {
		return err
	}
	if err := e.facts().markdown(w); err != nil {
		return err
	}
	return markdownNotes(w, e.Warnings)
}

func (e *EngineBench) grid() *grid {
	g := &grid{head: []string{"ms", ">mean", ">σ", ">min", ">p50", ">p95", ">p99", ">max"}}
	for _, r := range []struct {
		name string
		s    engine.Series
	}{{"to the device", e.H2D}, {"inference", e.Compute}, {"from the device", e.D2H}, {"latency (the sum)", e.Latency}, {"call", e.Enqueue}, {"host, end to end", e.Host}} {
		row := []string{r.name}
		for _, x := range []float64{r.s.Mean, r.s.Sigma, r.s.Min, r.s.Median, r.s.P95, r.s.P99, r.s.Max} {
			row = append(row, significant(x, 3))
		}
		g.add(row...)
	}
	return g
}

func (e *EngineBench) facts() *facts {
	f := &facts{}
	f.add("throughput", "%s inferences a second, one stream, transfers included", significant(e.Throughput, 4))
	f.add("runs", "%d, CUDA graph %s", e.Runs, map[bool]string{true: "on", false: "off"}[e.CUDAGraph])
	for _, o := range e.Outputs {
		f.add("output", "%s: cosine %.6f to ONNX Runtime's, largest difference %s", clean(o.Name), o.Cosine, significant(o.Largest, 3))
	}
	f.add("GPU", "%s, compute capability %s, CUDA %s", e.GPU.Name, e.GPU.ComputeCapability, e.GPU.CUDA)
	f.add("library", "%s %s", e.Library.Flavour, e.Library.Library)
	f.add("settings", "%s", e.Config)
	return f
}
