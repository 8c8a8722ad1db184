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
--fp16  the whole graph in half precision: half the size; speed needs a processor
        with half arithmetic, or a GPU.
--bf16  weights stored in bfloat16, half the size; computed with in float, as
        processors have no kernels for it.

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

	format, method, form, calibrator, target, smooth, compute, scales, cache string

	bits, blockSize, activations int

	symmetric, perTensor, embeddings, doubleQuant, mixed, keepIO bool

	checkpoint checkpointOptions

	train   trainFlags
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
	enumVar(fs, &o.method, "method", string(quant.Auto), "how values are found (auto: int8 static with --calib, else dynamic; int4 gptq with --calib, else hqq; qat trains on --data)", words(quant.MethodNames)...)
	fs.StringVar(&o.calib, "calib", "", "`data` to observe activations on: .npz, .npy, .txt, .jsonl, .csv, a folder of pictures, or random")
	enumVar(fs, &o.calibrator, "calibrator", string(quant.AutoCalibrator), "how a range is chosen from what was observed (auto: mse)", words(quant.Calibrators)...)
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
	enumVar(fs, &o.form, "form", string(quant.AutoForm), "operators of the result (qdq: standard ones only, for other runtimes; ONNX Runtime may run some in float; tensorrt: signed Q/DQ and float biases, as TensorRT reads them)", words(quant.Forms)...)
	enumVar(fs, &o.target, "target-cpu", "host", "processor that the result shall run on", quant.TargetNames...)
	fs.IntVar(&o.activations, "activation-bits", 8, "static: bits of activations, 4, 8 or 16; with 4 and 16 products read them through QuantizeLinear and DequantizeLinear, which ONNX Runtime computes in float on processors; 4 need --method qat to be of use")
	enumVar(fs, &o.cache, "kv-cache", "source", "type of a decoder's cache of keys and values, where the model has one as inputs and outputs (fp16: half its memory; they become float16)", "source", "fp16")
	fs.BoolVar(&o.mixed, "mixed", false, "leave the nodes that cost most quality at 8 bits or in float, until --max-loss holds (with --eval) or --max-size is used up (then weighed on --calib)")
	o.checkpoint.register(fs)
	o.train.register(fs, trainFlags{epochs: 3, batch: 8, rate: 1e-5, optimizer: "adam"})
	o.read.register(fs, true)
	o.write.register(fs)
	o.write.registerChoice(fs)
	o.compare.register(fs)
}

var formatHelp = map[quant.Format]string{
	quant.Int8: "8-bit integers",
	quant.Int4: "weights in 4-bit integers",
	quant.NF4:  "weights in 4-bit NormalFloat",
	quant.FP4:  "weights in 4-bit floats",
	quant.FP16: "half precision",
	quant.BF16: "weights stored in bfloat16",
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
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
	if q.Form == quant.TensorRT && q.Format == quant.Int4 { // Q/DQ as it is, with zero point 0 and float tables
		q.Form, q.Symmetric, q.Embeddings = quant.QDQ, true, false
	}
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
	if q.Narrow() {
		r.Bits = q.Bits
	}
	err = j.prove(ctx, r)
	if err != nil && exitOf(err) != exitLimit {
		return err
	}
	j.trained(r)
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
