package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"optim/internal/bench"
	"optim/internal/host"
	"optim/internal/measure"
	"optim/internal/ort"
	"optim/internal/report"
	"optim/internal/workload"
)

// Of timing a row against the source: with 8 processes of 0.1 s of measured runs, and
// their starts and warm-ups, some seconds.
const (
	compareRestarts = 4
	compareDuration = 400 * time.Millisecond // of each model
)

// sourceTimes gathers what is found of the source beside each row.
type sourceTimes struct {
	launches []float64 // milliseconds
	resident int64
}

// time runs a row in turn with the source: two processes at a time, so that memory
// holds no more than two models.
func (c *comparison) time(ctx context.Context, file string, r *report.Row) {
	start := time.Now()
	opts, err := c.timing(file)
	if err != nil {
		c.fail(r, err)
		return
	}
	result, err := bench.Run(ctx, opts)
	r.TimingSeconds = time.Since(start).Seconds()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		err = c.benchError(err)
		if strings.HasPrefix(err.Error(), c.o.model+": ") { // the source itself does not run
			c.untimed = true
			c.r.Warnings = append(c.r.Warnings, "speed was not measured: "+err.Error())
			return
		}
		c.fail(r, err)
		return
	}
	if c.r.Restarts == 0 { // what is said later is the same, or of the load that this makes
		c.r.Warnings = append(c.r.Warnings, result.Warnings...)
	}
	c.r.Restarts = compareRestarts
	source, row := &result.Models[0], &result.Models[1]
	c.launches = append(c.launches, source.Launches...)
	c.resident = max(c.resident, source.SteadyRSS)
	r.ResidentBytes = known(row.SteadyRSS)
	r.Latency = latency(row.Latency)
	if len(result.Comparisons) == 1 && r.Latency != nil {
		s := &result.Comparisons[0]
		r.Latency.Speedup, r.Latency.SpeedupLow, r.Latency.SpeedupHigh = &s.Speedup, &s.Low, &s.High
	}
}

// timingMemory is what two sessions take beside each other, in sizes of the source:
// the weights of each, and once more what is packed for the processor.
const timingMemory = 3

// roomToTime leaves speed out where memory is too small for it.
func (c *comparison) roomToTime(ctx context.Context) error {
	if c.o.write.measure == "off" {
		return nil
	}
	facts, err := host.Probe(ctx)
	if err != nil {
		return err
	}
	if room := facts.Room(); c.source.Bytes > room/timingMemory {
		c.untimed = true
		c.r.Warnings = append(c.r.Warnings, fmt.Sprintf("speed and resident memory were not measured: that may need %.3g GB, and there are %.3g", timingMemory*float64(c.source.Bytes)/1e9, float64(room)/1e9))
	}
	return nil
}

// timing are the options of the benchmark: inputs are those of the data, where there
// is any.
func (c *comparison) timing(file string) (bench.Options, error) {
	read, err := c.o.read.options()
	if err != nil {
		return bench.Options{}, err
	}
	data := c.o.write.eval
	if data == "" {
		data = c.o.calib
	}
	return bench.Options{
		Version: version, Library: ort.Config{Library: c.ortLib, CacheDir: c.cacheDir}, Paths: []string{c.o.model, file},
		Session: bench.Session{Threads: c.threads, GraphOpt: ort.GraphOptAll, Providers: []string{ort.CPU}, CustomOps: c.customOps},
		Load:    workload.Spec{Source: data, Read: read, Seed: c.o.write.seed},
		Warmup:  -1, Restarts: compareRestarts, Duration: compareDuration, Brief: true,
	}, nil
}

// original is the row of the source as far as it is known at first.
func (c *comparison) original() report.Row {
	format, most := "", int64(-1)
	for _, name := range sortedKeys(c.source.Weights) {
		if a := c.source.Weights[name]; a.Bytes > most {
			format, most = name, a.Bytes
		}
	}
	r := report.Row{Name: originalName, Method: originalName, Format: format, Bytes: &c.source.Bytes}
	r.WeightBytes, r.Bits = weights(c.source, c.source.Parameters)
	return r
}

// completeOriginal adds what was found of the source beside the rows.
func (c *comparison) completeOriginal() {
	r := &c.r.Rows[0]
	for _, row := range c.r.Rows[1:] {
		q := row.Quality
		if q == nil {
			continue
		}
		if q.Before != nil {
			r.Quality = &report.Quality{Metric: q.Metric, After: q.Before, Acceptable: true, Samples: q.Samples}
		}
		c.r.JudgedOn = c.judgedOn(q)
		break
	}
	r.ResidentBytes = known(c.resident)
	if len(c.launches) > 1 {
		mean, low, high := measure.GeometricMean(c.launches) // of the processes' medians, beside all rows
		r.Latency = &report.Latency{Median: mean, Low: low, High: high}
		c.atOnce(mean)
	}
}

// atOnce gives each row the time that its speed-up over the source means beside the
// source's mean of all rows: what else the machine did while one row was timed would
// show in it otherwise.
func (c *comparison) atOnce(source float64) {
	for _, r := range c.r.Rows[1:] {
		if l := r.Latency; wasTimed(r) {
			l.Median, l.Low, l.High = source / *l.Speedup, source / *l.SpeedupHigh, source / *l.SpeedupLow
		}
	}
}

// judgedOn says what the quality is of.
func (c *comparison) judgedOn(q *report.Quality) string {
	switch {
	case c.o.write.eval != "":
		return fmt.Sprintf("%s on %s, samples: %d", q.Metric, c.o.write.eval, q.Samples)
	case c.o.calib != "":
		return fmt.Sprintf("the least cosine of the outputs, on the first sample of %s; on more with --eval DATA", c.o.calib)
	}
	return "the least cosine of the outputs, on a made-up input; on data with --eval DATA"
}

func latency(t *bench.Times) *report.Latency {
	if t == nil || t.Low == nil || t.High == nil {
		return nil
	}
	return &report.Latency{Median: t.P50, Low: *t.Low, High: *t.High}
}

// known returns a figure of which 0 means that there is none.
func known(n int64) *int64 {
	if n <= 0 {
		return nil
	}
	return &n
}
