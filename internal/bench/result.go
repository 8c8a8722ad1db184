// Package bench measures models: latency, throughput, memory, the first answer of a
// fresh process, several models against each other. Each model runs in processes
// of its own, which take turns.
package bench

import (
	"optim/internal/bench/decode"
	"optim/internal/bench/profile"
	"optim/internal/bench/roofline"
	"optim/internal/bench/server"
	"optim/internal/host"
	"optim/internal/inspect"
)

// Names of the scenarios.
const (
	Latency = "latency" // one request after the other on each stream
	Offline = "offline" // the batch and concurrency of the highest throughput
	Server  = "server"  // requests at random times
	Decode  = "decode"  // a causal language model that writes ids
)

// Scenarios lists the names in the order of the help.
var Scenarios = []string{Latency, Offline, Server, Decode}

// Result is all that was measured. Times in milliseconds, sizes in bytes.
type Result struct {
	Environment Environment  `json:"environment"`
	Scenario    string       `json:"scenario"`
	Workload    Workload     `json:"workload"`
	Models      []Row        `json:"models"`
	Comparisons []Comparison `json:"comparisons"`
	// Baseline is the file that the comparisons are with; empty: the first model.
	Baseline string `json:"baseline,omitempty"`
	// Interrupted says that the user ended the run: the figures are of what was
	// measured until then.
	Interrupted bool     `json:"interrupted,omitempty"`
	Warnings    []string `json:"warnings,omitempty"`
}

// Environment is the machine and its state, and what the figures depend on.
type Environment struct {
	OS   string   `json:"os"`
	Arch string   `json:"arch"`
	CPU  host.CPU `json:"cpu"`
	host.State
	Memory    int64        `json:"memory_bytes"`
	Container *host.Limits `json:"container,omitempty"`
	Threads   int          `json:"threads"` // within an operator
	// Settings are options of the runtime that are not its defaults, by their flag.
	Settings map[string]string `json:"settings,omitempty"`
	ORT      string            `json:"onnxruntime"`
	Optim    string            `json:"optim"`
	ClockNS  float64           `json:"clock_ns"`           // what one reading of the clock costs: all that a measured run holds beside the runtime's call
	Peaks    *roofline.Peaks   `json:"peaks,omitempty"`    // of the machine, by a short probe
	Restarts int               `json:"restarts,omitempty"` // processes for each model
}

// Workload is what the models were run with.
type Workload struct {
	Source  string            `json:"source"` // as the user named the data, or "random"
	From    string            `json:"from"`   // in words
	Samples int               `json:"samples"`
	Inputs  map[string]string `json:"inputs"`            // by name: "float32[8 x 1 x 28 x 28]", of the first row
	Lengths *Lengths          `json:"lengths,omitempty"` // of texts, in ids
}

// Lengths describe texts of different lengths, in ids.
type Lengths struct {
	Min    int     `json:"min"`
	Median float64 `json:"median"`
	Max    int     `json:"max"`
}

// Row is one model with one provider, batch and concurrency. Figures that were
// not measured are absent.
type Row struct {
	Path     string         `json:"path"`
	Name     string         `json:"name"` // the file's name, made unique
	Provider string         `json:"provider"`
	Nodes    map[string]int `json:"nodes_per_provider,omitempty"`

	Batch       int    `json:"batch"`
	Concurrency int    `json:"concurrency"`
	By          string `json:"concurrency_by,omitempty"` // "threads" or "sessions", above 1
	Runs        int    `json:"runs"`
	Warmup      int    `json:"warmup_runs"`
	Steady      *bool  `json:"steady,omitempty"` // every warm-up ended because times were stable; nil: nobody looked

	Latency    *Times   `json:"latency_ms,omitempty"`
	Throughput *float64 `json:"throughput_per_s,omitempty"` // items
	Tokens     *float64 `json:"tokens_per_s,omitempty"`
	// Launches are the medians of each process, in milliseconds; intervals rest on
	// them.
	Launches []float64 `json:"launches_ms,omitempty"`
	// PerItem is of the offline scenario, where it is compared: the time of all
	// streams for a sample, of each process.
	PerItem []float64 `json:"launches_item_ms,omitempty"`
	Cold    *Cold     `json:"cold_start_ms,omitempty"`

	Bytes      int64                     `json:"bytes"`
	Parameters int64                     `json:"parameters"`
	Weights    map[string]inspect.Amount `json:"weights"`
	PeakRSS    int64                     `json:"peak_rss_bytes,omitempty"`
	SteadyRSS  int64                     `json:"steady_rss_bytes,omitempty"` // while it runs, after loading
	BaseRSS    int64                     `json:"base_rss_bytes,omitempty"`   // of the process before the model was loaded

	MACs     *int64           `json:"macs,omitempty"`     // multiply-accumulates of a run
	GFLOPS   *float64         `json:"gflops,omitempty"`   // 2 · MACs by the median time, in 10⁹ a second
	Roofline *float64         `json:"roofline,omitempty"` // share of the attainable speed that was reached
	Quality  *Quality         `json:"quality,omitempty"`
	Server   *server.Report   `json:"server,omitempty"`
	Sweep    []Swept          `json:"sweep,omitempty"`
	Decode   *decode.Report   `json:"decode,omitempty"`
	Profile  *profile.Profile `json:"profile,omitempty"`
	Samples  []Sample         `json:"-"` // raw times

	cost  inspect.Cost
	reads int64 // bytes of constants that each run reads
}

// Sample is one measured run.
type Sample struct {
	Launch, Block, Stream int
	MS                    float64
}

// Times describes the time of a run, in milliseconds. Low and High are the 95 %
// interval of the median, over the launches of the process where there are
// several.
type Times struct {
	Mean   float64  `json:"mean"`
	StdDev float64  `json:"stddev"`
	Min    float64  `json:"min"`
	P50    float64  `json:"p50"`
	P90    float64  `json:"p90"`
	P95    float64  `json:"p95"`
	P99    float64  `json:"p99"`
	Max    float64  `json:"max"`
	Low    *float64 `json:"p50_low,omitempty"`
	High   *float64 `json:"p50_high,omitempty"`
}

// Cold is what the first answer of a fresh process costs, in milliseconds: the
// median over the launches.
type Cold struct {
	Load  float64 `json:"load"`      // reading and optimizing the model, preparing the weights
	First float64 `json:"first_run"` // of one sample, with its answer copied
	Total float64 `json:"total"`
}

func newCold(load, first float64) *Cold { return &Cold{load, first, load + first} }

// Quality is a metric on the data of --eval.
type Quality struct {
	Metric  string  `json:"metric"`
	Value   float64 `json:"value"`
	Samples int     `json:"samples"`
}

// Comparison is how much faster Other is than Base: Base's time divided by
// Other's, with its 95 % interval. Base and Other are names of rows, or Base is a
// row of the baseline file.
type Comparison struct {
	Base    string  `json:"base"`
	Other   string  `json:"other"`
	Batch   int     `json:"batch"`
	Streams int     `json:"concurrency"`
	Speedup float64 `json:"speedup"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	// Differs is false where the interval holds 1: no difference was found.
	Differs bool `json:"differs"`
}

// Swept is one setting of the offline scenario. Error is why it could not run.
type Swept struct {
	Batch       int     `json:"batch"`
	Concurrency int     `json:"concurrency"`
	By          string  `json:"concurrency_by,omitempty"`
	Throughput  float64 `json:"throughput_per_s,omitempty"` // items
	Tokens      float64 `json:"tokens_per_s,omitempty"`
	P50         float64 `json:"p50_ms,omitempty"`
	Best        bool    `json:"best,omitempty"`
	Error       string  `json:"error,omitempty"`
}
