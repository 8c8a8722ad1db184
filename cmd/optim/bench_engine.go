package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"optim/internal/bench/engine"
	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/gpu"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/report"
	"optim/internal/tensor"
	"optim/internal/trt"
)

// engineFlags are the flags of bench for engines.
type engineFlags struct {
	graph  bool
	device int
	lib    string
}

func (o *engineFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&o.graph, "cuda-graph", false, "engines: launch the inference as one captured graph")
	fs.IntVar(&o.device, "device", 0, "engines: number of the GPU")
	fs.StringVar(&o.lib, "trt-lib", "", "engines: `folder` of TensorRT's libraries (default: where the system looks)")
}

// engineBenchFlags are the flags of bench that mean something for an engine.
var engineBenchFlags = []string{"cuda-graph", "device", "trt-lib", "duration", "shape", "dim", "data", "seed", "tokenizer", "seq-len", "text-as", "layout", "preprocess"}

// isEngine tells engines by their names, so that one that is not there is missed as such,
// and by their first bytes.
func isEngine(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".engine" || ext == ".plan" || trt.IsPlan(path)
}

// checkEngine refuses what an engine cannot be measured with.
func (o *benchOptions) checkEngine(flags *pflag.FlagSet) error {
	if !slices.ContainsFunc(o.models, isEngine) {
		for _, name := range engineBenchFlags[:3] {
			if given(flags, name) {
				return usagef("--%s is for TensorRT engines", name)
			}
		}
		return nil
	}
	if !trt.Built || !gpu.Built {
		err := &exitError{code: exitRuntime, err: fmt.Errorf("%q is a TensorRT engine, and this program was built without TensorRT and CUDA (tags trt and cuda)", o.models[0])}
		return withHint(err, "give the ONNX model, with --provider tensorrt where the runtime library has it")
	}
	if len(o.models) > 1 {
		return usagef("an engine is measured alone, not beside other models")
	}
	var idle error
	flags.VisitAll(func(f *pflag.Flag) {
		if given(flags, f.Name) && note(f, noteGroup) != groupGlobal && !slices.Contains(engineBenchFlags, f.Name) && idle == nil {
			idle = usagef("--%s means nothing for a TensorRT engine", f.Name)
		}
	})
	return idle
}

// runBenchEngine measures an engine, and compares what it computes with ONNX Runtime where
// the model that it was made of is there.
func runBenchEngine(ctx context.Context, a *app, o *benchOptions) error {
	path := o.models[0]
	header, err := trt.ReadHeader(path)
	if err != nil {
		return badInput(fileError(err))
	}
	lib, err := trt.Open(o.engine.lib)
	if err != nil {
		return &exitError{code: exitRuntime, err: err}
	}
	defer lib.Close()
	side, err := trt.ReadSidecar(path)
	compatible := err == nil && side.Options[versionCompatible] != ""
	if err := header.Fits(lib.Info(), compatible); err != nil {
		return &exitError{code: exitRuntime, err: fmt.Errorf("%s: %w", path, err)}
	}
	device, err := gpu.Open(o.engine.device)
	if err != nil {
		return &exitError{code: exitRuntime, err: err}
	}
	defer device.Close()
	plan, err := os.ReadFile(path)
	if err != nil {
		return badInput(fileError(err))
	}
	loaded, err := lib.Load(plan)
	if err != nil {
		return &exitError{code: exitRuntime, err: fmt.Errorf("%s: %w", path, err)}
	}
	defer loaded.Close()
	r := &report.EngineBench{Header: report.Header{Command: "bench", Config: a.configFile}, Path: path, GPU: device.Facts(), Library: lib.Info(), CUDAGraph: o.engine.graph}
	inputs, expected, err := o.engineInputs(ctx, a, loaded, r)
	if err != nil {
		return err
	}
	run, err := engine.Open(device, loaded, inputs, o.engine.graph)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer run.Close()
	bar := a.progress("measuring")
	defer bar.Done()
	result, err := engine.Measure(ctx, run, engine.Options{Duration: o.duration})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.Result = *result
	for name, want := range expected {
		if got, ok := run.Outputs()[name]; ok {
			r.Compare(name, got, want)
		}
	}
	return a.emit(r)
}

// engineInputs are those of the model that the engine was made of, with what ONNX Runtime
// computes of them; without it, zeros of the sizes that the engine is fastest at.
func (o *benchOptions) engineInputs(ctx context.Context, a *app, e trt.Engine, r *report.EngineBench) (inputs, expected map[string]tensor.Tensor, err error) {
	side, err := trt.ReadSidecar(r.Path)
	var m *onnx.Model
	if err == nil {
		m, err = onnx.Open(side.Input.Path)
	}
	if err == nil {
		defer m.Close()
		if hash, e := m.Hash(); e != nil || hash != side.Input.Hash {
			err = errors.Join(e, errors.New("the model has changed since"))
		}
	}
	if err != nil {
		r.Warnings = append(r.Warnings, "inputs are zeros, and outputs were not compared: "+err.Error())
		return zeroInputs(e), nil, nil
	}
	rt, err := a.runtime()
	if err != nil {
		return nil, nil, err
	}
	defer rt.Close()
	info, err := calibrate.Describe(rt, m, a.sessionOptions())
	if err != nil {
		return nil, nil, badInput(err)
	}
	read, err := o.read.options()
	if err != nil {
		return nil, nil, err
	}
	read.Seed, read.Samples = o.seed, 1
	read.Vocab, read.PositionRows = inspect.Tables(m)
	source := o.data
	if source == "" {
		source = dataset.Random
		read.Shapes = optimal(e, read.Shapes)
	}
	set, err := dataset.Open(source, info, read)
	if err != nil {
		return nil, nil, badInput(err)
	}
	defer set.Close()
	sample, err := set.Next()
	if err != nil {
		return nil, nil, badInput(err)
	}
	s, err := calibrate.Open(rt, m, a.sessionOptions())
	if err != nil {
		return nil, nil, badInput(err)
	}
	defer s.Close()
	expected, err = s.RunContext(ctx, sample.Inputs, nil)
	return sample.Inputs, expected, err
}

// optimal are the shapes that the engine's first profile is fastest at, but for those that
// the user gives.
func optimal(e trt.Engine, given map[string]tensor.Shape) map[string]tensor.Shape {
	out := map[string]tensor.Shape{}
	for _, t := range e.Tensors() {
		if g, err := e.ProfileShape(t.Name, 0); t.Input && err == nil {
			out[t.Name] = g.Opt
		}
	}
	maps.Copy(out, given)
	return out
}

func zeroInputs(e trt.Engine) map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for name, shape := range optimal(e, nil) {
		for _, t := range e.Tensors() {
			if d, ok := engine.DType(t.DType); ok && t.Name == name {
				if x, err := tensor.New(d, shape); err == nil {
					out[name] = x
				}
			}
		}
	}
	return out
}
