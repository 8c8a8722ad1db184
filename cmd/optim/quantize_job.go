package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
	"optim/internal/recipe"
	"optim/internal/report"
)

// quantizeJob holds what one run of quantize works on.
type quantizeJob struct {
	*app
	o      *quantizeOptions
	q      *quant.Options
	output string
	rt     *ort.Runtime
	info   dataset.ModelInfo
	source *onnx.Model // as it was read
	work   *onnx.Model // is rewritten
	plan   *quant.Plan
	recipe recipe.Recipe
	said   []string
}

func (j *quantizeJob) close() {
	for _, m := range []*onnx.Model{j.source, j.work} {
		if m != nil {
			m.Close()
		}
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
	summary, err := inspect.Model(j.source, inspect.Options{})
	if err != nil {
		return badInput(err)
	}
	inputs := append(summary.External, j.o.model)
	for _, data := range []string{j.o.calib, j.o.write.eval} {
		if data != "" && data != dataset.Random {
			inputs = append(inputs, data)
		}
	}
	if err := j.o.write.checkOutput(j.output, inputs...); err != nil {
		return err
	}
	if j.recipe, err = j.describe(); err != nil {
		return err
	}
	return j.load()
}

// load refuses a model that the runtime does not know how to run, before any
// work. Only a dry run that needs no data goes without the library.
func (j *quantizeJob) load() (err error) {
	if j.o.write.dryRun && j.q.Method != quant.Static {
		return nil
	}
	if j.rt, err = j.runtime(); err != nil {
		return err
	}
	if j.info, err = calibrate.Describe(j.rt, j.source, j.sessionOptions()); err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	return nil
}

// describe returns the recipe: everything that decides the bytes of the result.
func (j *quantizeJob) describe() (recipe.Recipe, error) {
	r := recipe.New("quantize", version)
	var err error
	if r.Source, err = j.source.Hash(); err != nil {
		return r, badInput(err)
	}
	q := j.q
	r.Set("format", "int8")
	r.Set("method", string(q.Method))
	r.Set("target", q.Target.Name)
	r.Set("bits", fmt.Sprint(q.Bits))
	r.Set("per_tensor", fmt.Sprint(q.PerTensor))
	r.Set("embeddings", fmt.Sprint(q.Embeddings))
	r.Set("symmetric", fmt.Sprint(q.Symmetric))
	r.Set("keep", recipe.Patterns(q.Keep))
	r.Set("only", recipe.Patterns(q.Only))
	if q.Method == quant.WeightOnly {
		r.Set("block_size", fmt.Sprint(q.BlockSize))
	}
	if q.Method != quant.Static {
		return r, nil
	}
	if r.Data, err = recipe.Fingerprint(j.o.calib); err != nil {
		return r, badInput(err)
	}
	read := j.o.read
	r.Set("form", string(q.Form))
	r.Set("calibrator", string(q.Calibrator))
	r.Set("smooth", j.o.smooth)
	r.Set("samples", fmt.Sprint(read.calibSamples))
	r.Set("reading", fmt.Sprint(read.seqLen, read.stride, read.textAs, read.preprocess, read.layout, read.shape, read.dim, j.o.write.seed))
	return r, nil
}

// unchanged reports whether the output exists already, made by the same recipe
// from the same bytes, and says so.
func (j *quantizeJob) unchanged() (bool, error) {
	if j.o.write.ifUnchanged == "" || j.o.write.force {
		return false, nil
	}
	if _, err := os.Stat(j.output); err != nil {
		return false, nil
	}
	found, err := recipe.Last(j.output)
	if err != nil || !found.Equal(j.recipe) {
		return false, withHint(usagef("output %q exists and was made otherwise", j.output), "give --force to overwrite it")
	}
	bytes, err := inspect.Bytes(j.source)
	if err != nil {
		return false, badInput(err)
	}
	r := &report.Transform{
		Header: report.Header{Command: "quantize", Config: j.configFile},
		Method: string(j.q.Method), Format: "int8", Skipped: true, Acceptable: true,
		Input: report.File{Path: j.o.model, Bytes: bytes},
	}
	return true, j.emit(r)
}

// rewrite prepares, observes and quantizes the model in memory.
func (j *quantizeJob) rewrite(ctx context.Context) error {
	prepared, err := quant.Prepare(j.work)
	if err != nil {
		return err
	}
	var obs quant.Observations
	if j.q.Method == quant.Static {
		if obs, err = j.observe(ctx); err != nil {
			return err
		}
	}
	j.plan, err = quant.Quantize(ctx, j.work, j.q, obs, j.workers())
	if j.plan != nil {
		j.plan.Prepared = prepared
	}
	return err
}

// observe calibrates, or takes over what an equal run has observed.
func (j *quantizeJob) observe(ctx context.Context) (quant.Observations, error) {
	read, err := j.o.read.options()
	if err != nil {
		return nil, err
	}
	read.Samples, read.Seed, read.SplitPairs = j.o.read.calibSamples, j.o.write.seed, true
	read.Vocab, read.PositionRows = inspect.Tables(j.source)
	set, err := dataset.Open(j.o.calib, j.info, read)
	if err != nil {
		return nil, badInput(err)
	}
	defer set.Close()
	j.said = append(j.said, set.Notes...)
	bar := j.progress("calibrating")
	defer bar.Done()
	total, _ := set.Len()
	values, channels := quant.Activations(j.work, j.q)
	result, err := calibrate.Run(ctx, j.rt, j.work, set, calibrate.Options{
		Values: values, Channels: channels, Histograms: j.q.Calibrator.Histograms(), Session: j.sessionOptions(),
		Cache:    j.calibrationCache(),
		Progress: func(done int) { bar.Set(int64(done), int64(total)) },
	})
	if err != nil {
		return nil, badInput(err)
	}
	if result.Resumed > 0 {
		j.said = append(j.said, fmt.Sprintf("%d of %d calibration samples were observed by an earlier run", result.Resumed, result.Samples))
	}
	return result.Observations, nil
}

// calibrationCache is the file that keeps the observations of this model on
// this data; empty where no folder for it can be had.
func (j *quantizeJob) calibrationCache() string {
	dir := j.cacheDir
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(user, "optim")
	}
	dir = filepath.Join(dir, "calibration")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return ""
	}
	calibrate.Prune(dir)
	r := j.recipe
	return filepath.Join(dir, r.Digest("samples", "reading", "keep", "only")+"-"+observed(j.q)+".json")
}

// observed names what kind of observations a run makes.
func observed(q *quant.Options) string {
	if q.Calibrator.Histograms() {
		return "histograms"
	}
	return "extremes"
}

// explain turns the errors of rewriting into what the user can do.
func (j *quantizeJob) explain(err error) error {
	switch {
	case errors.Is(err, quant.ErrQuantized):
		return withHint(err, "quantize the float model that it was made of")
	case errors.Is(err, quant.ErrNothing) && j.o.calib == "" && strings.Contains(err.Error(), "--calib"):
		return withHint(err, "give --calib DATA: convolutions are quantized with data only")
	}
	return err
}

// showPlan prints what would be done.
func (j *quantizeJob) showPlan() error {
	bytes, err := j.plannedBytes()
	if err != nil {
		return err
	}
	p := &report.Plan{
		Header: report.Header{Command: "quantize", Config: j.configFile}, Input: j.o.model,
		Output: report.PlannedFile{Path: j.output, Bytes: bytes}, Warnings: append(planNotes(j.plan), j.said...),
	}
	_, p.Unchanged = planned(j.plan)
	for _, c := range j.plan.Changes {
		p.Plan = append(p.Plan, report.Step{Node: c.Node, Op: c.Op, Action: c.Action, Format: c.Format, BytesBefore: c.BytesBefore, BytesAfter: c.BytesAfter})
	}
	return j.emit(p)
}

// plannedBytes estimates the output: the source with its weights exchanged.
func (j *quantizeJob) plannedBytes() (int64, error) {
	bytes, err := inspect.Bytes(j.source)
	for sign, m := range map[int64]*onnx.Model{-1: j.source, 1: j.work} {
		m.WalkGraphs(func(g *onnx.Graph, _ string) {
			for _, t := range g.Initializers {
				bytes += sign * t.Size()
			}
		})
	}
	return bytes, err
}

// prove writes the model through the gate and fills in the report.
func (j *quantizeJob) prove(ctx context.Context, r *report.Transform) error {
	if err := j.recipe.Store(j.work); err != nil {
		return err
	}
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
		Runtime: j.rt, Session: j.sessionOptions(), Source: j.source, Result: j.work,
		Output: j.output, Force: j.o.write.force, External: j.o.write.externalData, Workers: j.threads,
		Probe: gate.Data{Source: probe, Read: read}, Eval: gate.Data{Source: j.o.write.eval, Read: evalRead}, Metric: j.o.write.metric,
		MaxLoss: j.o.write.maxLoss, MinSpeedup: j.o.write.minSpeedup, MaxSize: j.o.write.maxSize, Measure: j.o.write.measure,
		Progress: bar.Set,
	})
	j.fill(r, v)
	return gateError(err)
}

func (j *quantizeJob) fill(r *report.Transform, v *gate.Verdict) {
	r.Changes, r.Unchanged = planned(j.plan)
	r.Warnings = append(append(planNotes(j.plan), j.said...), v.Warnings...)
	r.Input = report.File{Path: j.o.model, Bytes: v.BytesBefore, Parameters: inspect.Parameters(j.source)}
	r.Output = &report.File{Path: j.output, Bytes: v.BytesAfter, Parameters: inspect.Parameters(j.source)}
	if v.BytesBefore > 0 {
		reduction := 1 - float64(v.BytesAfter)/float64(v.BytesBefore)
		r.SizeReduction = &reduction
	}
	r.Acceptable = len(v.Missed) == 0
	for _, m := range v.Missed {
		r.Missed = append(r.Missed, fmt.Sprintf("%s: %s; try: %s", m.Limit, m.Detail, m.Try))
	}
	if q := v.Quality; q != nil {
		r.Quality = &report.Quality{Metric: q.Metric, Before: q.Before, After: q.After, Retention: q.Retention, Limit: q.Limit,
			Acceptable: q.Limit == nil || *q.Retention > *q.Limit, Samples: q.Samples}
		if q.After == nil {
			r.Quality.After = &q.Value
		}
	}
	if s := v.Speed; s != nil {
		r.Speed = &report.Speed{BeforeMS: s.Before, AfterMS: s.After, Speedup: s.Speedup, Low: s.Low, High: s.High}
	}
	if v.Opset > 0 {
		r.Needs = &report.Needs{Opset: v.Opset, ONNXRuntime: v.Needs}
	}
	r.Kernels = v.Kernels
	r.PeakRSS = measure.PeakRSS()
}

// gateError gives the gate's errors their exit status.
func gateError(err error) error {
	var target *gate.OutputError
	var data *dataset.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gate.ErrLimit):
		return &exitError{code: exitLimit, err: err}
	case errors.As(err, &target):
		return &exitError{code: exitUsage, err: err}
	case errors.As(err, &data), errors.Is(err, gate.ErrSource):
		return badInput(err)
	}
	return err
}
