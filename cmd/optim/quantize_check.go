package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"optim/internal/eval"
	"optim/internal/quant"
)

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
	if err := o.checkTraining(flags); err != nil {
		return err
	}
	if o.calib != "" && !o.resolved().Calibrated() && !o.mixed { // which weighs nodes on it
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
	case o.activations != 4 && o.activations != 8 && o.activations != 16:
		return usagef("--activation-bits must be 4, 8 or 16, not %d", o.activations)
	case o.form == string(quant.TensorRT) && !o.forTensorRT():
		return withHint(usagef("--form tensorrt is for --int8 with --calib, and for --int4"), "optim build-engine prepares models in other precisions")
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
	static := q.Method == quant.Static || q.Format == quant.Int8 && q.Trained()
	means := map[string]bool{
		"bits": integers, "symmetric": integers, "per-tensor": q.Method == quant.Dynamic || static,
		"block-size": inBlocks || float4, "scales": q.Format == quant.Int4, "double-quant": float4,
		"compute-dtype": q.Format == quant.Int4 || float4, "keep-io": q.Method == quant.Convert, "kv-cache": q.Method != quant.Convert, "embeddings": integers || float4,
		"form": inBlocks || static, "calib-samples": o.calib != "", "mixed": integers || float4, "calibrator": static && o.activations == 8, "smooth": static && o.activations == 8 && o.form != string(quant.TensorRT), "activation-bits": static, "plot": o.compare.on,
	}
	if q.Method == quant.Stored {
		for flag := range means {
			means[flag] = flag == "bits" || flag == "compute-dtype" || flag == "form"
		}
	}
	return means
}

// forTensorRT reports whether TensorRT reads the format and method: static 8-bit integers, or
// weights of 4 bits.
func (o *quantizeOptions) forTensorRT() bool {
	if o.activations != 8 || o.method == string(quant.QAT) {
		return false
	}
	return o.format == string(quant.Int8) && o.calib != "" || o.format == string(quant.Int4)
}
