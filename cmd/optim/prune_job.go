package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/prune"
	"optim/internal/recipe"
	"optim/internal/report"
)

// errNothingPruned says that a model has nothing of the kind that was named.
var errNothingPruned = errors.New("nothing could be pruned")

// pruneJob holds what one run of prune works on.
type pruneJob struct {
	*app
	start  time.Time
	o      *pruneOptions
	output string
	rt     *ort.Runtime
	source *onnx.Model // as it was read
	recipe recipe.Recipe
	stage
	step     int                       // of --steps, from 1
	sparsity float64                   // of the step
	units    map[string]int            // of each group at first, by its name
	scores   map[string][]float32      // of weights, by gradients; nil: by magnitude
	matrices []prune.Matrix            // that seen is of
	seen     map[string]*prune.Moments // of activations, by weight
	info     dataset.ModelInfo
	folder   string // of checkpoints
	closers  []func()
}

// stage is what a step has made.
type stage struct {
	work    *onnx.Model
	changes []report.Change
	left    []report.Unchanged
	zeroed  *prune.Zeroed // nil: nothing was put to zero
	said    []string
}

func (j *pruneJob) close() {
	for _, f := range j.closers {
		f()
	}
	for _, m := range []*onnx.Model{j.source, j.work} {
		if m != nil {
			m.Close()
		}
	}
	if j.rt != nil {
		j.rt.Close()
	}
}

// open reads the model twice, once to be changed, and checks the target.
func (j *pruneJob) open() (err error) {
	for _, m := range []**onnx.Model{&j.source, &j.work} {
		if *m, err = onnx.Open(j.o.model); err != nil {
			return badInput(err)
		}
	}
	inputs, err := inspect.Files(j.source)
	if err != nil {
		return badInput(err)
	}
	for _, file := range []string{j.o.calib, j.o.train.data, j.o.apply, j.o.write.eval, j.o.read.tokenizer, j.configFile, j.ortLib, j.customOps} {
		if file != "" && file != dataset.Random {
			inputs = append(inputs, file)
		}
	}
	if j.o.masks != "" {
		j.output = j.o.masks // held to the same rules as a model
	}
	if err := j.o.write.checkOutput(j.output, inputs...); err != nil {
		return err
	}
	if err := j.checkSummary(append(inputs, j.output, j.output+".data")...); err != nil {
		return err
	}
	if n := inspect.QuantizedNodes(j.source); n > 0 {
		return withHint(badInput(fmt.Errorf("%s: %d of its nodes are integer ones", j.o.model, n)), "prune the float model, and quantize then")
	}
	j.recipe = recipe.New("prune", version)
	if j.recipe.Source, err = j.source.Hash(); err != nil {
		return badInput(err)
	}
	j.recipe.Set("prune", j.o.recipe())
	if err := j.describe(); err != nil {
		return err
	}
	if j.o.finetune > 0 {
		if j.folder, err = j.o.train.openFolder(j.output, &j.o.write); err != nil {
			return err
		}
	}
	if ext := j.o.write.externalData; ext != "auto" {
		j.recipe.Set("external_data", ext)
	}
	if j.rt, err = j.runtime(); err != nil {
		return err
	}
	if j.info, err = calibrate.Describe(j.rt, j.source, j.sessionOptions()); err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	return nil
}

// describe sets in the recipe what decides the bytes of the result beside the kind.
func (j *pruneJob) describe() (err error) {
	o := j.o
	if o.train.data != "" {
		j.recipe.Set("training", o.train.recipe())
	}
	deciding := o.write.eval
	if o.steps == 1 && !o.budget { // it judges the result, and chooses nothing
		deciding = ""
	}
	if o.scoring().data != "" || deciding != "" {
		o.read.describe(j.recipe.Set, o.model, o.train.data, o.calib, deciding)
		j.recipe.Set("seed", fmt.Sprint(o.write.seed))
	}
	if j.recipe.Data, err = fingerprint(o.train.data); err != nil {
		return err
	}
	for _, f := range []struct{ name, source, how string }{
		{"calib", o.calib, fmt.Sprint(o.read.calibSamples)}, {"masks", o.apply, ""}, {"eval", deciding, fmt.Sprint(o.read.evalSamples, o.write.metric)},
	} {
		sum, err := fingerprint(f.source)
		if err != nil {
			return err
		}
		if sum != "" {
			j.recipe.Set(f.name, strings.TrimSpace(sum+" "+f.how))
		}
	}
	return nil
}

// prune changes the model in memory.
func (j *pruneJob) prune(ctx context.Context) (err error) {
	j.left = nil
	if !j.o.removes() { // what is removed adds up over --steps
		j.changes = nil
	}
	if j.o.bySensitivity() {
		if err := j.weigh(ctx); err != nil {
			return err
		}
	}
	if j.o.structured || j.o.heads || j.o.layers > 0 {
		err = j.remove(ctx)
	} else {
		err = j.zero(ctx)
	}
	return pruneError(j.o.model, err)
}

// pruneError names the model. A model with nothing to prune is no bad one.
func pruneError(model string, err error) error {
	if err == nil {
		return nil
	}
	named := fmt.Errorf("%s: %w", model, err)
	if errors.Is(err, errNothingPruned) {
		return named
	}
	return badInput(named)
}

// prove writes the model through the gate and fills in the report.
func (j *pruneJob) prove(ctx context.Context, r *report.Transform) error {
	read, err := j.o.read.options()
	if err != nil {
		return err
	}
	read.Seed = j.o.write.seed
	evalRead := read
	evalRead.Samples = j.o.read.evalSamples
	bar := j.stages()
	defer bar.Done()
	v, err := gate.Run(ctx, gate.Options{
		Runtime: j.rt, Session: j.sessionOptions(), Source: j.source, Result: j.work,
		Output: j.o.write.target(j.output), Workers: j.threads,
		Probe: gate.Data{Source: j.o.write.eval, Read: read}, Eval: gate.Data{Source: j.o.write.eval, Read: evalRead}, Metric: j.o.write.metric,
		MaxLoss: j.o.write.maxLoss, MinSpeedup: j.o.write.minSpeedup, MaxSize: j.o.write.maxSize, Measure: j.o.write.measure,
		Advice:   j.o.advice(),
		Progress: bar.Set,
	})
	if v != nil {
		if e := j.fill(r, v); e != nil {
			return e
		}
	}
	return gateError(err)
}

// advice is what to try where a limit is missed.
func (o *pruneOptions) advice() map[string]string {
	less := "--sparsity"
	switch {
	case o.budget && o.speedup > 0:
		less = "--speedup"
	case o.budget:
		less = "--max-size"
	case o.layers > 0 && !o.structured && !o.heads:
		less = "--layers"
	case o.nm != "":
		less = "--nm"
	case o.threshold > 0:
		less = "--threshold"
	case o.headThreshold > 0:
		less = "--head-threshold"
	}
	return map[string]string{
		"quality": "remove less (" + less + "), weigh by --score taylor or fisher on --data, or train afterwards (--data, --finetune-epochs)",
		"size":    "remove more with --structured or --heads: zeros make no file smaller",
		"speed":   "remove more with --structured or --heads: zeros make nothing faster",
	}
}
