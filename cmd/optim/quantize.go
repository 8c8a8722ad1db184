package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"optim/internal/quant"
	"optim/internal/report"
)

const quantizeLong = `Store and compute a model's weights in 8-bit integers.

Without data, products of matrices (MatMul, Gemm, attention, LSTM) and embedding
tables are quantized, and activations get their range in every run (dynamic).
With --calib, convolutions are quantized too, and ranges come from the data
(static): each activation is observed, and where its range would cost quality
the product stays dynamic or float, as the report says.

The result is loaded in ONNX Runtime, compared with the source and, with --eval,
measured; a result that loses more than --max-loss is not written.`

const quantizeExample = `  optim quantize --int8 model.onnx
  optim quantize --int8 --calib calib.npz --eval test.npz model.onnx
  optim quantize --int8 --eval test.npz --max-loss 0.01 --summary report.md model.onnx
  optim quantize --int8 --keep '^/head/' -o small.onnx model.onnx
  optim quantize --int8 --calib calib.npz --dry-run model.onnx`

// quantizeOptions are the flags of quantize.
type quantizeOptions struct {
	model string
	calib string
	int8  bool

	method, form, calibrator, target, smooth string

	bits, blockSize int

	symmetric, perTensor, embeddings bool

	read  dataFlags
	write writeFlags
}

func newQuantizeCmd(a *app) *cobra.Command {
	o := &quantizeOptions{}
	cmd := &cobra.Command{
		Use:               "quantize MODEL --int8 [flags]",
		Short:             "Store and compute a model in fewer bits",
		Long:              quantizeLong,
		Example:           quantizeExample,
		Annotations:       map[string]string{noteExit: "3,4,5"},
		ValidArgsFunction: completeModel,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.model, err = oneModel("MODEL", args); err != nil {
				return err
			}
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			return runQuantize(cmd.Context(), a, o)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

func (o *quantizeOptions) register(fs *pflag.FlagSet) {
	fs.BoolVar(&o.int8, "int8", false, "8-bit integers")
	enumVar(fs, &o.method, "method", string(quant.Auto), "how activations become integers (auto: static with --calib, else dynamic)", words(quant.Methods)...)
	fs.StringVar(&o.calib, "calib", "", "`data` to observe activations on: .npz, .npy, .txt, .jsonl, .csv, a folder of pictures, or random")
	enumVar(fs, &o.calibrator, "calibrator", string(quant.AutoCalibrator), "how a range is chosen from what was observed (auto: mse)", words(quant.Calibrators)...)
	fs.StringVar(&o.smooth, "smooth", "auto", "move outliers from activations into weights (SmoothQuant): auto, off, or `alpha` from 0.1 to 0.99")
	fs.IntVar(&o.bits, "bits", 8, "range of the weights inside 8-bit storage, 2 to 8")
	fs.IntVar(&o.blockSize, "block-size", 128, "weight-only: values that share a scale, a power of two from 16 to 256")
	fs.BoolVar(&o.symmetric, "symmetric", false, "zero in the middle of every range")
	fs.BoolVar(&o.perTensor, "per-tensor", false, "one scale per weight instead of one per channel: hardly smaller, less exact")
	fs.BoolVar(&o.embeddings, "embeddings", true, "quantize embedding tables; --embeddings=false leaves them")
	enumVar(fs, &o.form, "form", string(quant.AutoForm), "operators of a static result (qdq: standard ones only, for other runtimes; ONNX Runtime may run some in float)", words(quant.Forms)...)
	enumVar(fs, &o.target, "target-cpu", "host", "processor that the result shall run on", quant.TargetNames...)
	o.read.register(fs, true)
	o.write.register(fs)
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// check refuses what contradicts itself or, on the command line, means nothing.
func (o *quantizeOptions) check(flags *pflag.FlagSet) error {
	needless := o.calib != "" && o.method != string(quant.Auto) && o.method != string(quant.Static)
	if needless && !given(flags, "calib") {
		o.calib, needless = "", false
	}
	switch {
	case !o.int8:
		return withHint(usagef("no format is given"), "give --int8")
	case o.method == string(quant.Static) && o.calib == "":
		return withHint(usagef("--method static needs data to observe activations on"), "give --calib DATA")
	case needless:
		return usagef("--calib means nothing for --method %s", o.method)
	case o.bits < 2 || o.bits > 8:
		return usagef("--bits must be from 2 to 8, not %d", o.bits)
	case o.method == string(quant.WeightOnly) && o.bits != 8:
		return usagef("--bits means nothing for --method weight-only, which stores 8")
	case o.blockSize < 16 || o.blockSize > 256 || o.blockSize&(o.blockSize-1) != 0:
		return usagef("--block-size must be a power of two from 16 to 256, not %d", o.blockSize)
	}
	for _, f := range []string{"calibrator", "calib-samples", "smooth", "form"} {
		if given(flags, f) && o.calib == "" {
			return withHint(usagef("--%s means nothing without calibration", f), "give --calib DATA")
		}
	}
	if given(flags, "block-size") && o.method != string(quant.WeightOnly) {
		return usagef("--block-size means nothing but for --method weight-only")
	}
	if _, err := parseSmooth(o.smooth); err != nil {
		return err
	}
	for name, v := range map[string]string{"--calib": o.calib, "--eval": o.write.eval} {
		if v != "" {
			if err := notStdin(name, v); err != nil {
				return err
			}
		}
	}
	if err := o.read.check(); err != nil {
		return err
	}
	return o.write.check(flags)
}

// parseSmooth reads the value of --smooth.
func parseSmooth(s string) (float64, error) {
	switch s {
	case "auto":
		return quant.SmoothAuto, nil
	case "off":
		return quant.SmoothOff, nil
	}
	alpha, err := strconv.ParseFloat(s, 64)
	if err != nil || !(alpha >= 0.1 && alpha <= 0.99) {
		return 0, usagef("--smooth must be auto, off or a number from 0.1 to 0.99, not %q", s)
	}
	return alpha, nil
}

// options returns the choices that change the result.
func (o *quantizeOptions) options() (*quant.Options, error) {
	target, err := quant.ParseTarget(o.target)
	if err != nil {
		return nil, err
	}
	smooth, err := parseSmooth(o.smooth)
	if err != nil {
		return nil, err
	}
	q := &quant.Options{
		Method: quant.Method(o.method), Form: quant.Form(o.form), Bits: o.bits, BlockSize: o.blockSize,
		Symmetric: o.symmetric, PerTensor: o.perTensor, Embeddings: o.embeddings,
		Calibrator: quant.Calibrator(o.calibrator), Smooth: smooth, Target: target,
		Keep: o.write.keep, Only: o.write.only,
	}
	q.Resolve(o.calib != "")
	return q, nil
}

func runQuantize(ctx context.Context, a *app, o *quantizeOptions) (err error) {
	start := time.Now()
	q, err := o.options()
	if err != nil {
		return err
	}
	j := &quantizeJob{app: a, start: start, o: o, q: q, output: o.write.outputPath(o.model, ".int8")}
	defer j.close()
	if err := j.open(); err != nil {
		return err
	}
	if done, err := j.unchanged(); done || err != nil {
		return err
	}
	if err := j.rewrite(ctx); err != nil {
		return j.explain(err)
	}
	if o.write.dryRun {
		return j.showPlan()
	}
	r := &report.Transform{
		Header: report.Header{Command: "quantize", Config: a.configFile},
		Method: string(q.Method), Format: "int8",
	}
	err = j.prove(ctx, r)
	if err != nil && exitOf(err) != exitLimit {
		return err
	}
	r.Duration = time.Since(start).Seconds()
	if emitted := a.emit(r); emitted != nil {
		return emitted
	}
	return err
}

// planned converts a plan into the two lists of a report.
func planned(p *quant.Plan) (changes []report.Change, unchanged []report.Unchanged) {
	for _, c := range p.Changes {
		changes = append(changes, report.Change{Node: c.Node, Op: c.Op, Action: c.Action, Format: c.Format})
	}
	for _, u := range p.Unchanged {
		unchanged = append(unchanged, report.Unchanged{Node: u.Node, Op: u.Op, Reason: u.Reason})
	}
	return changes, unchanged
}

// planNotes returns what was done to the graph beforehand.
func planNotes(p *quant.Plan) []string {
	var out []string
	for _, s := range p.Prepared {
		out = append(out, fmt.Sprintf("prepared: %s", s))
	}
	return out
}
