package benchtest

import (
	"fmt"
	"math"

	"optim/internal/bench"
	"optim/internal/bench/decode"
	"optim/internal/bench/profile"
	"optim/internal/bench/roofline"
	"optim/internal/bench/server"
	"optim/internal/inspect"
)

// Served is the server scenario of two models: the highest rates under 50 ms,
// with and without dynamic batching, and one rate that was asked for.
func Served() *bench.Result {
	r := of(bench.Server)
	for i, m := range []Model{Float, Int8} {
		row := unrun(m)
		alone, batched := []float64{168, 241}[i], []float64{262, 398}[i]
		row.Server = &server.Report{
			SLO: 50, Rate: load(100, 2.4*m.MS, 1), Capacity: search(alone, m.MS, 1),
			Window: 2, MaxBatch: 8, BatchedRate: load(100, 2.9*m.MS, 1.3), Batched: search(batched, 1.3*m.MS, 5.2),
			Gain: Ptr(round(batched / alone)),
		}
		r.Models = append(r.Models, row)
	}
	return r
}

// Cut is the server scenario of three models, ended by the user in the third: one that a
// busy machine disturbed, with few requests, one for which no rate kept the limit, and one
// whose search was hardly begun.
func Cut() *bench.Result {
	r := of(bench.Server, unrun(Float), unrun(Int8), unrun(Small))
	busy := search(6, 0.1, 1)
	busy.Load.Busy, busy.Load.Mean, busy.Load.Queue, busy.Load.Requests = 0.12, 5.2, 1.1, 60
	missed := []server.Probe{{Rate: 2000, P99: 80}, {Rate: 2000, P99: 75}, {Rate: 1600, P99: 71}}
	r.Models[0].Server = &server.Report{SLO: 50, Capacity: busy}
	r.Models[1].Server = &server.Report{SLO: 50, Capacity: &server.Capacity{Probes: missed}}
	r.Models[2].Server = &server.Report{SLO: 50, Capacity: &server.Capacity{Probes: missed}}
	r.Interrupted = true
	return r
}

// unrun is a row without the figures of runs one after the other.
func unrun(m Model) bench.Row {
	row := Row(m, 10)
	row.Latency, row.Throughput, row.Tokens, row.Samples, row.Quality = nil, nil, nil, nil, nil
	row.Runs, row.Warmup, row.Steady, row.Launches, row.GFLOPS, row.Roofline, row.MACs = 0, 0, nil, nil, nil, nil, nil
	return row
}

// search is what bisection of a queue meets: times grow as 1 / (1 - load).
func search(capacity, ms, batch float64) *server.Capacity {
	c := &server.Capacity{Rate: capacity, Load: load(capacity, 48.7, batch)}
	for _, f := range []float64{0.5, 1, 1.5, 1.25, 1.12, 1.06, 1.03} {
		rate := capacity * f
		p99 := 3 * ms / max(1.07-f, 0.01)
		if f == 1 {
			p99 = 48.7
		}
		c.Probes = append(c.Probes, server.Probe{Rate: round(rate), P99: round(p99), Held: p99 <= 50})
	}
	return c
}

func load(rate, p99, batch float64) *server.Load {
	return &server.Load{
		Rate: rate, Achieved: round(0.998 * rate), Requests: int(20 * rate), Seconds: 20.04, Mean: round(0.41 * p99),
		P50: round(0.36 * p99), P90: round(0.6 * p99), P95: round(0.74 * p99), P99: round(p99), P999: round(1.4 * p99),
		Max: round(1.7 * p99), Queue: round(0.2 * p99), MeanBatch: batch, Busy: 0.83,
	}
}

// Swept is the offline scenario of a model.
func Swept() *bench.Result {
	r := of(bench.Offline, Row(Int8, 200))
	row := &r.Models[0]
	row.Batch, row.Concurrency, row.By = 16, 2, "sessions"
	for _, streams := range []int{1, 2} {
		for _, batch := range []int{1, 2, 4, 8, 16, 32} {
			by := ""
			if streams > 1 {
				by = "sessions"
			}
			n := float64(batch)
			ms := 1.1 + 1.15*n/math.Pow(float64(streams), 0.3) + 0.004*n*n
			s := bench.Swept{Batch: batch, Concurrency: streams, By: by, P50: round(ms),
				Throughput: round(1000 * n * float64(streams) / ms), Tokens: round(128_000 * n * float64(streams) / ms)}
			if batch == 32 && streams == 2 {
				s = bench.Swept{Batch: batch, Concurrency: streams, By: by, Error: "more memory than there is"}
			}
			s.Best = batch == row.Batch && streams == row.Concurrency
			row.Sweep = append(row.Sweep, s)
		}
	}
	return r
}

// Decoded is a language model that writes ids, with its cache and without.
func Decoded() *bench.Result {
	r := of(bench.Decode, unrun(Float))
	row := &r.Models[0]
	row.Name, row.Path = "tinygpt-kv.onnx", "models/tinygpt-kv.onnx"
	with, without := []float64{1.92}, []float64{1.9}
	for i := 1; i < 96; i++ {
		jitter := 0.02 * math.Sin(float64(i*i))
		with = append(with, round(0.62+0.0002*float64(i)+jitter))
		without = append(without, round(1.9+0.031*float64(i)+2*jitter))
	}
	row.Decode = &decode.Report{
		Prompt: 32, New: 96, Same: Ptr(true), Gain: Ptr(5.24), Notes: []string{"ids are chosen greedily"},
		Cached: &decode.Series{TTFT: 1.92, TPOT: 0.63, TPOTP99: 0.71, PerSecond: 1548, Steps: with, Growth: Ptr(0.05), Repeats: 9},
		Whole:  &decode.Series{TTFT: 1.9, TPOT: 3.39, TPOTP99: 4.9, PerSecond: 295, Steps: without, Growth: Ptr(31.0), Repeats: 9},
	}
	return r
}

// Hostile has names and texts from files that try to be something else, figures
// that are none, and an end by the user.
func Hostile() *bench.Result {
	r := of(bench.Latency)
	for _, name := range []string{
		"<script>alert(1)</script>.onnx", "evil\x1b[2J\nname\u202e|`*_.onnx", "日本語のモデル.onnx", "日本語のモデル二.onnx",
		"a-model-with-a-very-long-name-that-tells-of-every-step-that-was-taken-to-make-it.onnx",
		"a-model-with-a-very-long-name-that-tells-of-each-step-that-was-taken-to-make-it.onnx",
	} {
		m := Float
		m.Name = name
		r.Models = append(r.Models, Row(m, 50))
	}
	bad := &r.Models[1]
	bad.Latency.P50, bad.Latency.Max, bad.Throughput = math.NaN(), math.Inf(1), Ptr(math.NaN())
	bad.Samples = append(bad.Samples, bench.Sample{MS: math.NaN()}, bench.Sample{MS: math.Inf(1)})
	r.Models[2].Weights = map[string]inspect.Amount{"<b>": {Count: 1, Elements: 1, Bytes: 1}}
	r.Models[4].Latency, r.Models[4].PeakRSS, r.Models[4].Quality = nil, 0, nil
	r.Environment.CPU.Model = `"><img src=x onerror=alert(1)>`
	r.Workload.From = "<i>data</i> & more"
	r.Comparisons = []bench.Comparison{compare(r.Models[0].Name, r.Models[1].Name, math.NaN(), 0, math.Inf(1), false)}
	r.Interrupted, r.Warnings = true, []string{"</div><script>alert(2)</script>", "rtl \u202e text"}
	return r
}

// Profiled is a benchmark of one model with its profile and the machine's peaks.
func Profiled() *bench.Result {
	r := One()
	r.Environment.Peaks = &roofline.Peaks{FP32: 168e9, INT8: 612e9, Bandwidth: 11.2e9, Cache: 32 << 20}
	p := &profile.Profile{Runs: 50, RunMS: 4.52, KernelMS: 4.31, ProfilerMS: 0.0021, NodesPerProvider: map[string]int{"cpu": 148}}
	for _, o := range []struct {
		op    string
		nodes int
		ms    float64
	}{
		{"MatMul", 25, 3.52}, {"Softmax", 4, 0.24}, {"LayerNormalization", 9, 0.16}, {"BiasGelu", 4, 0.14}, {"FusedMatMul", 8, 0.11},
		{"Add", 17, 0.06}, {"Transpose", 16, 0.04}, {"Split", 4, 0.02}, {"Gather", 2, 0.013}, {"Where", 4, 0.007},
	} {
		p.Operators = append(p.Operators, profile.Operator{Op: o.op, Provider: "cpu", Nodes: o.nodes, Calls: float64(o.nodes), MS: o.ms, Share: o.ms / p.KernelMS})
	}
	for i := range 25 {
		n := profile.Node{Name: fmt.Sprintf("/h.%d/mlp/c_fc/MatMul", i), Op: "MatMul", Provider: "cpu", Calls: 1, CouldBeInteger: true}
		n.MS = round(0.706 * math.Pow(0.8, float64(i)))
		if i == 0 {
			n.Name = "/lm_head/MatMul"
		}
		n.Share = n.MS / p.KernelMS
		p.CouldBeInteger += n.Share
		p.Nodes = append(p.Nodes, n)
	}
	p.Nodes = append(p.Nodes, profile.Node{Name: "/h.0/attn/Softmax", Op: "Softmax", Provider: "cpu", Calls: 1, MS: 0.002, Share: 0.002 / p.KernelMS})
	r.Models[0].Profile = p
	return r
}
