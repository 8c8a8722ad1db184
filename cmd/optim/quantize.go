package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"optim/internal/eval"
	"optim/internal/quant"
	"optim/internal/report"
)

const quantizeLong = `Store, and where the processor has kernels compute, a model in fewer bits.

--int8  products of matrices (MatMul, Gemm, attention, LSTM) and embedding tables
        become integers; activations get their range in every run (dynamic). With
        --calib, convolutions are quantized too, and ranges come from the data
        (static). The format for speed on processors.
--int4  weights of products in blocks of 4 bits, activations as they are: the
        smallest files, and the fastest where a language model makes one token at
        a time. With --calib by GPTQ or AWQ, else by HQQ.
--nf4, --fp4
        weights in 4-bit floats as bitsandbytes has them: for size, not for speed.
--fp16, --bf16
        the whole graph in half precision: half the size; speed needs a processor
        with half arithmetic, or a GPU.

The result is loaded in ONNX Runtime, compared with the source and, with --eval,
measured; a result that loses more than --max-loss is not written.`

const quantizeExample = `  optim quantize --int8 model.onnx
  optim quantize --int8 --calib calib.npz --eval test.npz model.onnx
  optim quantize --int4 --calib text.txt --eval valid.txt --max-loss 0.02 gpt.onnx
  optim quantize --fp16 model.onnx
  optim quantize --int8 --keep '^/head/' -o small.onnx model.onnx
  optim quantize --int8 --calib calib.npz --dry-run model.onnx`

// quantizeOptions are the flags of quantize.
type quantizeOptions struct {
	model string
	calib string
	named map[quant.Format]*bool // --int8, --int4 …

	format, method, form, calibrator, target, smooth, compute, scales string

	bits, blockSize, activations int

	symmetric, perTensor, embeddings, doubleQuant, mixed, keepIO bool

	checkpoint checkpointOptions

	read    dataFlags
	write   writeFlags
	compare compareFlags
}

func newQuantizeCmd(a *app) *cobra.Command {
	o := &quantizeOptions{}
	cmd := &cobra.Command{
		Use:               "quantize MODEL --int8|--int4|… [flags]",
		Short:             "Store and compute a model in fewer bits",
		Long:              quantizeLong,
		Example:           quantizeExample,
		Annotations:       map[string]string{noteExit: "3,4,5"},
		ValidArgsFunction: completeModel,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.model, err = oneModel("MODEL", args); err != nil {
				return err
			}
			if o.compare.on {
				if err := o.checkCompare(cmd.Flags()); err != nil {
					return err
				}
				return runCompare(cmd.Context(), a, o, cmd.Flags())
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
	o.named = map[quant.Format]*bool{}
	for _, f := range quant.Formats {
		o.named[f] = fs.Bool(string(f), false, formatHelp[f])
	}
	enumVar(fs, &o.format, "format", "", "the same by name", words(quant.Formats)...)
	enumVar(fs, &o.method, "method", string(quant.Auto), "how values are found (auto: int8 static with --calib, else dynamic; int4 gptq with --calib, else hqq)", words(quant.MethodNames)...)
	fs.StringVar(&o.calib, "calib", "", "`data` to observe activations on: .npz, .npy, .txt, .jsonl, .csv, a folder of pictures, or random")
	enumVar(fs, &o.calibrator, "calibrator", string(quant.AutoCalibrator), "how a range is chosen from what was observed (auto: mse, or another one that leaves the outputs clearly nearer to the source's)", words(quant.Calibrators)...)
	fs.StringVar(&o.smooth, "smooth", "auto", "move outliers from activations into weights (SmoothQuant): auto, off, or `alpha` from 0.1 to 0.99")
	fs.IntVar(&o.bits, "bits", 0, "range of the weights: 2 to 8 inside 8-bit storage, 2 to 4 with --int4 (default: the format's)")
	fs.IntVar(&o.blockSize, "block-size", 0, "values that share a scale, a power of two from 16 to 256, where weights lie in blocks (default: 128, nf4 and fp4 64; less where rows do not divide)")
	enumVar(fs, &o.scales, "scales", "search", "how a block's scale is found: by the least error, or from its extremes alone", "search", "extremes")
	enumVar(fs, &o.compute, "compute-dtype", string(quant.AutoCompute), "what products with weights in blocks compute in, where the target has a kernel (auto: int8 for int4, fp32 for nf4)", words(quant.ComputeTypes)...)
	fs.BoolVar(&o.doubleQuant, "double-quant", true, "nf4, fp4: quantize the scales, too: 4.13 bits a weight and no measured loss; --double-quant=false: 4.5 bits")
	fs.BoolVar(&o.symmetric, "symmetric", false, "zero in the middle of every range")
	fs.BoolVar(&o.perTensor, "per-tensor", false, "one scale per weight instead of one per channel: hardly smaller, less exact")
	fs.BoolVar(&o.embeddings, "embeddings", true, "quantize embedding tables; --embeddings=false leaves them")
	fs.BoolVar(&o.keepIO, "keep-io", true, "fp16, bf16: inputs and outputs keep their types; --keep-io=false changes those of floats, too")
	enumVar(fs, &o.form, "form", string(quant.AutoForm), "operators of the result (qdq: standard ones only, for other runtimes; ONNX Runtime may run some in float)", words(quant.Forms)...)
	enumVar(fs, &o.target, "target-cpu", "host", "processor that the result shall run on", quant.TargetNames...)
	fs.IntVar(&o.activations, "activation-bits", 8, "static: bits of activations, 8 or 16; with 16 products read them through QuantizeLinear and DequantizeLinear (A16W8), which ONNX Runtime computes in float on processors")
	fs.BoolVar(&o.mixed, "mixed", false, "leave the nodes that cost most quality at 8 bits or in float, until --max-loss holds (with --eval) or --max-size is used up")
	o.checkpoint.register(fs)
	o.read.register(fs, true)
	o.write.register(fs)
	o.compare.register(fs)
}

var formatHelp = map[quant.Format]string{
	quant.Int8: "8-bit integers",
	quant.Int4: "weights in 4-bit integers",
	quant.NF4:  "weights in 4-bit NormalFloat",
	quant.FP4:  "weights in 4-bit floats",
	quant.FP16: "half precision",
	quant.BF16: "bfloat16",
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
	if err := o.chooseFormat(); err != nil {
		return err
	}
	if err := quant.CheckMethod(quant.Format(o.format), quant.Method(o.method)); err != nil {
		return usagef("%v", err)
	}
	if err := o.checkCheckpoint(); err != nil {
		return err
	}
	if o.calib != "" && !o.resolved().Calibrated() {
		if given(flags, "calib") {
			return usagef("--calib means nothing for %s", o.what())
		}
		o.calib = ""
	}
	if o.calib == "" && o.resolved().Calibrated() {
		return withHint(usagef("--method %s needs data to observe activations on", o.method), "give --calib DATA")
	}
	if err := o.checkNumbers(); err != nil {
		return err
	}
	if err := o.checkIdle(flags); err != nil {
		return err
	}
	if err := o.checkMixed(); err != nil {
		return err
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

// chooseFormat makes one name of --format and the flags that stand for it.
func (o *quantizeOptions) chooseFormat() error {
	var all []string
	for _, f := range quant.Formats {
		all = append(all, "--"+string(f))
		if !*o.named[f] {
			continue
		}
		if o.format != "" && o.format != string(f) {
			return usagef("--%s and --%s exclude each other", o.format, f)
		}
		o.format = string(f)
	}
	if o.format == "" {
		return withHint(usagef("no format is given"), "give one of %s", strings.Join(all, ", "))
	}
	return nil
}

// resolved returns the options with the method that is meant.
func (o *quantizeOptions) resolved() *quant.Options {
	q := &quant.Options{Format: quant.Format(o.format), Method: quant.Method(o.method)}
	q.Resolve(o.calib != "")
	return q
}

// what names the format and the method that was asked for.
func (o *quantizeOptions) what() string {
	switch quant.Method(o.method) {
	case quant.Auto:
		return "--" + o.format
	case quant.Stored:
		return "--from-checkpoint, which has decided it"
	}
	return fmt.Sprintf("--%s --method %s", o.format, o.method)
}

// checkNumbers fills in the format's bits, and refuses sizes that it has not.
func (o *quantizeOptions) checkNumbers() error {
	most := 8
	if quant.Format(o.format) == quant.Int4 {
		most = 4
	}
	blocks := o.blockSize == 0 || o.blockSize >= 16 && o.blockSize <= 256 && o.blockSize&(o.blockSize-1) == 0
	switch {
	case o.bits != 0 && (o.bits < 2 || o.bits > most):
		return usagef("--bits must be from 2 to %d for --%s, not %d", most, o.format, o.bits)
	case o.bits != 0 && o.bits != 8 && o.method == string(quant.WeightOnly):
		return withHint(usagef("--bits means nothing for --method weight-only, which stores 8"), "fewer bits are --int4")
	case o.activations != 8 && o.activations != 16:
		return usagef("--activation-bits must be 8 or 16, not %d", o.activations)
	case !blocks:
		return usagef("--block-size must be a power of two from 16 to 256, not %d", o.blockSize)
	}
	if float4 := o.format == string(quant.NF4) || o.format == string(quant.FP4); float4 && o.compute == string(quant.ComputeInt8) {
		return usagef("--compute-dtype int8 means nothing for --%s, whose kernels compute in floats", o.format)
	}
	if o.bits == 0 {
		o.bits = most
	}
	return nil
}

// checkIdle refuses flags of the command line that mean nothing for the format
// and method at hand.
func (o *quantizeOptions) checkIdle(flags *pflag.FlagSet) error {
	for _, f := range []string{"calibrator", "calib-samples", "smooth"} {
		if given(flags, f) && o.calib == "" && o.format == string(quant.Int8) {
			return withHint(usagef("--%s means nothing without calibration", f), "give --calib DATA")
		}
	}
	for _, flag := range sortedKeys(o.meanings()) {
		if given(flags, flag) && !o.meanings()[flag] {
			return usagef("--%s means nothing for %s", flag, o.what())
		}
	}
	return nil
}

// checkMixed refuses mixed precision without a limit that could be kept to.
func (o *quantizeOptions) checkMixed() error {
	switch {
	case !o.mixed:
		return nil
	case o.write.eval == "" && o.write.maxSize == 0:
		return withHint(usagef("--mixed needs a limit to keep to"), "give --eval DATA, or --max-size SIZE")
	case o.write.metric == eval.MSE:
		return usagef("--mixed means nothing for --metric mse, which has no retention")
	}
	return nil
}

// meanings tells which flags have a meaning for the format and method.
func (o *quantizeOptions) meanings() map[string]bool {
	q := o.resolved()
	integers := q.Format == quant.Int8 || q.Format == quant.Int4
	float4 := q.Format == quant.NF4 || q.Format == quant.FP4
	inBlocks := q.Format == quant.Int4 || q.Method == quant.WeightOnly
	static := q.Method == quant.Static
	means := map[string]bool{
		"bits": integers, "symmetric": integers, "per-tensor": q.Method == quant.Dynamic || static,
		"block-size": inBlocks || float4, "scales": q.Format == quant.Int4, "double-quant": float4,
		"compute-dtype": q.Format == quant.Int4 || float4, "keep-io": q.Method == quant.Convert, "embeddings": integers || float4,
		"form": inBlocks || static, "calib-samples": o.calib != "", "mixed": integers || float4, "calibrator": static && o.activations == 8, "smooth": static && o.activations == 8, "activation-bits": static, "plot": o.compare.on,
	}
	if q.Method == quant.Stored {
		for flag := range means {
			means[flag] = flag == "bits" || flag == "compute-dtype" || flag == "form"
		}
	}
	return means
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
		Format: quant.Format(o.format), Method: quant.Method(o.method), Form: quant.Form(o.form),
		Bits: o.bits, BlockSize: o.blockSize, Compute: quant.ComputeType(o.compute),
		Symmetric: o.symmetric, PerTensor: o.perTensor, PlainScales: o.scales == "extremes",
		Activations: o.activations, DoubleQuant: o.doubleQuant, Embeddings: o.embeddings, HalfIO: !o.keepIO,
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
	j := &quantizeJob{app: a, start: start, o: o, q: q, output: o.write.outputPath(o.model, "."+o.format)}
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
		Method: string(q.Method), Format: o.format,
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

// planNotes returns what was done to the graph beforehand, and what to know.
func planNotes(p *quant.Plan) []string {
	var out []string
	for _, s := range p.Prepared {
		out = append(out, fmt.Sprintf("prepared: %s", s))
	}
	return append(out, p.Notes...)
}
