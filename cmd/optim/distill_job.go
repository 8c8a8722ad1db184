package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/distill"
	"optim/internal/distill/student"
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
	if j.read, err = j.o.read.options(); err != nil {
		return err
	}
	j.read.Seed = j.o.write.seed
	j.read.Vocab, j.read.PositionRows = inspect.Tables(j.source)
	var notes []string
	j.rows, notes, err = j.o.train.rows(ctx, j.read, j.info)
	j.said = append(j.said, notes...)
	return err
}

// describe returns the recipe: everything that decides the bytes of the result.
func (j *distillJob) describe() (recipe.Recipe, error) {
	r := recipe.New("distill", version)
	var err error
	if r.Source, err = j.source.Hash(); err != nil {
		return r, badInput(err)
	}
	if r.Data, err = recipe.Fingerprint(j.o.train.data); err != nil && j.o.train.data != dataset.Random {
		return r, badInput(fileError(err))
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
	r.Set("reading", fmt.Sprint(o.read.seqLen, o.read.stride, o.read.textAs, o.read.preprocess, o.read.layout, o.read.shape, o.read.dim))
	if o.write.eval != "" { // it decides which epoch is kept
		sum, err := recipe.Fingerprint(o.write.eval)
		if err != nil && o.write.eval != dataset.Random {
			return r, badInput(fileError(err))
		}
		r.Set("eval", fmt.Sprint(sum, o.write.metric, o.read.evalSamples))
	}
	if ext := o.write.externalData; ext != "auto" {
		r.Set("external_data", ext)
	}
	return r, nil
}

// make returns the student of a stage, made from that model.
func (j *distillJob) make(ctx context.Context, from *onnx.Model, stage int) (*onnx.Model, student.Report, error) {
	if j.own != nil {
		r := student.Report{Before: inspect.Parameters(j.source), After: inspect.Parameters(j.own)}
		return j.own, r, nil
	}
	b, err := from.Marshal()
	if err != nil {
		return nil, student.Report{}, fmt.Errorf("%s: %w", j.o.teacher, err)
	}
	m, err := onnx.Parse(b)
	if err != nil {
		return nil, student.Report{}, err
	}
	r, err := student.Reduce(ctx, j.rt, m, student.Options{
		Factor: j.o.reduce, Random: j.o.init == "random", Seed: uint64(j.o.write.seed) + uint64(stage), Session: j.sessionOptions(),
	})
	if err != nil {
		return nil, r, badInput(fmt.Errorf("%s: %w", j.o.teacher, err))
	}
	r.Before, r.After = inspect.Parameters(from), inspect.Parameters(m)
	return m, r, nil
}

// train runs all stages.
func (j *distillJob) train(ctx context.Context, r *report.Transform) error {
	if err := os.MkdirAll(j.folder, 0o755); err != nil {
		return fileError(err)
	}
	teacher := j.source
	for stage := 1; stage <= j.o.stages; stage++ {
		m, made, err := j.make(ctx, teacher, stage)
		if err != nil {
			return err
		}
		out, err := j.stage(ctx, teacher, m, stage)
		if err != nil {
			_ = os.Remove(j.folder) // only if there is no checkpoint in it
			return j.explain(err)
		}
		j.note(r, stage, made, out)
		if j.o.keepStages != "" {
			if err := j.keepStage(ctx, m, stage); err != nil {
				return err
			}
		}
		teacher, j.pupil = m, m
	}
	return j.recipe.Store(j.pupil)
}

// stage trains one student.
func (j *distillJob) stage(ctx context.Context, teacher, m *onnx.Model, stage int) (*train.Outcome, error) {
	o := j.o
	opts, err := o.train.options(j.app, j.rows.Len())
	if err != nil {
		return nil, err
	}
	bar := j.trainingBar(o.stages, stage)
	defer bar.Done()
	file := filepath.Join(j.folder, fmt.Sprintf("stage-%d.ckpt", stage))
	_, missing := os.Stat(file)
	lesson := distill.Options{
		Temperature: o.temperature, Alpha: o.alpha, Beta: o.beta, Gamma: o.gamma,
		Train: opts, Batch: o.train.batch, Seed: uint64(o.write.seed), Every: o.train.logEvery, Patience: o.train.patience,
		Recompute: o.train.recompute, Cache: o.cache, TopK: o.topK,
		Checkpoint: file, SaveEvery: saveEvery, Resume: o.train.resume && missing == nil,
		Identity:    fmt.Sprintf("%s stage %d", j.recipe.Digest(sortedKeys(j.recipe.Options)...), stage),
		Environment: j.environment(ctx, j.rt), Memory: j.room(ctx), Progress: bar.step,
	}
	lesson.CacheKey = j.recipe.Digest("reading", "seed") + fmt.Sprint(" ", o.train.samples)
	if stage > 1 { // the teacher is what this very run has trained
		lesson.CacheKey = lesson.Identity
	}
	if o.write.eval != "" {
		read := j.read
		read.Samples = o.read.evalSamples
		metric, err := j.figure(j.rt, j.info, read, &o.write)
		if err != nil {
			return nil, err
		}
		lesson.Better = metric.better
		lesson.Evaluate = func(ctx context.Context, m *onnx.Model) (float64, error) { return metric.measure(ctx, teacher, m) }
	}
	out, err := distill.Run(ctx, j.rt, teacher, m, j.rows, lesson)
	if out != nil && out.Moved {
		j.said = append(j.said, "the checkpoint was written on another machine or with another number of threads: equal bytes are not promised")
	}
	return out, err
}

// explain turns the errors of training into what the user can do.
func (j *distillJob) explain(err error) error {
	var named *dataset.Error
	switch {
	case errors.Is(err, context.Canceled):
		return withHint(err, "the same command with --resume goes on from %q", j.folder)
	case errors.Is(err, distill.ErrMemory):
		return withHint(err, "a smaller --batch-size with --accumulate, or --recompute")
	case errors.Is(err, train.ErrDiverged):
		return withHint(err, "a smaller --lr, --clip-grad 1 or --warmup-steps 100 may help; the last checkpoint is in %q", j.folder)
	case errors.Is(err, train.ErrCheckpoint):
		return withHint(badInput(err), "begin anew with --force")
	case errors.Is(err, distill.ErrNoLabels):
		return withHint(badInput(fmt.Errorf("%s: %w", j.o.train.data, err)), "--alpha 1 learns from the teacher alone")
	case errors.As(err, &named):
		return badInput(err)
	}
	return badInput(fmt.Errorf("%s: %w", j.o.teacher, err))
}

// note puts a stage into the report.
func (j *distillJob) note(r *report.Transform, stage int, made student.Report, out *train.Outcome) {
	s := report.Student{Stage: stage, Teacher: made.Before, Parameters: made.After, Ratio: made.Ratio(), Layers: made.Kept, Best: out.Best}
	for _, g := range made.Groups {
		groups := ""
		if g.Groups > 1 {
			groups = fmt.Sprintf(" in %d groups each", g.Groups)
		}
		s.Divided = append(s.Divided, fmt.Sprintf("units: %d → %d%s", g.Before, g.After, groups))
	}
	if out.Best > 0 {
		s.Quality = out.Epochs[out.Best-1].Metric
	}
	r.Students = append(r.Students, s)
	tag := 0
	if j.o.stages > 1 {
		tag = stage
	}
	addTraining(r, out, tag)
	j.said = append(j.said, made.Notes...)
	if out.Stopped {
		j.said = append(j.said, fmt.Sprintf("ended after %d epochs: %d without better quality", len(out.Epochs), j.o.train.patience))
	}
}

// keepStage writes a stage's student beside the others.
func (j *distillJob) keepStage(ctx context.Context, m *onnx.Model, stage int) error {
	if err := os.MkdirAll(j.o.keepStages, 0o755); err != nil {
		return fileError(err)
	}
	path := filepath.Join(j.o.keepStages, fmt.Sprintf("stage-%d.onnx", stage))
	_, err := m.WriteFile(path, onnx.WriteOptions{External: j.o.write.externalData, DataPath: path + ".data", Context: ctx})
	return fileError(err)
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
		Progress: bar.Set,
	})
	if v != nil {
		fillVerdict(r, v, report.File{Path: j.o.teacher, Parameters: inspect.Parameters(j.source)}, report.File{Path: j.output, Parameters: inspect.Parameters(j.pupil)})
		ratio := float64(inspect.Parameters(j.source)) / math.Max(1, float64(inspect.Parameters(j.pupil)))
		r.CompressionRatio = &ratio
		r.Warnings = distinct(j.said, v.Warnings)
	}
	if err != nil {
		return gateError(err)
	}
	r.Warnings = append(r.Warnings, j.o.train.finished(j.folder)...)
	if j.o.plot != "" {
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
