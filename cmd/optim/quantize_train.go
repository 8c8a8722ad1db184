package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"optim/internal/distill"
	"optim/internal/distill/qat"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/report"
	"optim/internal/train"
)

// heldShare is the part of the training data by which the best epoch is chosen, the
// model without training being one of them.
const heldShare = 0.1

// checkTraining refuses flags of training where nothing is trained, and lets training
// calibrate on its own data.
func (o *quantizeOptions) checkTraining(flags *pflag.FlagSet) error {
	if quant.Method(o.method) == quant.QAT {
		if err := o.train.check(flags, true); err != nil {
			return err
		}
		if o.activations == 16 || o.mixed || o.cache != "source" {
			return usagef("--method qat goes with none of --activation-bits 16, --mixed and --kv-cache")
		}
		if o.calib == "" && o.format == string(quant.Int8) {
			o.calib = o.train.data
		}
		o.smooth = "off" // training finds its own balance
		return nil
	}
	o.train.data = ""
	if name := trainingFlag(flags); name != "" {
		return withHint(usagef("--%s means nothing for %s", name, o.what()), "--method qat trains")
	}
	return nil
}

// trainingFlag names a flag of training that was given on the command line.
func trainingFlag(flags *pflag.FlagSet) (name string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if note(f, noteGroup) == groupTraining && given(flags, f.Name) && name == "" {
			name = f.Name
		}
	})
	return name
}

// learn trains weights and scales on --data, in the place that quantizing a copy gives
// them.
func (j *quantizeJob) learn(ctx context.Context, obs quant.Observations) error {
	j.unbias(obs)
	plan, err := j.firstPlan(ctx, obs)
	if err != nil {
		return err
	}
	read, err := j.o.read.options()
	if err != nil {
		return err
	}
	read.Seed = j.o.write.seed
	read.Vocab, read.PositionRows = inspect.Tables(j.source)
	rows, notes, err := j.o.train.rows(ctx, read, j.info)
	if err != nil {
		return err
	}
	j.said = append(append(j.said, notes...), j.o.train.fit(rows)...)
	rest, held := rows.Hold(heldShare)
	opts, err := j.o.train.options(j.app, rest.Len())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(j.folder, 0o755); err != nil {
		return fileError(err)
	}
	bar := j.trainingBar(1, 1)
	defer bar.Done()
	lesson := distill.Options{
		Temperature: 1, Train: opts, Batch: j.o.train.batch, Seed: uint64(j.o.write.seed), Every: j.o.train.logEvery, Patience: j.o.train.patience,
		Recompute: j.o.train.recompute, Held: held, Checkpoint: filepath.Join(j.folder, "stage-1.ckpt"), SaveEvery: saveEvery, Resume: j.o.train.resume,
		Identity: j.recipe.Digest(sortedKeys(j.recipe.Options)...), Environment: j.environment(ctx, j.rt), Memory: j.room(ctx), Progress: bar.step,
	}
	if rows.Kind == train.NoLabels {
		lesson.Alpha = 1
		j.said = append(j.said, "the data has no labels: the float model teaches")
	}
	j.learned, err = qat.Train(ctx, j.rt, j.source, j.work, j.q, plan, rest, lesson)
	if err != nil {
		_ = os.Remove(j.folder) // only if there is no checkpoint in it
		return explainTraining(err, j.o.model, j.o.train.data, j.folder)
	}
	if j.learned.Outcome.Best == 0 {
		j.said = append(j.said, "training found nothing better than where it began, by the loss on samples that were held out: more epochs or another --lr may")
	}
	j.q.Codes, j.q.Scales, j.q.Solutions = j.learned.Codes, j.learned.Scales, j.learned.Solutions
	return nil
}

// round learns how the weights are rounded, on the calibration data.
func (j *quantizeJob) round(ctx context.Context) error {
	plan, err := j.firstPlan(ctx, nil)
	if err != nil {
		return err
	}
	set, err := j.calibrationSet(0)
	if err != nil {
		return err
	}
	defer set.Close()
	rows, err := train.ReadRows(ctx, set)
	if err != nil {
		return badInput(err)
	}
	bar := j.progress("learning to round")
	defer bar.Done()
	lesson := distill.Options{
		Train: train.Options{Session: j.sessionOptions()}, Batch: min(8, rows.Len()), Seed: uint64(j.o.write.seed), Every: 1 << 30,
	}
	learned, err := qat.Round(ctx, j.rt, j.source, j.work, j.q, plan, rows, lesson, func(done, total int) { bar.Set(int64(done), int64(total)) })
	if err != nil {
		return explainTraining(err, j.o.model, j.o.train.data, j.folder)
	}
	j.said = append(j.said, set.Notes...)
	j.q.Scales, j.q.Solutions = learned.Scales, learned.Solutions
	return nil
}

// unbias forgets the means by which biases are corrected: training sees the rounding
// itself.
func (j *quantizeJob) unbias(obs quant.Observations) {
	for _, o := range obs {
		o.Mean = nil
	}
}

// firstPlan quantizes a copy, to know where integers come.
func (j *quantizeJob) firstPlan(ctx context.Context, obs quant.Observations) (*quant.Plan, error) {
	copied, err := onnx.Open(j.o.model)
	if err != nil {
		return nil, badInput(err)
	}
	defer copied.Close()
	if _, err := j.prepare(copied); err != nil {
		return nil, err
	}
	return quant.Quantize(ctx, copied, j.q, obs, j.workers())
}

// trained puts the training into the report, and removes its checkpoints.
func (j *quantizeJob) trained(r *report.Transform) {
	if j.learned == nil {
		return
	}
	addTraining(r, j.learned.Outcome, 0)
	if out := j.learned.Outcome; out.Before != nil && out.After != nil {
		r.Loss = &report.Loss{Before: *out.Before, After: *out.After, Increase: *out.After - *out.Before}
	}
	if r.Acceptable {
		r.Warnings = append(r.Warnings, j.o.train.finished(j.folder)...)
	}
}
