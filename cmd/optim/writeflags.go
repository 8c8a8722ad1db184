package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"optim/internal/eval"
	"optim/internal/gate"
)

// writeFlags are the flags of every command that writes a model.
type writeFlags struct {
	output, ifUnchanged, externalData, eval, metric, measure string

	force, dryRun bool

	seed, maxSize int64

	keep, only []*regexp.Regexp

	maxLoss, minSpeedup float64
}

// register adds the flags to fs.
func (o *writeFlags) register(fs *pflag.FlagSet) {
	own := pflag.NewFlagSet(groupOutput, pflag.ContinueOnError)
	own.StringVarP(&o.output, "output", "o", "", "`file` to write (default: beside the source)")
	own.BoolVar(&o.force, "force", false, "overwrite the output where it exists")
	own.BoolVar(&o.dryRun, "dry-run", false, "print the plan and write nothing")
	enumVar(own, &o.ifUnchanged, "if-unchanged", "",
		"do nothing when the output was made by the same recipe from the same bytes; another output needs --force", "skip")
	own.Int64Var(&o.seed, "seed", 0, "seed of everything random")
	enumVar(own, &o.externalData, "external-data", "auto",
		"weights in a file of their own, OUTPUT.data", "auto", "always", "never")
	markGroup(own, groupOutput)
	fs.AddFlagSet(own)

	limits := pflag.NewFlagSet(groupGate, pflag.ContinueOnError)
	limits.StringVar(&o.eval, "eval", "", "`data` to measure the quality on, before and after")
	enumVar(limits, &o.metric, "metric", "auto", "quality to measure", eval.Metrics...)
	limits.Float64Var(&o.maxLoss, "max-loss", gate.DefaultMaxLoss, "the loss of quality must stay below this `fraction`")
	limits.Float64Var(&o.minSpeedup, "min-speedup", 0, "least speed-up to accept, as a `factor`; 0: any")
	sizeVar(limits, &o.maxSize, "max-size", "greatest output to accept")
	enumVar(limits, &o.measure, "measure", "auto", "compare the speed with the source's", "auto", "on", "off")
	markGroup(limits, groupGate)
	fs.AddFlagSet(limits)
}

// registerChoice adds the flags that choose what is changed.
func (o *writeFlags) registerChoice(fs *pflag.FlagSet) {
	own := pflag.NewFlagSet(groupOutput, pflag.ContinueOnError)
	regexVar(own, &o.keep, "keep", "leave nodes or tensors whose name matches this `regex` as they are; repeatable")
	regexVar(own, &o.only, "only", "change only nodes or tensors whose name matches this `regex`; repeatable")
	markGroup(own, groupOutput)
	fs.AddFlagSet(own)
}

// check refuses values that contradict one another or, on the command line, mean
// nothing.
func (o *writeFlags) check(flags *pflag.FlagSet) error {
	lossGiven := given(flags, "max-loss")
	switch {
	case o.output == "-":
		return notStdin("--output", o.output)
	case !(o.maxLoss >= 0 && o.maxLoss <= 1):
		return usagef("--max-loss must be a fraction from 0 to 1, not %v", o.maxLoss)
	case lossGiven && o.eval == "":
		return withHint(usagef("--max-loss needs data to measure the quality on"), "give --eval DATA")
	case given(flags, "metric") && o.eval == "":
		return withHint(usagef("--metric needs data to measure the quality on"), "give --eval DATA")
	case lossGiven && o.metric == eval.MSE:
		return usagef("--max-loss means nothing for --metric mse, which has no retention")
	case !(o.minSpeedup >= 0) || o.minSpeedup > 1e6:
		return usagef("--min-speedup must be a factor such as 1.5, not %v", o.minSpeedup)
	case o.minSpeedup > 0 && o.measure == "off":
		return usagef("--min-speedup and --measure off exclude each other")
	}
	return nil
}

// tooLarge says that a planned file would miss --max-size.
func (o *writeFlags) tooLarge(bytes int64) []string {
	if o.maxSize == 0 || bytes <= o.maxSize {
		return nil
	}
	return []string{fmt.Sprintf("that is more than --max-size allows: %d bytes against %d", bytes, o.maxSize)}
}

// outputPath returns the file to write for a model: --output, else beside the
// model with suffix in the name: "net.onnx" and ".int8" give "net.int8.onnx".
func (o *writeFlags) outputPath(model, suffix string) string {
	if o.output != "" {
		return o.output
	}
	ext := filepath.Ext(model)
	if !strings.EqualFold(ext, ".onnx") {
		return model + suffix + ".onnx"
	}
	return strings.TrimSuffix(model, ext) + suffix + ext
}

// target is the output as the gate wants it.
func (o *writeFlags) target(output string) gate.Target {
	return gate.Target{Path: output, Force: o.force, External: o.externalData}
}

// checkOutput refuses an output that is one of the files that are read, that
// exists (but for --force), or that cannot be made. Call it before any work;
// inputs are the model, its external data and the data files.
func (o *writeFlags) checkOutput(output string, inputs ...string) error {
	t := o.target(output)
	// A dry run writes nothing, and --if-unchanged looks at what is there.
	t.Force = o.force || o.dryRun || o.ifUnchanged != ""
	var refused *gate.OutputError
	if err := t.Check(inputs); errors.As(err, &refused) {
		return outputError(refused)
	}
	return nil
}
