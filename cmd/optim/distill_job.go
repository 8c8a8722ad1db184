package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/recipe"
	"optim/internal/report"
	"optim/internal/train"
)

// distillJob holds what one run of distill works on.
type distillJob struct {
	*app
	start  time.Time
	o      *distillOptions
	output string
	rt     *ort.Runtime
	info   dataset.ModelInfo
	source *onnx.Model // the teacher as it was read
	pupil  *onnx.Model // the student of the stage that is trained, and in the end the result
	own    *onnx.Model // of --student
	rows   *train.Rows
	read   dataset.Options
	recipe recipe.Recipe
	folder string // of checkpoints
	said   []string
}

func (j *distillJob) close() {
	for _, m := range []*onnx.Model{j.source, j.own} {
		if m != nil {
			m.Close()
		}
	}
	if j.rt != nil {
		j.rt.Close()
	}
}

// open reads the models and the data and checks the target, before any work.
func (j *distillJob) open(ctx context.Context) (err error) {
	if j.source, err = onnx.Open(j.o.teacher); err != nil {
		return badInput(err)
	}
	inputs, err := inspect.Files(j.source)
	if err != nil {
		return badInput(err)
	}
	if j.o.student != "" {
		if j.own, err = onnx.Open(j.o.student); err != nil {
			return badInput(err)
		}
		files, err := inspect.Files(j.own)
		if err != nil {
			return badInput(err)
		}
		inputs = append(inputs, files...)
	}
	for _, file := range []string{j.o.train.data, j.o.write.eval, j.o.read.tokenizer, j.configFile, j.ortLib, j.customOps} {
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
	if err := j.o.checkFiles(append(inputs, j.output, j.output+".data")); err != nil {
		return err
	}
	if j.folder, err = j.o.train.openFolder(j.output, &j.o.write); err != nil {
		return err
	}
	if j.recipe, err = j.describe(); err != nil {
		return err
	}
	if j.rt, err = j.runtime(); err != nil {
		return err
	}
	if j.info, err = calibrate.Describe(j.rt, j.source, j.sessionOptions()); err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.teacher, err))
	}
	if err := j.sameInterface(); err != nil {
		return err
	}
	if j.read, err = j.o.read.options(); err != nil {
		return err
	}
	j.read.Seed = j.o.write.seed
	j.read.Vocab, j.read.PositionRows = inspect.Tables(j.source)
	var notes []string
	j.rows, notes, err = j.o.train.rows(ctx, j.read, j.info)
	j.said = append(j.said, notes...)
	if err == nil {
		j.said = append(j.said, j.o.train.fit(j.rows)...)
	}
	return err
}

// sameInterface refuses a student of one's own that could not stand for its teacher, before
// it is trained.
func (j *distillJob) sameInterface() error {
	if j.own == nil {
		return nil
	}
	own, err := calibrate.Describe(j.rt, j.own, j.sessionOptions())
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.student, err))
	}
	vocab, _ := inspect.Tables(j.own)
	if theirs, _ := inspect.Tables(j.source); vocab > 0 && theirs > vocab {
		return badInput(fmt.Errorf("%s: its vocabulary has %d ids, the teacher's %d", j.o.student, vocab, theirs))
	}
	err = gate.SameInterface(gate.Interface{Inputs: j.info.Inputs, Outputs: j.info.Outputs}, gate.Interface{Inputs: own.Inputs, Outputs: own.Outputs})
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.student, err))
	}
	return nil
}

// describe returns the recipe: everything that decides the bytes of the result.
func (j *distillJob) describe() (recipe.Recipe, error) {
	r := recipe.New("distill", version)
	var err error
	if r.Source, err = j.source.Hash(); err != nil {
		return r, badInput(err)
	}
	if r.Data, err = fingerprint(j.o.train.data); err != nil {
		return r, err
	}
	if j.own != nil {
		sum, err := j.own.Hash()
		if err != nil {
			return r, badInput(err)
		}
		r.Set("student", sum)
	}
	o := j.o
	r.Set("make", fmt.Sprint(o.reduce, o.init, o.stages))
	r.Set("loss", fmt.Sprint(o.temperature, o.alpha, o.beta, o.gamma, o.topK))
	r.Set("training", o.train.recipe())
	r.Set("seed", fmt.Sprint(o.write.seed))
	o.read.describe(r.Set, o.teacher, o.train.data, o.write.eval)
	if o.write.eval != "" { // it decides which epoch is kept
		sum, err := fingerprint(o.write.eval)
		if err != nil {
			return r, err
		}
		r.Set("eval", fmt.Sprint(sum, o.write.metric, o.read.evalSamples))
	}
	if ext := o.write.externalData; ext != "auto" {
		r.Set("external_data", ext)
	}
	return r, nil
}

// prove lets the student through the gate, with the teacher as its source.
func (j *distillJob) prove(ctx context.Context, r *report.Transform) error {
	evalRead := j.read
	evalRead.Samples = j.o.read.evalSamples
	probe := j.o.write.eval
	if probe == "" {
		probe = j.o.train.data
	}
	bar := j.stages()
	defer bar.Done()
	v, err := gate.Run(ctx, gate.Options{
		Runtime: j.rt, Session: j.sessionOptions(), Source: j.source, Result: j.pupil,
		Output: j.o.write.target(j.output), Workers: j.threads,
		Probe: gate.Data{Source: probe, Read: j.read}, Eval: gate.Data{Source: j.o.write.eval, Read: evalRead}, Metric: j.o.write.metric,
		MaxLoss: j.o.write.maxLoss, MinSpeedup: j.o.write.minSpeedup, MaxSize: j.o.write.maxSize, Measure: j.o.write.measure,
		Advice:   distillAdvice,
		Progress: bar.Set,
	})
	if v != nil {
		fillVerdict(r, v, report.File{Path: j.o.teacher, Parameters: inspect.Parameters(j.source)}, report.File{Path: j.output, Parameters: inspect.Parameters(j.pupil)})
		ratio := float64(inspect.Parameters(j.source)) / math.Max(1, float64(inspect.Parameters(j.pupil)))
		r.CompressionRatio = &ratio
		r.Warnings = distinct(j.said, v.Warnings)
	}
	if err != nil {
		r.Warnings = append(r.Warnings, j.o.train.kept(j.folder)...)
		return gateError(err)
	}
	r.Warnings = append(r.Warnings, j.o.train.finished(j.folder)...)
	if j.o.plot != "" {
		r.Wrote = append(r.Wrote, j.o.plot)
		return writeCurve(j.o.plot, r)
	}
	return nil
}

// showPlan says what students would be made and trained.
func (j *distillJob) showPlan(ctx context.Context) error {
	p := &report.Plan{Header: report.Header{Command: "distill", Config: j.configFile}, Input: j.o.teacher, Output: report.PlannedFile{Path: j.output}}
	opts, err := j.o.train.options(j.app, j.rows.Len())
	if err != nil {
		return err
	}
	from := j.source
	for stage := 1; stage <= j.o.stages; stage++ {
		m, made, err := j.make(ctx, from, stage)
		if err != nil {
			return err
		}
		p.Plan = append(p.Plan, report.Step{Node: fmt.Sprintf("stage %d", stage), Op: "student", Action: fmt.Sprintf("train %d steps", opts.Steps), Format: "float32",
			BytesBefore: 4 * made.Before, BytesAfter: 4 * made.After})
		j.said = append(j.said, made.Notes...)
		from = m
	}
	if p.Output.Bytes, err = from.WrittenSize(j.output, onnx.WriteOptions{External: j.o.write.externalData, DataPath: j.output + ".data"}); err != nil {
		return err
	}
	p.Warnings = distinct(j.said)
	return j.emit(p)
}

// distillAdvice is what to try where a limit is missed.
var distillAdvice = map[string]string{
	"quality": "train longer (--epochs), with more --data, a smaller --reduce, or --stages",
	"size":    "a larger --reduce",
	"speed":   "a larger --reduce",
}
