package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"optim/internal/dataset"
	"optim/internal/gpu"
	"optim/internal/trt"
)

const buildEngineLong = `Build a TensorRT engine from an ONNX model. The model itself is brought into the
precision (casts, Q/DQ) and built strongly typed; the types of the engine's layers
are read back, and an engine without the precision that was asked for is not written.

--precision  fp16 and bf16 keep what needs the range of float32 in it; int8 and fp8 need
             Q/DQ in the model, or --calib; best is int8 where that is given, with the
             rest in fp16.
--prepare-only
             writes the ONNX model that would be built; needs no TensorRT.

This command needs the program built with TensorRT (make build-trt), and its libraries.`

const buildEngineExample = `  optim build-engine --precision fp16 model.onnx
  optim build-engine --precision int8 --calib calib.npz model.onnx
  optim build-engine --min-shapes x:1x3x224x224 --opt-shapes x:8x3x224x224 --max-shapes x:32x3x224x224 model.onnx
  optim build-engine --max-batch 32 --max-seq 512 bert.onnx
  optim build-engine --precision int8 --calib calib.npz --prepare-only model.onnx`

// buildEngineOptions are the flags of build-engine.
type buildEngineOptions struct {
	model, calib, calibCache, timingCache, trtLib, precision string

	cc, plugins []string

	ranges trt.Ranges
	build  trt.BuildOptions

	prepareOnly bool

	read  dataFlags
	write writeFlags
}

func newBuildEngineCmd(a *app) *cobra.Command {
	o := &buildEngineOptions{}
	cmd := &cobra.Command{
		Use:               "build-engine MODEL [flags]",
		Short:             "Build a TensorRT engine, and prove its precision",
		Long:              buildEngineLong,
		Example:           buildEngineExample,
		Annotations:       map[string]string{noteExit: "3,4,5"},
		ValidArgsFunction: completeModel,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.available(); err != nil {
				return err
			}
			if o.model, err = oneModel("MODEL", args); err != nil {
				return err
			}
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			return runBuildEngine(cmd.Context(), a, o)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

// modelFlags are those of commands that write models, which mean nothing for engines.
var modelFlags = []string{"external-data", "measure", "min-speedup", "eval", "metric", "max-loss", "max-size", "eval-samples"}

func (o *buildEngineOptions) register(fs *pflag.FlagSet) {
	enumVar(fs, &o.precision, "precision", string(trt.FP16), "what the engine computes in", words(trt.Precisions)...)
	fs.StringVar(&o.calib, "calib", "", "int8, fp8, best: `data` to observe activations on: .npz, .npy, .txt, .jsonl, .csv, or a folder of pictures")
	fs.StringVar(&o.calibCache, "calib-cache", "", "`file` of the scales that calibration found: read in place of --calib where it is there, else written")
	fs.StringArrayVar(&o.ranges.Min, "min-shapes", nil, "least sizes of the inputs, as `NAME:1x3x224x224`, several with commas; repeated: one more profile")
	fs.StringArrayVar(&o.ranges.Opt, "opt-shapes", nil, "sizes that the engine is fastest at, as `NAME:8x3x224x224`")
	fs.StringArrayVar(&o.ranges.Max, "max-shapes", nil, "greatest sizes, as `NAME:32x3x224x224`")
	fs.Int64Var(&o.ranges.MaxBatch, "max-batch", 32, "greatest size of axes named batch of inputs that no shape flag names")
	fs.Int64Var(&o.ranges.MaxSeq, "max-seq", 512, "greatest size of axes named sequence of inputs that no shape flag names")
	o.build.Workspace = trt.DefaultWorkspace
	sizeVar(fs, &o.build.Workspace, "workspace", "scratch memory that a layer may use, as a limit")
	fs.StringVar(&o.timingCache, "timing-cache", "", "TensorRT: `file` of measured times, read and written back")
	fs.StringSliceVar(&o.cc, "cc", nil, "TensorRT-RTX: compute capabilities to build for, a `list` such as 8.9,12.0 (default: from Ampere on)")
	fs.IntVar(&o.build.OptLevel, "opt-level", trt.DefaultOptLevel, "how hard the builder tries, 0 to 5; -1: as the library does by default")
	enumVar(fs, &o.build.HWCompat, "hw-compat", "none", "TensorRT: GPUs that the engine runs on beside this one", trt.HWCompats...)
	fs.BoolVar(&o.build.NoTF32, "no-tf32", false, "compute products of float32 in full precision")
	fs.BoolVar(&o.build.VersionCompatible, "version-compatible", false, "TensorRT: the engine runs on later versions, too")
	fs.BoolVar(&o.build.Refit, "refit", false, "weights of the engine can be changed")
	fs.BoolVar(&o.build.Detailed, "detailed", false, "the engine tells everything of its layers")
	fs.StringSliceVar(&o.plugins, "plugins", nil, "libraries with plugins, a `list`")
	fs.IntVar(&o.build.Device, "device", -1, "GPU to build on, from 0; -1: the current one")
	fs.StringVar(&o.trtLib, "trt-lib", "", "`folder` of TensorRT's libraries (default: where the system looks)")
	fs.BoolVar(&o.prepareOnly, "prepare-only", false, "write the ONNX model that would be built, and no engine")
	o.read.register(fs, true)
	o.write.register(fs)
	o.write.registerChoice(fs)
	for _, name := range modelFlags {
		_ = fs.MarkHidden(name) // of the commands that write models
	}
}

// available says what is missing before anything else is looked at.
func (o *buildEngineOptions) available() error {
	if trt.Built || o.prepareOnly || o.write.dryRun {
		return nil
	}
	_, err := trt.Open("")
	return withHint(&exitError{code: exitRuntime, err: err},
		"build it with \"make trt-deps build-trt\" (TensorRT's licence applies), or give --prepare-only for the ONNX model that TensorRT takes")
}

// check refuses what contradicts itself or means nothing.
func (o *buildEngineOptions) check(flags *pflag.FlagSet) error {
	p := trt.Precision(o.precision)
	eight := p == trt.INT8 || p == trt.FP8 || p == trt.Best
	for _, name := range modelFlags {
		if given(flags, name) {
			return withHint(usagef("--%s means nothing for build-engine", name), "measure the prepared model: --prepare-only, then optim eval")
		}
	}
	switch {
	case o.calib == dataset.Random:
		return withHint(usagef("--calib random: an engine with made-up ranges is not built"), "give data such as the model will see")
	case o.calib != "" && !eight:
		return idle("calib", "--precision int8, fp8 or best")
	case o.calibCache != "" && !eight:
		return idle("calib-cache", "--precision int8, fp8 or best")
	case o.prepareOnly && o.write.ifUnchanged != "":
		return usagef("--if-unchanged is for engines, not for --prepare-only")
	case o.ranges.MaxBatch < 1 || o.ranges.MaxSeq < 1:
		return usagef("--max-batch and --max-seq must be at least 1")
	case o.build.Workspace < 0:
		return usagef("--workspace must not be negative")
	case o.build.Device < -1:
		return usagef("--device must be the number of a GPU, from 0, not %d", o.build.Device)
	case o.build.Device >= 0 && !gpu.Built && !o.prepareOnly && !o.write.dryRun:
		return withHint(usagef("--device needs the program built with CUDA (make build-gpu)"), "CUDA_VISIBLE_DEVICES=%d chooses the GPU, too", o.build.Device)
	}
	var err error
	if o.build.Capabilities, err = trt.ParseCapabilities(o.cc); err != nil {
		return usagef("%w", err)
	}
	o.build.Plugins = slices.Clone(o.plugins)
	if flavour := trt.Flavour(); flavour != "" || !o.prepareOnly {
		if err := o.build.Check(flavour, o.timingCache != ""); err != nil {
			return flagProblem(err)
		}
	}
	if err := o.read.check(); err != nil {
		return err
	}
	return o.write.check(flags)
}

// runBuildEngine builds an engine, or the model for it.
func runBuildEngine(ctx context.Context, a *app, o *buildEngineOptions) error {
	j := &engineJob{app: a, o: o, library: trt.Open}
	defer j.close()
	return j.run(ctx)
}
