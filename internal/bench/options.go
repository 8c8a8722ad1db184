package bench

import (
	"slices"
	"time"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/workload"
)

// Defaults of the length of a measurement.
const (
	DefaultRuns     = 100
	DefaultDuration = 3 * time.Second
	// DefaultRestarts is how many processes measure each model in turn: what one
	// process is lucky with (where its memory lies, which processor its threads
	// run on) is part of the interval then. It is even, as the models change places.
	DefaultRestarts = 6
)

// Options say what is measured and how.
type Options struct {
	Worker  Command
	Version string // of this program
	Library ort.Config
	Paths   []string
	Session Session
	Load    workload.Spec

	Batches     []int  // samples in a run; nil: one, or what the model prescribes
	Concurrency []int  // streams; nil: one
	By          string // how they run at once

	Runs     int           // of each model; 0: DefaultRuns at least, and as Duration says
	Duration time.Duration // of each model; 0: DefaultDuration at least, and as Runs says
	Warmup   int           // runs before; below 0: until times are stable
	Restarts int           // 0: DefaultRestarts

	Scenario string // empty: Latency

	// Of the server scenario; see package server.
	Rate     float64
	SLO      time.Duration
	Window   time.Duration
	MaxBatch int // also of Offline; 0: DefaultMaxBatch there

	Prompt, New int // of Decode, in ids; 0: what is usual and fits

	Profile  bool // time of operators and nodes
	Eval     Eval
	Baseline *Baseline // to compare with; nil: the first model

	// Brief is for a look at many models: a few samples, warm-ups of at most
	// briefWarmup, whether times have settled or not, and no peaks of the machine.
	Brief bool

	Progress func(what string, done, total int64)
}

// settings returns the combinations to measure.
func (o Options) settings() []Setting {
	batches, streams := o.Batches, o.Concurrency
	if len(batches) == 0 {
		batches = []int{0}
	}
	if len(streams) == 0 {
		streams = []int{1}
	}
	var out []Setting
	for _, n := range batches {
		for _, k := range streams {
			s := Setting{Batch: n, Concurrency: k}
			if k > 1 {
				s.By = o.By
			}
			out = append(out, s)
		}
	}
	return out
}

// briefSamples are enough for a ratio: each is run once before, in every process.
const briefSamples = 8

// samples is how many different samples a model is run with: real ones and texts of
// many lengths are of interest by themselves, made-up ones fill the batches.
func (o Options) samples() int {
	if o.Brief {
		return briefSamples
	}
	batch := max(o.MaxBatch, 1, slices.Max(append([]int{1}, o.Batches...)))
	if (o.Load.Source == "" || o.Load.Source == dataset.Random) && len(o.Load.Lengths) == 0 {
		return 4 * batch
	}
	return mostVariedBatches * batch
}

// settled gives a setting its batch where the user named none.
func settled(s Setting, o *opened) Setting {
	if s.Batch == 0 {
		s.Batch = max(o.Batch, 1)
	}
	return s
}
