// Package benchtest makes results of benchmarks for the tests of what shows
// them. The figures are those of real models, the times are drawn at random from a
// fixed seed.
package benchtest

import (
	"math"
	"math/rand/v2"

	"optim/internal/bench"
	"optim/internal/host"
	"optim/internal/inspect"
	"optim/internal/measure"
)

// Ptr returns a pointer to v.
func Ptr[T any](v T) *T { return &v }

// Environment is that of a machine with two cores.
func Environment() bench.Environment {
	return bench.Environment{
		OS: "linux", Arch: "amd64", State: host.State{Governor: "performance", Load: Ptr(0.21)}, Memory: 25_300_000_000,
		CPU: host.CPU{
			Model: "Intel(R) Xeon(R) Processor @ 2.60GHz", Cores: 2, Threads: 2,
			Features: []string{"avx2", "avx512f", "avx512-vnni"},
		},
		Threads: 2, ORT: "1.30.0", Optim: "0.4.0", ClockNS: 24.6, Restarts: 5,
	}
}

// Model is what Row makes a row of.
type Model struct {
	Name       string
	Parameters int64
	Bytes      int64
	PeakRSS    int64
	MS         float64 // median
	Perplexity float64 // 0: not measured
}

// The models of the samples.
var (
	Small = Model{"tinygpt-s.onnx", 669_952, 3_801_088, 61_200_000, 1.7, 64.6}
	Float = Model{"tinygpt.onnx", 2_590_848, 10_497_346, 84_900_000, 4.6, 40.65}
	Int8  = Model{"tinygpt.int8.onnx", 2_590_848, 2_790_311, 70_300_000, 3.3, 40.68}
)

// Row returns a row of m with times that have the tail of a shared machine.
func Row(m Model, runs int) bench.Row {
	rng := rand.New(rand.NewPCG(1, uint64(m.Bytes)))
	const launches = 5
	times := make([]float64, 0, runs)
	row := bench.Row{
		Path: "models/" + m.Name, Name: m.Name, Provider: "cpu", Nodes: map[string]int{"cpu": 148},
		Batch: 1, Concurrency: 1, Runs: runs, Warmup: 22, Steady: Ptr(true),
		Bytes: m.Bytes, Parameters: m.Parameters,
		Weights: map[string]inspect.Amount{"float32": {Count: 52, Elements: m.Parameters, Bytes: 4 * m.Parameters}},
		PeakRSS: m.PeakRSS, SteadyRSS: m.PeakRSS - 4_000_000, BaseRSS: 41_000_000,
		MACs: Ptr(int64(float64(m.Parameters) * 128)),
		Cold: &bench.Cold{Load: round(11 * m.MS), First: round(1.9 * m.MS), Total: round(12.9 * m.MS)},
	}
	for i := range runs {
		ms := m.MS * (0.96 + 0.03*math.Exp(0.6*rng.NormFloat64()))
		if rng.Float64() < 0.03 {
			ms *= 1 + 0.5*rng.ExpFloat64()
		}
		ms = round(ms)
		times = append(times, ms)
		row.Samples = append(row.Samples, bench.Sample{Launch: i * launches / runs, Block: i * 20 / runs, MS: ms})
	}
	s := measure.Summarize(times)
	row.Latency = &bench.Times{
		Mean: round(s.Mean), StdDev: round(s.StdDev), Min: s.Min, Max: s.Max,
		P50: round(s.Median), P90: round(s.P90), P95: round(s.P95), P99: round(s.P99),
		Low: Ptr(round(0.985 * s.Median)), High: Ptr(round(1.02 * s.Median)),
	}
	row.Throughput, row.Tokens = Ptr(round(1000/s.Mean)), Ptr(round(128_000/s.Mean))
	row.GFLOPS = Ptr(round(2 * float64(*row.MACs) / s.Median / 1e6))
	row.Roofline = Ptr(round(*row.GFLOPS / 320))
	if m.Name == Int8.Name {
		row.Weights = map[string]inspect.Amount{"int8": {Count: 52, Elements: m.Parameters, Bytes: m.Parameters}}
	}
	if m.Perplexity > 0 {
		row.Quality = &bench.Quality{Metric: "perplexity", Value: m.Perplexity, Samples: 20}
	}
	return row
}

// round keeps what differs between processors out of golden files.
func round(v float64) float64 { return math.Round(1e4*v) / 1e4 }

// One is a benchmark of one model.
func One() *bench.Result {
	m := Float
	m.Perplexity = 0
	return of(bench.Latency, Row(m, 652))
}

// Three compares three models, with quality.
func Three() *bench.Result {
	r := of(bench.Latency, Row(Small, 1800), Row(Float, 652), Row(Int8, 915))
	r.Comparisons = []bench.Comparison{
		compare(Small.Name, Float.Name, 0.3696, 0.361, 0.378, true),
		compare(Small.Name, Int8.Name, 0.5152, 0.501, 0.529, true),
	}
	r.Warnings = []string{"windows of 128 ids (config.json)"}
	return r
}

// Many has eight models, of which several stand close together.
func Many() *bench.Result {
	r := of(bench.Latency)
	for i, name := range []string{
		"tinygpt.onnx", "tinygpt.fp16.onnx", "tinygpt.bf16.onnx", "tinygpt.int8.onnx",
		"tinygpt.int8-smooth.onnx", "tinygpt.int4.onnx", "tinygpt.nf4.onnx", "tinygpt-s.onnx",
	} {
		m := Float
		m.Name = name
		m.Bytes = []int64{10_497_346, 5_301_112, 5_301_300, 2_790_311, 2_801_442, 1_602_888, 1_588_004, 3_801_088}[i]
		m.PeakRSS = []int64{84, 79, 80, 70, 71, 66, 66, 61}[i] * 1_000_000
		m.MS = []float64{4.6, 4.9, 5.1, 3.3, 3.35, 3.9, 5.6, 1.7}[i]
		m.Perplexity = []float64{40.65, 40.66, 40.7, 40.68, 40.66, 42.1, 41.6, 64.6}[i]
		if i == 7 {
			m.Parameters = Small.Parameters
		}
		r.Models = append(r.Models, Row(m, 300))
		if i > 0 {
			c := compare(Float.Name, name, Float.MS/m.MS, 0.98*Float.MS/m.MS, 1.02*Float.MS/m.MS, true)
			c.Differs = c.Low > 1 || c.High < 1
			r.Comparisons = append(r.Comparisons, c)
		}
	}
	return r
}

// All returns all samples by name.
func All() map[string]*bench.Result {
	return map[string]*bench.Result{
		"one": One(), "three": Three(), "many": Many(), "batches": Batches(), "served": Served(), "swept": Swept(),
		"cut": Cut(), "decoded": Decoded(), "profiled": Profiled(), "hostile": Hostile(), "empty": {},
	}
}

// Batches has two models with several batches and streams, some without
// difference.
func Batches() *bench.Result {
	r := of(bench.Latency)
	for _, streams := range []int{1, 2} {
		for _, batch := range []int{1, 8} {
			for _, m := range []Model{Float, Int8} {
				m.MS *= math.Pow(float64(batch), 0.8) * math.Pow(float64(streams), 0.5)
				row := Row(m, 60)
				row.Batch, row.Concurrency = batch, streams
				items := float64(batch * streams)
				row.Throughput, row.Tokens = Ptr(round(*row.Throughput*items)), Ptr(round(*row.Tokens*items))
				row.MACs, row.GFLOPS = Ptr(*row.MACs*int64(batch)), Ptr(round(*row.GFLOPS*items))
				row.Roofline = Ptr(round(*row.Roofline * items)) // above 1 with 8 × 2
				if streams > 1 {
					row.By = "threads"
				}
				r.Models = append(r.Models, row)
			}
			c := compare(Float.Name, Int8.Name, 1.394, 1.37, 1.42, true)
			if batch == 8 {
				c = compare(Float.Name, Int8.Name, 1.004, 0.98, 1.03, false)
			}
			c.Batch, c.Streams = batch, streams
			r.Comparisons = append(r.Comparisons, c)
		}
	}
	return r
}

func of(scenario string, rows ...bench.Row) *bench.Result {
	return &bench.Result{
		Environment: Environment(), Scenario: scenario, Models: rows,
		Workload: bench.Workload{
			Source: "wiki.txt", From: "windows of 128 ids of wiki.txt", Samples: 64,
			Inputs: map[string]string{"input_ids": "int64[1 x 128]"},
		},
	}
}

func compare(base, other string, speedup, low, high float64, differs bool) bench.Comparison {
	return bench.Comparison{Base: base, Other: other, Batch: 1, Streams: 1, Speedup: speedup, Low: low, High: high, Differs: differs}
}
