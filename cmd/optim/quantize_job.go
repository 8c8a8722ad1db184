package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"optim/internal/calibrate"
	"optim/internal/calibrate/sequential"
	"optim/internal/checkpoint"
	"optim/internal/dataset"
	"optim/internal/distill/qat"
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
	"optim/internal/recipe"
	"optim/internal/report"
	"optim/internal/tensor"
)

// quantizeJob holds what one run of quantize works on.
type quantizeJob struct {
	*app
	start  time.Time
	o      *quantizeOptions
	q      *quant.Options
	output string
	rt     *ort.Runtime
	info   dataset.ModelInfo
	source *onnx.Model // as it was read
	work   *onnx.Model // is rewritten
	plan   *quant.Plan
	recipe recipe.Recipe

	checkpoint *checkpoint.Checkpoint // nil: none
	solved     *sequential.Result     // of methods that decide weights by data
	learned    *qat.Result            // of training
	folder     string                 // of its checkpoints

	divided map[string][]float64 // channels that equalization divided, by value
	ledger  []report.Ledger
	said    []string
}

func (j *quantizeJob) close() {
	for _, m := range []*onnx.Model{j.source, j.work} {
		if m != nil {
			m.Close()
		}
	}
	if j.checkpoint != nil {
		j.checkpoint.Close()
	}
	if j.solved != nil {
		j.solved.Close()
	}
	if j.rt != nil {
		j.rt.Close()
	}
}

// open reads the model twice (the file is mapped, and only headers are read),
// once to be rewritten, and checks the target.
func (j *quantizeJob) open() (err error) {
	for _, m := range []**onnx.Model{&j.source, &j.work} {
		if *m, err = onnx.Open(j.o.model); err != nil {
			return badInput(err)
		}
	}
	inputs, err := inspect.Files(j.source)
	if err != nil {
		return badInput(err)
	}
	for _, file := range []string{j.o.calib, j.o.train.data, j.o.write.eval, j.o.read.tokenizer, j.configFile, j.ortLib, j.customOps} {
		if file != "" && file != dataset.Random {
			inputs = append(inputs, file)
		}
	}
	if err := j.o.write.checkOutput(j.output, inputs...); err != nil {
		return err
	}
	if err := j.checkSummary(append(inputs, j.output, j.output+".data")...); err != nil {
		return err
	}
	if err := j.openCheckpoint(); err != nil {
		return err
	}
	if j.q.Trained() {
		if j.folder, err = j.o.train.openFolder(j.output, &j.o.write); err != nil {
			return err
		}
	}
	if j.recipe, err = j.describe(); err != nil {
		return err
	}
	return j.load()
}

// load refuses a model that the runtime does not know how to run, before any
// work. Only a dry run that needs no data goes without the library.
func (j *quantizeJob) load() (err error) {
	if j.o.write.dryRun && !j.q.Calibrated() {
		return nil
	}
	if j.rt, err = j.runtime(); err != nil {
		return err
	}
	if j.info, err = calibrate.Describe(j.rt, j.source, j.sessionOptions()); err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	read, err := j.o.read.options()
	if err != nil {
		return err
	}
	// Of sizes that nobody asked for the gate tries several; these have to fit.
	return badInput(dataset.CheckShapes(j.info, read))
}

// unchanged reports whether the output is up to date, and says so.
func (j *quantizeJob) unchanged() (bool, error) {
	r := &report.Transform{
		Header: report.Header{Command: "quantize", Config: j.configFile},
		Method: string(j.q.Method), Format: j.o.format,
	}
	return j.upToDate(&j.o.write, j.source, j.output, j.recipe, r, j.start)
}

// upToDate reports whether the output exists already, made by the same recipe
// from the same bytes, and says so.
func (a *app) upToDate(o *writeFlags, source *onnx.Model, output string, made recipe.Recipe, r *report.Transform, start time.Time) (bool, error) {
	if o.ifUnchanged == "" {
		return false, nil
	}
	if _, err := os.Lstat(output); err != nil {
		return false, nil
	}
	found, err := recipe.Last(output)
	if err != nil || !found.Equal(made) {
		if o.force {
			return false, nil
		}
		return false, withHint(usagef("output %q exists and was made otherwise", output), "give --force to overwrite it")
	}
	r.Skipped, r.Acceptable = true, true
	r.Input = report.File{Path: source.Path, Parameters: inspect.Parameters(source)}
	r.Output = &report.File{Path: output, Parameters: inspect.Parameters(source)}
	if r.Input.Bytes, err = inspect.Bytes(source); err != nil {
		return false, badInput(err)
	}
	if r.Output.Bytes, err = modelBytes(output); err != nil {
		return false, badInput(err)
	}
	r.Duration = time.Since(start).Seconds()
	return true, a.emit(r)
}

// modelBytes returns the size of a model file with its external data.
func modelBytes(path string) (int64, error) {
	m, err := onnx.Open(path)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	return inspect.Bytes(m)
}

// rewrite prepares, observes and quantizes the model in memory.
func (j *quantizeJob) rewrite(ctx context.Context) error {
	prepared, err := j.prepare(j.work)
	if err != nil && !errors.Is(err, quant.ErrNothing) && !errors.Is(err, quant.ErrQuantized) {
		err = badInput(err)
	}
	if err != nil {
		return err
	}
	if err := j.fitCheckpoint(); err != nil {
		return err
	}
	obs, err := j.derive(ctx)
	if err != nil {
		return err
	}
	static := j.q.Method == quant.Static || j.q.Trained() && j.q.Format == quant.Int8
	if static && obs == nil {
		if obs, err = j.observe(ctx); err != nil {
			return err
		}
	}
	if j.q.Method == quant.AutoRound {
		if err := j.round(ctx); err != nil {
			return err
		}
	} else if j.q.Calibrated() && !static {
		if err := j.solve(ctx); err != nil {
			return err
		}
	}
	if j.q.Trained() {
		if err := j.learn(ctx, obs); err != nil {
			return err
		}
	}
	j.plan, err = quant.Quantize(ctx, j.work, j.q, obs, j.workers())
	if err == nil && j.o.mixed {
		err = j.mixed(ctx, obs)
	}
	if err == nil && j.q.Method == quant.Static && j.o.calib != "" {
		err = j.correct(ctx, obs)
	}
	if j.plan != nil {
		j.plan.Prepared = append(prepared, j.plan.Prepared...)
	}
	if err != nil {
		return err
	}
	if err := j.halveCache(); err != nil {
		return err
	}
	return j.recipe.Store(j.work)
}

// prepare brings a model into the form that is quantized. Where one scale has to
// serve a whole weight, channels are equalized across layers.
func (j *quantizeJob) prepare(m *onnx.Model) ([]string, error) {
	done, err := quant.Prepare(m, j.q)
	static := j.q.Method == quant.Static || quant.Method(j.o.method) == quant.Auto
	if err != nil || j.q.Format != quant.Int8 || !j.q.PerTensor || !static {
		return done, err
	}
	if j.divided, err = quant.Equalize(m); len(j.divided) > 0 {
		done = append(done, fmt.Sprintf("channels of %d activations equalized across layers", len(j.divided)))
	}
	return done, err
}

// halveCache stores the cache of keys and values in float16 where that is asked
// for.
func (j *quantizeJob) halveCache() error {
	if j.o.cache == "source" {
		return nil
	}
	n, err := quant.HalveCache(j.work)
	if err == nil && n == 0 {
		err = badInput(fmt.Errorf("%s: no cache of keys and values in float32: no input that a Concat lengthens to an output", j.o.model))
		return withHint(err, "leave --kv-cache out: this model keeps no cache")
	}
	j.said = append(j.said, fmt.Sprintf("%d tensors of the cache of keys and values are float16, half the memory for each id; so are these inputs and outputs", n))
	return err
}

// explain turns the errors of rewriting into what the user can do.
func (j *quantizeJob) explain(err error) error {
	switch {
	case errors.Is(err, quant.ErrQuantized):
		return withHint(fmt.Errorf("%s: %w", j.o.model, err), "quantize the float model that it was made of")
	case errors.Is(err, quant.ErrNothing) && j.o.calib == "" && strings.Contains(err.Error(), "--calib"):
		return withHint(err, "give --calib DATA: convolutions are quantized with data only")
	case errors.Is(err, tensor.ErrNotFinite):
		return withHint(badInput(fmt.Errorf("%s: %w", j.o.model, err)), "--keep REGEX leaves a tensor in float")
	}
	return err
}

// prove writes the model through the gate and fills in the report.
func (j *quantizeJob) prove(ctx context.Context, r *report.Transform) error {
	read, err := j.o.read.options()
	if err != nil {
		return err
	}
	read.Seed = j.o.write.seed
	evalRead := read
	evalRead.Samples = j.o.read.evalSamples
	probe := j.o.write.eval
	if probe == "" {
		probe = j.o.calib
	}
	bar := j.stages()
	defer bar.Done()
	v, err := gate.Run(ctx, gate.Options{
		HalfIO:  j.q.HalfIO || j.o.cache != "source",
		Runtime: j.rt, Session: j.sessionOptions(), Source: j.source, Result: j.work,
		Output: j.o.write.target(j.output), Workers: j.threads,
		Probe: gate.Data{Source: probe, Read: read}, Eval: gate.Data{Source: j.o.write.eval, Read: evalRead}, Metric: j.o.write.metric,
		MaxLoss: j.o.write.maxLoss, MinSpeedup: j.o.write.minSpeedup, MaxSize: j.o.write.maxSize, Measure: j.o.write.measure,
		Advice:   quantizeAdvice(j.q),
		Progress: bar.Set,
	})
	j.fill(r, v)
	return gateError(err)
}
