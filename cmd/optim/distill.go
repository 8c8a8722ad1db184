package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"optim/internal/gate"
	"optim/internal/report"
)

const distillLong = `Train a smaller student to do what a teacher does.

The student is a model of your own (--student), or is made from the teacher's graph:
--reduce 2 halves its layers, heads, neurons, channels and width, and begins with
the weights that stay. It learns the teacher's outputs at --temperature and, where
the data has labels, the task itself; with --beta also the teacher's attention, with
--gamma what its layers give.

loss = alpha·T²·KL(teacher ‖ student) + (1 − alpha)·task + beta·attention + gamma·hidden

Everything runs in ONNX Runtime: forward, gradients and optimizer are graphs. Ctrl-C
writes a checkpoint; --resume goes on from it and ends with the same bytes. The
student is loaded, compared and measured against the teacher before it is written.`

const distillExample = `  optim distill --reduce 2 --data train.txt --eval valid.txt --max-loss 0.5 gpt.onnx
  optim distill --reduce 2 --stages 2 --data train.txt --beta 10 --gamma 0.1 gpt.onnx
  optim distill --student small.onnx --data train.npz --alpha 0.9 --temperature 4 big.onnx
  optim distill --reduce 2 --data train.txt --resume gpt.onnx`

// distillOptions are the flags of distill.
type distillOptions struct {
	teacher, student, init, keepStages, cache, plot string

	reduce, temperature, alpha, beta, gamma float64

	stages, topK int

	train trainFlags
	read  dataFlags
	write writeFlags
}

func newDistillCmd(a *app) *cobra.Command {
	o := &distillOptions{}
	cmd := &cobra.Command{
		Use:               "distill TEACHER --student FILE|--reduce N --data DATA [flags]",
		Short:             "Train a smaller student from a teacher",
		Long:              distillLong,
		Example:           distillExample,
		Annotations:       map[string]string{noteExit: "3,4,5"},
		ValidArgsFunction: completeModel,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.teacher, err = oneModel("TEACHER", args); err != nil {
				return err
			}
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			return runDistill(cmd.Context(), a, o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.student, "student", "", "`file` of the student, with the teacher's outputs")
	fs.Float64Var(&o.reduce, "reduce", 0, "make the student from the teacher: its layers, heads, neurons, channels and width divided by this `factor`")
	enumVar(fs, &o.init, "init", "teacher", "weights that a made student begins with: those that stay, or new ones", "teacher", "random")
	fs.Float64Var(&o.temperature, "temperature", 3, "`temperature` of the distributions that are compared")
	fs.Float64Var(&o.alpha, "alpha", 0.5, "`weight` of the distillation loss, from 0 to 1; the task has the rest")
	fs.Float64Var(&o.beta, "beta", 0, "`weight` of the attention (feature maps in networks for images)")
	fs.Float64Var(&o.gamma, "gamma", 0, "`weight` of the hidden states, through a learned matrix where widths differ")
	fs.IntVar(&o.stages, "stages", 1, "students one after another, each made from the one before and taught by it")
	fs.StringVar(&o.keepStages, "keep-stages", "", "`folder` for the students of all stages")
	fs.StringVar(&o.cache, "cache-teacher", "", "`folder` that keeps what the teacher says of each sample, for many epochs")
	fs.IntVar(&o.topK, "cache-top", 0, "logits a position that the cache keeps; 0: all")
	fs.StringVar(&o.plot, "plot", "", "`file` for the loss curve: .png, .svg or .csv")
	o.train.register(fs, trainFlags{epochs: 3, batch: 8, rate: 5e-5, optimizer: "adamw", decay: 0.01})
	o.read.register(fs, false)
	o.write.register(fs)
	return cmd
}

// check refuses what contradicts itself or means nothing.
func (o *distillOptions) check(flags *pflag.FlagSet) error {
	made := o.reduce != 0 || given(flags, "reduce")
	switch {
	case o.student == "" && !made:
		return withHint(usagef("no student is given"), "give --student FILE, or --reduce 2 to make one from the teacher")
	case o.student != "" && made:
		return usagef("--student and --reduce exclude each other")
	case o.student != "" && given(flags, "init"):
		return usagef("--init means nothing for --student, which has its weights")
	case o.student != "" && o.stages > 1:
		return usagef("--stages needs --reduce")
	case made && !(o.reduce > 1 && o.reduce <= 1000):
		return usagef("--reduce must be above 1, not %v", o.reduce)
	case o.stages < 1 || o.stages > 8:
		return usagef("--stages must be from 1 to 8, not %d", o.stages)
	case o.keepStages != "" && o.stages == 1:
		return usagef("--keep-stages needs --stages of 2 or more")
	case !(o.alpha >= 0 && o.alpha <= 1):
		return usagef("--alpha must be from 0 to 1, not %v", o.alpha)
	case !(o.temperature > 0 && o.temperature <= 1000):
		return usagef("--temperature must be above 0, not %v", o.temperature)
	case !(o.beta >= 0) || math.IsInf(o.beta, 0), !(o.gamma >= 0) || math.IsInf(o.gamma, 0):
		return usagef("--beta and --gamma must not be negative")
	case o.topK < 0 || o.topK > 0 && o.cache == "":
		return usagef("--cache-top needs --cache-teacher, and a number above 0")
	case o.cache != "" && o.alpha == 0 && o.beta == 0 && o.gamma == 0:
		return usagef("--cache-teacher means nothing where nothing is learned from the teacher")
	case o.student != "":
		if err := notStdin("--student", o.student); err != nil {
			return err
		}
	}
	if o.plot != "" {
		if err := checkCurve(o.plot); err != nil {
			return err
		}
	}
	if err := o.train.check(flags, o.write.eval != ""); err != nil {
		return err
	}
	if err := o.read.check(); err != nil {
		return err
	}
	return o.write.check(flags)
}

// checkFiles refuses to write over files that are read, or that nobody said may go.
func (o *distillOptions) checkFiles(taken []string) error {
	if o.plot != "" {
		if slices.ContainsFunc(taken, func(f string) bool { return gate.SameFile(f, o.plot) }) {
			return usagef("--plot %q is a file that this run needs", o.plot)
		}
		if info, err := os.Stat(filepath.Dir(o.plot)); err != nil || !info.IsDir() {
			return usagef("--plot %q: there is no such folder", o.plot)
		}
	}
	if o.keepStages == "" || o.write.force || o.write.dryRun {
		return nil
	}
	if found, _ := filepath.Glob(filepath.Join(o.keepStages, "stage-*.onnx")); len(found) > 0 {
		return withHint(usagef("%q holds students of an earlier run", o.keepStages), "give --force to overwrite them")
	}
	return nil
}

func runDistill(ctx context.Context, a *app, o *distillOptions) (err error) {
	j := &distillJob{app: a, start: time.Now(), o: o, output: o.write.outputPath(o.teacher, ".student")}
	defer j.close()
	if err := j.open(ctx); err != nil {
		return err
	}
	r := &report.Transform{Header: report.Header{Command: "distill", Config: a.configFile}}
	if done, err := j.upToDate(&o.write, j.source, j.output, j.recipe, r, j.start); done || err != nil {
		return err
	}
	if o.write.dryRun {
		return j.showPlan(ctx)
	}
	if err := j.train(ctx, r); err != nil {
		return err
	}
	err = j.prove(ctx, r)
	if err != nil && exitOf(err) != exitLimit {
		return err
	}
	r.Duration = time.Since(j.start).Seconds()
	if emitted := a.emit(r); emitted != nil {
		return emitted
	}
	return err
}
