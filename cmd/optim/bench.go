package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"optim/internal/bench"
	"optim/internal/eval"
	"optim/internal/ort"
)

const benchLong = `Measure how fast models run on this machine, what memory they take and, with
--eval, how good they are; several models against each other, in turn.

Each model runs in processes of its own, several times anew (--restarts), after
a warm-up until times are stable. The clock stands right around ONNX Runtime's
call, with inputs and outputs bound. Ratios come with their 95 % interval over the
restarts; where it holds 1, no difference was found. --baseline compares with what
an earlier "optim bench --json" printed on the same machine instead, models by
their names, or the only one on both sides; --fail-slower makes either comparison
a test (exit 4).

Scenarios, as MLPerf defines them: latency (one request after the other), offline
(the batch and concurrency of the highest throughput, found by a sweep), server
(requests at random times: the tail at --rate, or the highest rate whose 99th
percentile keeps --slo), and decode (a causal language model that writes ids, with
its key/value cache and without). Server and decode measure one process of each model:
without intervals, restarts and comparisons. With --quiet the figure of latency is
the median, of server the highest rate, or the 99th percentile at --rate.

A TensorRT engine (model.engine) is measured alone, in the program that is built with
TensorRT and CUDA: transfers, inference and the host's side, and its outputs beside
those of ONNX Runtime.

Without --data inputs are made up: sizes from the model, --shape and --dim, ids
inside the vocabulary, masks of ones.`

const benchExample = `  optim bench model.onnx model.int8.onnx
  optim bench model.onnx model.int8.onnx --eval test.npz --plot tradeoff.png --report report.html
  optim bench model.onnx --batch 1,8,32 --threads 2
  optim bench model.onnx --baseline main.json --fail-slower 1.05
  optim bench gpt.onnx --scenario server --slo 50ms --max-batch 8 --batch-window 5ms
  optim bench gpt-kv.onnx --scenario decode --prompt-tokens 32 --new-tokens 64`

// benchOptions are the flags of bench.
type benchOptions struct {
	models []string

	runs, warmup, restarts, maxBatch, interThreads, promptTokens, newTokens int

	duration, slo, batchWindow time.Duration

	batch, concurrency []int

	by, scenario, graphOpt, data, lengths, eval, metric string

	rate, failSlower float64

	provider []string

	noMemPattern, noArena, profile bool

	plot, histogram, report, csv, samples, baseline string

	seed   int64
	read   dataFlags
	engine engineFlags
}

func newBenchCmd(a *app) *cobra.Command {
	o := &benchOptions{}
	cmd := &cobra.Command{
		Use:         "bench MODEL... [flags]",
		Short:       "Measure speed, memory and quality of models, side by side",
		Long:        benchLong,
		Example:     benchExample,
		Annotations: map[string]string{noteExit: "3,4,5"},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"onnx"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.models = args
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			if isEngine(o.models[0]) {
				return runBenchEngine(cmd.Context(), a, o)
			}
			return runBench(cmd.Context(), a, o)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

// Headings of the flags of bench.
const (
	groupRuntime  = "Runtime"
	groupScenario = "Scenarios"
	groupResults  = "Results"
)

func (o *benchOptions) register(fs *pflag.FlagSet) {
	fs.IntVar(&o.runs, "runs", 0, "measured runs of each model and stream; 0: at least 100, and for 3 s")
	o.engine.register(fs)
	fs.DurationVar(&o.duration, "duration", 0, "`time` to measure each model for, as 10s; 0: as --runs says")
	fs.IntVar(&o.warmup, "warmup", -1, "runs of each process before; -1: at least 5, until times are stable, for 1 s at most")
	fs.IntVar(&o.restarts, "restarts", bench.DefaultRestarts, "processes that measure each model, in turn with those of the others")
	fs.IntSliceVar(&o.batch, "batch", nil, "samples in a run; a `list` measures each")
	fs.IntSliceVar(&o.concurrency, "concurrency", nil, "runs at once; a `list` measures each")
	enumVar(fs, &o.by, "concurrency-by", bench.ByThreads, "what runs at once (threads of one session, or sessions that share the processor's)", bench.ByThreads, bench.BySessions)
	fs.StringVar(&o.eval, "eval", "", "`data` to measure the quality of each model on")
	enumVar(fs, &o.metric, "metric", "auto", "quality to measure", eval.Metrics...)
	fs.BoolVar(&o.profile, "profile", false, "time of operators and nodes, and which could be integers")
	fs.StringVar(&o.baseline, "baseline", "", "`file` of an earlier --json to compare with")
	fs.Float64Var(&o.failSlower, "fail-slower", 0, "fail when a model is proven to take more than this `factor` of the time of the first one, or of the baseline: when even the lower end of the interval is above")

	own := pflag.NewFlagSet(groupRuntime, pflag.ContinueOnError)
	own.StringSliceVar(&o.provider, "provider", []string{ort.CPU}, "execution providers in order, as cuda,cpu; auto: cuda,cpu; a `list`")
	enumVar(own, &o.graphOpt, "graph-opt", "all", "how far the runtime rewrites the graph", "off", "basic", "extended", "all")
	own.IntVar(&o.interThreads, "inter-threads", 0, "operators that run at once; 0: one")
	own.BoolVar(&o.noMemPattern, "no-mem-pattern", false, "do not plan one block of memory for all activations")
	own.BoolVar(&o.noArena, "no-arena", false, "take memory from the system each time")
	markGroup(own, groupRuntime)
	fs.AddFlagSet(own)

	own = pflag.NewFlagSet(groupScenario, pflag.ContinueOnError)
	enumVar(own, &o.scenario, "scenario", bench.Latency, "how requests come", bench.Scenarios...)
	own.Float64Var(&o.rate, "rate", 0, "server: samples a second; 0: the highest that keeps --slo")
	own.DurationVar(&o.slo, "slo", 0, "server: `time` that 99 of 100 answers have to keep, as 50ms")
	own.DurationVar(&o.batchWindow, "batch-window", 0, "server: `time` that a request waits for others to make a batch")
	own.IntVar(&o.maxBatch, "max-batch", 0, "server and offline: largest batch; server: 0 or 1: no batches; offline: 0: 64")
	own.IntVar(&o.promptTokens, "prompt-tokens", 0, "decode: ids of the prompt; 0: 32, or what the context leaves")
	own.IntVar(&o.newTokens, "new-tokens", 0, "decode: ids to write; 0: 64, or what the context leaves")
	markGroup(own, groupScenario)
	fs.AddFlagSet(own)

	own = pflag.NewFlagSet(groupData, pflag.ContinueOnError)
	own.StringVar(&o.data, "data", "", "`data` to run on: .npz, .npy, .txt, .jsonl, .csv, a folder of pictures, or random (the default)")
	own.StringVar(&o.lengths, "lengths", "", "lengths of texts in ids, as 16-128, or 32:3,128:1 with weights; a `list`")
	own.Int64Var(&o.seed, "seed", 0, "seed of made-up inputs, lengths and arrivals")
	markGroup(own, groupData)
	fs.AddFlagSet(own)
	o.read.register(fs, false)

	own = pflag.NewFlagSet(groupResults, pflag.ContinueOnError)
	own.StringVar(&o.plot, "plot", "", "draw the trade-off of size, memory, speed and quality, or what a scenario found, to this .png or .svg `file`")
	own.StringVar(&o.histogram, "histogram", "", "draw how times are distributed, by percentile, to this .png or .svg `file`")
	own.StringVar(&o.report, "report", "", "write a page with all tables and plots to this .html or .md `file`")
	own.StringVar(&o.csv, "csv", "", "write one line for each model to this .csv `file`")
	own.StringVar(&o.samples, "samples", "", "write the time of every run to this .csv `file`")
	markGroup(own, groupResults)
	fs.AddFlagSet(own)
}
