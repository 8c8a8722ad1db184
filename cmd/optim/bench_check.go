package main

import (
	"slices"
	"time"

	"github.com/spf13/pflag"

	"optim/internal/bench"
	"optim/internal/bench/server"
	"optim/internal/workload"
)

const (
	// mostModels bounds the models of one run: each has a process.
	mostModels = 32
	// mostStreams and mostBatchSize are above what any machine can use.
	mostStreams   = 256
	mostBatchSize = 1 << 16
	// longest bounds times that are given: a day.
	longest = 24 * time.Hour
	// longestWindow is above what anybody waits for a batch: the last one of a
	// measurement waits for all of it.
	longestWindow = time.Minute
)

// check refuses what contradicts itself or means nothing.
func (o *benchOptions) check(flags *pflag.FlagSet) error {
	for _, step := range []func(*pflag.FlagSet) error{o.checkModels, o.checkEngine, o.checkNames, o.checkNumbers, o.checkScenario, o.checkComparison} {
		if err := step(flags); err != nil {
			return err
		}
	}
	return o.read.check()
}

func (o *benchOptions) checkModels(*pflag.FlagSet) error {
	switch {
	case len(o.models) == 0:
		return withHint(usagef("MODEL is missing"), "optim bench MODEL... [flags]; \"optim help bench\" tells more")
	case len(o.models) > mostModels:
		return usagef("at most %d models are measured at once, not %d", mostModels, len(o.models))
	}
	for _, m := range o.models {
		if err := notStdin("MODEL", m); err != nil {
			return err
		}
	}
	return nil
}

func (o *benchOptions) checkNumbers(flags *pflag.FlagSet) error {
	for _, n := range []struct {
		name        string
		v, low, top int
	}{
		{"runs", o.runs, 1, bench.MostRuns}, {"warmup", o.warmup, -1, bench.MostRuns}, {"restarts", o.restarts, 1, 1000},
		{"max-batch", o.maxBatch, 1, mostBatchSize}, {"inter-threads", o.interThreads, 0, maxThreads},
		{"prompt-tokens", o.promptTokens, 1, 1 << 20}, {"new-tokens", o.newTokens, 1, 1 << 20},
	} {
		if flags.Changed(n.name) && (n.v < n.low || n.v > n.top) {
			return usagef("--%s must be from %d to %d, not %d", n.name, n.low, n.top, n.v)
		}
	}
	for name, d := range map[string]time.Duration{"duration": o.duration, "slo": o.slo} {
		if flags.Changed(name) && (d <= 0 || d > longest) {
			return usagef("--%s must be a time above 0 and at most %s, not %s", name, longest, d)
		}
	}
	if o.batchWindow < 0 || o.batchWindow > longestWindow {
		return usagef("--batch-window must be a time of at most %s, not %s", longestWindow, o.batchWindow)
	}
	for name, list := range map[string][]int{"batch": o.batch, "concurrency": o.concurrency} {
		top := map[string]int{"batch": mostBatchSize, "concurrency": mostStreams}[name]
		for i, n := range list {
			if n < 1 || n > top {
				return usagef("--%s must be from 1 to %d, not %d", name, top, n)
			}
			if slices.Contains(list[:i], n) {
				return usagef("--%s names %d twice", name, n)
			}
		}
	}
	if streams := slices.Max(append([]int{1}, o.concurrency...)); max(o.runs, o.warmup) > bench.MostRuns/streams {
		return usagef("--runs and --warmup are of each stream: with %d streams at most %d", streams, bench.MostRuns/streams)
	}
	return o.checkLengths()
}

func (o *benchOptions) checkLengths() error {
	if o.lengths == "" {
		return nil
	}
	lengths, err := workload.ParseLengths(o.lengths)
	switch {
	case err != nil:
		return usagef("--lengths: %w", err)
	case o.read.seqLen > 0 && lengths.Max() > o.read.seqLen:
		return usagef("--lengths has %d ids, and --seq-len cuts texts at %d", lengths.Max(), o.read.seqLen)
	}
	return nil
}

// scenarioFlags are the flags that mean something in some scenarios only.
var scenarioFlags = map[string][]string{
	"rate": {bench.Server}, "slo": {bench.Server}, "batch-window": {bench.Server},
	"max-batch":     {bench.Server, bench.Offline},
	"prompt-tokens": {bench.Decode}, "new-tokens": {bench.Decode},
	"runs": {bench.Latency, bench.Offline}, "restarts": {bench.Latency, bench.Offline},
	"warmup": {bench.Latency, bench.Offline},
	"batch":  {bench.Latency, bench.Offline}, "concurrency": {bench.Latency, bench.Offline, bench.Server},
	"concurrency-by": {bench.Latency, bench.Server},
	"fail-slower":    {bench.Latency, bench.Offline}, "baseline": {bench.Latency, bench.Offline},
	"samples": {bench.Latency, bench.Offline}, "histogram": {bench.Latency, bench.Offline},
	"lengths": {bench.Latency, bench.Offline, bench.Server},
}

func (o *benchOptions) checkScenario(flags *pflag.FlagSet) error {
	for _, name := range sortedKeys(scenarioFlags) {
		if given(flags, name) && !slices.Contains(scenarioFlags[name], o.scenario) {
			return usagef("--%s means nothing for --scenario %s", name, o.scenario)
		}
	}
	switch {
	case given(flags, "runs") && given(flags, "duration"):
		return usagef("--runs and --duration exclude each other")
	case o.scenario == bench.Offline && given(flags, "max-batch") && len(o.batch) > 0:
		return usagef("--max-batch means nothing beside --batch")
	case flags.Changed("rate") && !(o.rate > 0 && o.rate <= 1e9):
		return usagef("--rate must be samples a second, not %v", o.rate)
	case o.scenario == bench.Decode && given(flags, "seq-len") && o.eval == "":
		return withHint(usagef("--seq-len means nothing for --scenario decode"), "give --prompt-tokens N")
	case o.scenario == bench.Server && o.rate == 0 && o.slo == 0:
		return withHint(usagef("--scenario server needs to know what to look for"),
			"give --slo 50ms for the highest rate that keeps it, or --rate 100 for the tail at that rate")
	case o.scenario == bench.Server && len(o.concurrency) > 1:
		return usagef("--scenario server takes one --concurrency, not %d", len(o.concurrency))
	case o.batchWindow > 0 && o.maxBatch < 2 && o.scenario == bench.Server:
		return withHint(usagef("--batch-window needs a batch to wait for"), "give --max-batch 8")
	case o.scenario == bench.Server && o.slo > 0 && o.batchWindow >= o.slo:
		return usagef("--batch-window %s: a request that waits so long for others does not keep --slo %s", o.batchWindow, o.slo)
	case o.scenario == bench.Server && o.rate > 0:
		if err := server.CheckRate(o.rate, o.duration); err != nil {
			return usagef("--rate: %w", err)
		}
	}
	return nil
}

func (o *benchOptions) checkComparison(flags *pflag.FlagSet) error {
	switch {
	case flags.Changed("fail-slower") && !(o.failSlower >= 1 && o.failSlower <= 1e6):
		return usagef("--fail-slower must be a factor such as 1.05, not %v", o.failSlower)
	case given(flags, "fail-slower") && len(o.models) < 2 && o.baseline == "":
		return withHint(usagef("--fail-slower needs something to compare with"), "give two models, or --baseline FILE")
	case given(flags, "fail-slower") && o.runs == 1:
		return usagef("--fail-slower needs an interval, and --runs 1 gives none")
	case given(flags, "baseline") && (o.runs == 1 || o.restarts == 1):
		return usagef("--baseline is compared with the processes of this run: --runs and --restarts must be at least 2")
	case given(flags, "metric") && o.eval == "":
		return withHint(usagef("--metric needs data to measure the quality on"), "give --eval DATA")
	}
	return nil
}
