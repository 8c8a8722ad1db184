package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"optim/internal/distill"
	"optim/internal/distill/student"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/report"
	"optim/internal/train"
)

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
			return explainTraining(err, j.o.teacher, j.o.train.data, j.folder)
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
	lesson.CacheKey = j.recipe.Digest(append([]string{"seed"}, readingOptions...)...) + fmt.Sprint(" ", o.train.samples)
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
