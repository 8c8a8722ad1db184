package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"optim/internal/eval"
	"optim/internal/report"
)

const evalLong = `Measure the quality of a model on data: accuracy or F1 with labels, perplexity
of a language model on text, rank correlation of sentence pairs with scores.

With --against, tell how much of a reference's quality was kept, with a 95 %
interval over the samples (paired bootstrap), how often both decide alike, and for
accuracy McNemar's test; for language models the KL divergence, the change of the
probabilities and the ratio of the perplexities, as llama.cpp's perplexity tool
does. --min-retention and --max-loss make the retention itself, whatever its
interval, a test (exit 4). Cosine, mse
and agreement compare the outputs of the two models and need no labels. --per-node
compares the activations that both models have and lists them, worst first.`

const evalExample = `  optim eval model.onnx --data test.npz
  optim eval model.int8.onnx --against model.onnx --data test.npz --max-loss 0.02
  optim eval gpt.onnx --data test.txt --seq-len 128
  optim eval model.int8.onnx --against model.onnx --data random --metric cosine
  optim eval model.int8.onnx --against model.onnx --data test.npz --per-node --samples 32`

// evalOptions are the flags of eval.
type evalOptions struct {
	model, data, metric, against string

	limit   float64 // retention must be greater
	limited bool
	perNode bool
	batch   int
	read    dataFlags
}

func newEvalCmd(a *app) *cobra.Command {
	o := &evalOptions{}
	var retention, loss float64
	cmd := &cobra.Command{
		Use:               "eval MODEL --data DATA [flags]",
		Short:             "Measure the quality of a model on data",
		Long:              evalLong,
		Example:           evalExample,
		Annotations:       map[string]string{noteExit: "3,4,5"},
		ValidArgsFunction: completeModel,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.model, err = oneModel("MODEL", args); err != nil {
				return err
			}
			if err := o.check(cmd.Flags(), retention, loss); err != nil {
				return err
			}
			return runEval(cmd.Context(), a, o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.data, "data", "", "`data` to evaluate on: .npz, .npy, .txt, .jsonl, .csv, a folder of pictures, or random")
	enumVar(fs, &o.metric, "metric", "auto", "quality to measure", eval.Metrics...)
	fs.StringVar(&o.against, "against", "", "`model` to compare with")
	fs.Float64Var(&retention, "min-retention", 0, "the quality must be more than this `fraction` of the reference's")
	fs.Float64Var(&loss, "max-loss", 0, "the loss of the reference's quality must stay below this `fraction`")
	fs.BoolVar(&o.perNode, "per-node", false, "compare the activations that both models have")
	fs.IntVar(&o.batch, "batch", 0, "samples per run; 0: as many as run fast and change nothing")
	o.read.register(fs, false)
	fs.IntVar(&o.read.evalSamples, "samples", 0, "short for --eval-samples")
	choose(fs, "limit", "min-retention", "max-loss")
	choose(fs, "samples", "samples", "eval-samples")
	return cmd
}

// check refuses what cannot be measured and resolves the two forms of a limit. A
// limit of environment or file is let go where there is nothing to hold it to.
func (o *evalOptions) check(flags *pflag.FlagSet, retention, loss float64) error {
	if o.data == "" {
		return withHint(usagef("--data is missing"), "give --data DATA; \"optim help eval\" tells what it may be")
	}
	if err := notStdin("--data", o.data); err != nil {
		return err
	}
	if o.batch < 0 || o.batch > mostBatchSize {
		return usagef("--batch must be from 1 to %d, or 0 for a batch that is chosen, not %d", mostBatchSize, o.batch)
	}
	for _, name := range []string{"min-retention", "max-loss"} {
		v := map[string]float64{"min-retention": retention, "max-loss": loss}[name]
		if !(v >= 0 && v <= 1) {
			return usagef("--%s must be a fraction from 0 to 1, not %v", name, v)
		}
		idle := o.against == "" || o.metric == eval.MSE
		if given(flags, name) || flags.Changed(name) && !idle {
			o.limited, o.limit = true, v
			if name == "max-loss" {
				o.limit = 1 - v
			}
		}
	}
	if o.against == "" {
		o.perNode = o.perNode && given(flags, "per-node")
		return o.checkAlone()
	}
	if o.limited && o.metric == eval.MSE {
		return usagef("a limit means nothing for --metric mse, which has no retention")
	}
	if err := notStdin("--against", o.against); err != nil {
		return err
	}
	return o.read.check()
}

// checkAlone checks the flags where there is no reference.
func (o *evalOptions) checkAlone() error {
	var what string
	switch {
	case o.limited:
		what = "a limit of retention"
	case o.perNode:
		what = "--per-node"
	case eval.NeedsReference(o.metric):
		what = "--metric " + o.metric
	default:
		return o.read.check()
	}
	return withHint(usagef("%s needs a model to compare with", what), "give --against REFERENCE")
}

func runEval(ctx context.Context, a *app, o *evalOptions) error {
	start := time.Now()
	e := &evaluation{app: a, o: o}
	defer e.close()
	if err := e.open(); err != nil {
		return err
	}
	r := &report.Eval{
		Header: report.Header{Command: "eval", Config: a.configFile},
		Path:   o.model, Data: o.data, Against: o.against,
	}
	if err := e.measure(ctx, r); err != nil {
		return err
	}
	if o.perNode {
		if err := e.perNode(ctx, r); err != nil {
			return err
		}
	}
	r.Warnings = append(r.Warnings, e.notes()...)
	r.Duration = time.Since(start).Seconds()
	missed := o.judge(r)
	if err := a.emit(r); err != nil {
		return errors.Join(err, missed)
	}
	return missed
}

// judge compares the retention with the limit.
func (o *evalOptions) judge(r *report.Eval) error {
	if !o.limited {
		return nil
	}
	ok := r.Retention != nil && *r.Retention > o.limit
	r.Limit, r.Acceptable = &o.limit, &ok
	if ok {
		return nil
	}
	kept := "nothing"
	if r.Retention != nil {
		kept = fmt.Sprintf("%.4f", *r.Retention)
	}
	return limitf("quality: retention of %s is %s, and must be greater than %.4f", r.Metric, kept, o.limit)
}
