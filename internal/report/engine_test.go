package report

import (
	"optim/internal/bench/engine"
	"optim/internal/gpu"
	"optim/internal/trt"
)

func engineSample() *Engine {
	return &Engine{Sidecar: &trt.Sidecar{
		Command: "build-engine", Input: trt.File{Path: "net.onnx", Bytes: 198_000, SHA256: "ab"}, Output: trt.File{Path: "net.engine", Bytes: 1_190_000, SHA256: "cd"},
		Flavour: trt.RTX, Library: "1.7.1", Headers: "1.7.1", Precision: trt.Best, Layers: map[string]int{"int8": 7, "float16": 8},
		Inputs: []trt.Tensor{{Name: "x", DType: "float32", Shape: []int64{-1, 3}}}, Outputs: []trt.Tensor{{Name: "y", DType: "float32", Shape: []int64{-1, 10}}},
		Profiles: []trt.Profile{{"x": {Min: []int64{1, 3}, Opt: []int64{4, 3}, Max: []int64{8, 3}}}}, Capabilities: []string{"8.9"}, Workspace: 1 << 30,
		WeightsBytes: ptr(int64(54_000)), ActivationBytes: ptr(int64(11_000_000)), BuildSeconds: 0.159, PeakRSS: 252_000_000,
		Prepared: []string{"7 nodes in 8-bit integers", "37 nodes in fp16"}, Plan: &trt.PlanFacts{Magic: "vtrt", Version: "1.7.1.116", SHA256: "cd"},
		Warnings: []string{"sizes chosen by the names of axes: batch 1 to 8"},
	}}
}

func engineBenchSample() *EngineBench {
	s := func(x float64) engine.Series {
		return engine.Series{Mean: x, Sigma: x / 50, Min: 0.9 * x, Median: x, P95: 1.05 * x, P99: 1.1 * x, Max: 1.3 * x}
	}
	return &EngineBench{
		Header: Header{Command: "bench"}, Path: "net.engine", GPU: gpu.Facts{Name: "Example GPU", ComputeCapability: "8.9", Memory: 24_000_000_000, CUDA: "12.9"},
		Library: trt.Info{Flavour: trt.RTX, Library: "1.7.1", Headers: "1.7.1", Path: "lib/libtensorrt_rtx.so.1"},
		Result:  engine.Result{Runs: 2000, Throughput: 650, H2D: s(0.1), Compute: s(1.2), D2H: s(0.05), Latency: s(1.35), Enqueue: s(0.02), Host: s(1.5), Stable: true, Warnings: []string{}},
		Outputs: []EngineOutput{{"logits", 0.99987, 0.0123}},
	}
}
