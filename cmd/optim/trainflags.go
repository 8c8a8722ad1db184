package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"optim/internal/dataset"
	"optim/internal/train"
)

const groupTraining = "Training"

// trainFlags are the flags of every command that trains.
type trainFlags struct {
	data, optimizer, schedule, checkpoint string

	epochs, steps, batch, accumulate, warmup, logEvery, samples, patience int

	rate, decay, clip float64

	resume, recompute bool
}

// register adds the flags with the defaults of a command.
func (o *trainFlags) register(fs *pflag.FlagSet, d trainFlags) {
	own := pflag.NewFlagSet(groupTraining, pflag.ContinueOnError)
	own.StringVar(&o.data, "data", "", "`data` to train on: .txt, .jsonl, .csv, .npz, .npy, a folder of pictures, or random")
	own.IntVar(&o.epochs, "epochs", d.epochs, "times that the data is gone through")
	own.IntVar(&o.steps, "steps", 0, "steps to make, instead of --epochs")
	own.IntVar(&o.batch, "batch-size", d.batch, "samples of a batch")
	own.IntVar(&o.accumulate, "accumulate", 1, "batches whose gradients are averaged for one step")
	own.IntVar(&o.samples, "samples", 0, "samples to train on at most; 0: all")
	own.Float64Var(&o.rate, "lr", d.rate, "learning `rate` at its highest")
	enumVar(own, &o.optimizer, "optimizer", d.optimizer, "rule that changes the weights", train.Optimizers...)
	own.Float64Var(&o.decay, "weight-decay", d.decay, "weight decay; biases and normalizations have none")
	own.IntVar(&o.warmup, "warmup-steps", 0, "steps in which the learning rate rises from 0")
	enumVar(own, &o.schedule, "lr-schedule", "constant", "learning rate after the warm-up", train.Schedules...)
	own.Float64Var(&o.clip, "clip-grad", d.clip, "greatest `length` of a gradient; 0: any")
	own.IntVar(&o.patience, "patience", 0, "epochs without better quality (--eval) after which training ends; 0: never")
	own.StringVar(&o.checkpoint, "checkpoint", "", "`folder` of checkpoints (default: OUTPUT.checkpoint, removed in the end)")
	own.BoolVar(&o.resume, "resume", false, "go on from the checkpoint of an interrupted run")
	own.BoolVar(&o.recompute, "recompute", false, "compute inner values twice instead of keeping them: less memory, a third more time")
	own.IntVar(&o.logEvery, "log-every", 10, "steps between two points of the loss curve")
	markGroup(own, groupTraining)
	fs.AddFlagSet(own)
}

// check refuses numbers that mean nothing.
func (o *trainFlags) check(flags *pflag.FlagSet, evaluated bool) error {
	for _, f := range []struct {
		name  string
		n     int
		least int
	}{
		{"epochs", o.epochs, 1}, {"steps", o.steps, 0}, {"batch-size", o.batch, 1}, {"accumulate", o.accumulate, 1}, {"samples", o.samples, 0},
		{"warmup-steps", o.warmup, 0}, {"log-every", o.logEvery, 1}, {"patience", o.patience, 0},
	} {
		if f.n < f.least {
			return usagef("--%s must be at least %d, not %d", f.name, f.least, f.n)
		}
	}
	for _, f := range []struct {
		name string
		v    float64
	}{{"lr", o.rate}, {"weight-decay", o.decay}, {"clip-grad", o.clip}} {
		if !(f.v >= 0) || math.IsInf(f.v, 0) {
			return usagef("--%s must be a number from 0 on, not %v", f.name, f.v)
		}
	}
	switch {
	case o.rate == 0:
		return usagef("--lr must be above 0")
	case o.data == "":
		return withHint(usagef("no data to train on"), "give --data DATA")
	case o.data == "-":
		return notStdin("--data", o.data)
	case given(flags, "steps") && given(flags, "epochs"):
		return usagef("--steps and --epochs exclude each other")
	case o.patience > 0 && !evaluated:
		return withHint(usagef("--patience needs data to measure the quality on"), "give --eval DATA")
	}
	return nil
}

// openFolder returns the folder of checkpoints. One of an earlier run is never
// overwritten unasked.
func (o *trainFlags) openFolder(output string, w *writeFlags) (string, error) {
	folder := o.checkpoint
	if folder == "" {
		folder = output + ".checkpoint"
	}
	found, _ := filepath.Glob(filepath.Join(folder, "stage-*.ckpt"))
	switch {
	case w.dryRun:
	case o.resume && len(found) == 0:
		return "", withHint(usagef("there is no checkpoint in %q", folder), "begin without --resume, or name the folder with --checkpoint")
	case len(found) > 0 && !o.resume && !w.force:
		return "", withHint(usagef("%q holds the checkpoint of an earlier run", folder), "--resume goes on from it, --force begins anew")
	case len(found) > 0 && !o.resume:
		for _, f := range found {
			if err := os.Remove(f); err != nil {
				return "", fileError(err)
			}
		}
	}
	return folder, nil
}

// recipe returns the options that decide the bytes of what is trained.
func (o *trainFlags) recipe() string {
	return fmt.Sprint(o.epochs, o.steps, o.batch, o.accumulate, o.samples, o.rate, o.optimizer, o.decay, o.warmup, o.schedule, o.clip, o.patience, o.recompute)
}

// kept says that the folder of checkpoints stays where the result was not written.
func (o *trainFlags) kept(folder string) []string {
	if _, err := os.Stat(folder); err != nil {
		return nil
	}
	return []string{fmt.Sprintf("the checkpoint stays in %q: --resume with another limit writes what was trained", folder)}
}

// finished removes the checkpoints and then their folder, unless the user named it or it
// holds something else, and returns what there is to say about that.
func (o *trainFlags) finished(folder string) []string {
	if o.checkpoint != "" {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(folder, "stage-*.ckpt"))
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			return []string{fmt.Sprintf("%s could not be removed: %v", f, fileError(err))}
		}
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []string{fmt.Sprintf("%q stays: it holds more than checkpoints", folder)}
	}
	return nil
}

// options returns what the flags say, for data of n samples.
func (o *trainFlags) options(a *app, n int) (train.Options, error) {
	per := train.StepsOf(n, o.batch, o.accumulate)
	if per == 0 {
		return train.Options{}, badInput(fmt.Errorf("%s: %d samples are less than a step of %d × %d (--batch-size, --accumulate)", o.data, n, o.batch, o.accumulate))
	}
	steps := o.steps
	if steps == 0 {
		steps = o.epochs * per
	}
	return train.Options{
		Optimizer: o.optimizer, Rate: o.rate, WeightDecay: o.decay, Momentum: 0.9, Clip: o.clip, Accumulate: o.accumulate,
		Warmup: o.warmup, Schedule: o.schedule, Steps: steps, Session: a.sessionOptions(),
	}, nil
}

// fit takes batches of the size that the model's inputs fix, and says so.
func (o *trainFlags) fit(rows *train.Rows) []string {
	if rows.Fixed == 0 || rows.Fixed == o.batch {
		return nil
	}
	o.batch = rows.Fixed
	return []string{fmt.Sprintf("batches of %d: the model takes no others", o.batch)}
}

// rows reads the data for a model.
func (o *trainFlags) rows(ctx context.Context, read dataset.Options, info dataset.ModelInfo) (*train.Rows, []string, error) {
	read.Samples, read.SplitPairs, read.Spread = o.samples, true, true
	set, err := dataset.Open(o.data, info, read)
	if err != nil {
		return nil, nil, badInput(err)
	}
	defer set.Close()
	rows, err := train.ReadRows(ctx, set)
	if err != nil {
		return nil, nil, badInput(err)
	}
	return rows, set.Notes, nil
}
