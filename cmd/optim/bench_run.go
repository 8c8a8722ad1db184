package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"optim/internal/bench"
	"optim/internal/bench/server"
	"optim/internal/ort"
	"optim/internal/report"
	"optim/internal/workload"
)

func runBench(ctx context.Context, a *app, o *benchOptions) error {
	start := time.Now()
	if err := o.checkFiles(a); err != nil {
		return err
	}
	opts, err := o.options(a)
	if err != nil {
		return err
	}
	bar := a.stages()
	opts.Progress = bar.Set
	result, err := bench.Run(ctx, opts)
	bar.Done()
	r := &report.Bench{Header: report.Header{Command: "bench", Config: a.configFile}, Result: *result}
	r.Duration = time.Since(start).Seconds()
	if err != nil && (ctx.Err() == nil || len(r.Models) == 0) {
		return a.unfinished(r, a.benchError(err))
	}
	// A file that cannot be written does not take with it what was measured.
	failed := o.write(r)
	if err := a.emit(r); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed != nil:
		return failed
	}
	return o.judge(r)
}

// unfinished shows what was measured until err, which it returns. With --json a
// failure has nothing on standard output.
func (a *app) unfinished(r *report.Bench, err error) error {
	if a.json || len(r.Models) == 0 {
		return err
	}
	r.Warnings = append(r.Warnings, "this is what was measured until an error ended the run")
	if e := r.Text(a.Out, a.style()); e != nil {
		return e
	}
	return err
}

// options are what package bench wants.
func (o *benchOptions) options(a *app) (bench.Options, error) {
	read, err := o.read.options()
	if err != nil {
		return bench.Options{}, err
	}
	level, err := ort.ParseGraphOpt(o.graphOpt)
	if err != nil {
		return bench.Options{}, err
	}
	opts := bench.Options{
		Version: version, Library: ort.Config{Library: a.ortLib, CacheDir: a.cacheDir}, Paths: o.models,
		Session: bench.Session{
			Threads: a.threads, InterThreads: o.interThreads, GraphOpt: level, Providers: o.provider,
			CustomOps: a.customOps, NoMemPattern: o.noMemPattern, NoArena: o.noArena,
		},
		Load:     workload.Spec{Source: o.data, Read: read, Seed: o.seed},
		Scenario: o.scenario, Batches: o.batch, Concurrency: o.concurrency, By: o.by,
		Runs: o.runs, Duration: o.duration, Warmup: o.warmup, Restarts: o.restarts,
		Rate: o.rate, SLO: o.slo, Window: o.batchWindow, MaxBatch: o.maxBatch,
		Prompt: o.promptTokens, New: o.newTokens, Profile: o.profile,
		Eval: bench.Eval{Source: o.eval, Read: read, Metric: o.metric},
	}
	opts.Eval.Read.Samples = o.read.evalSamples
	if o.lengths != "" {
		if opts.Load.Lengths, err = workload.ParseLengths(o.lengths); err != nil {
			return opts, err
		}
	}
	if o.baseline != "" {
		if opts.Baseline, err = bench.ReadBaseline(o.baseline); err != nil {
			return opts, badInput(fileError(err))
		}
	}
	return opts, nil
}

// benchError gives an error of a benchmark its exit status: unless the runtime or
// a provider is missing, or a process was ended from outside, the models or the data
// are bad.
func (a *app) benchError(err error) error {
	var process *bench.ProcessError
	if errors.As(err, &process) && process.Outside {
		return err
	}
	if errors.Is(err, ort.ErrProvider) {
		return withHint(err, "\"optim doctor\" lists the providers of the library; give --ort-lib FILE for another one")
	}
	return badInput(a.libraryHint(err))
}

// judge tells which limits were missed.
func (o *benchOptions) judge(r *report.Bench) error {
	missed := o.slower(r)
	for _, m := range r.Models {
		if m.Server != nil {
			missed = append(missed, unserved(m.Name, m.Server)...)
		}
	}
	if len(missed) == 0 {
		return nil
	}
	return limitf("speed: %s", strings.Join(missed, "; "))
}

// slower lists the models that take more time than --fail-slower allows: where even
// the lower end of the interval is above.
func (o *benchOptions) slower(r *report.Bench) (missed []string) {
	for _, c := range r.Comparisons {
		if o.failSlower > 0 && c.High*o.failSlower < 1 {
			missed = append(missed, fmt.Sprintf("%s takes %.3f times as long as %s (95 %% interval %.3f to %.3f), and at most %g is allowed",
				c.Other, 1/c.Speedup, c.Base, 1/c.High, 1/c.Low, o.failSlower))
		}
	}
	if o.failSlower > 0 && o.baseline != "" && len(r.Comparisons) < len(r.Models) {
		missed = append(missed, fmt.Sprintf("%d of %d models and settings have nothing in the baseline to be compared with", len(r.Models)-len(r.Comparisons), len(r.Models)))
	}
	return missed
}

// unserved lists the rates that a model did not reach, and the limits that it did
// not keep. Where requests were joined to batches, that is what counts.
func unserved(name string, s *server.Report) (missed []string) {
	load, capacity := s.Outcome()
	switch {
	case load != nil && load.Overloaded:
		missed = append(missed, fmt.Sprintf("%s cannot be served at a rate of %g/s: it reached %.4g/s", name, load.Rate, load.Achieved))
	case load != nil && s.SLO > 0 && load.P99 > s.SLO:
		missed = append(missed, fmt.Sprintf("%s: the 99th percentile at %g/s is %.4g ms, and must be at most %.4g ms", name, load.Rate, load.P99, s.SLO))
	case capacity != nil && capacity.Rate == 0:
		missed = append(missed, fmt.Sprintf("%s: no rate keeps the limit of %.4g ms at the 99th percentile", name, s.SLO))
	}
	return missed
}
