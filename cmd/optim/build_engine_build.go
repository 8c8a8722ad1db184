package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"optim/internal/gpu"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/report"
	"optim/internal/trt"
)

// build makes the engine of the prepared model, checks its precision and writes it.
func (j *engineJob) build(ctx context.Context) error {
	lib, err := j.library(j.o.trtLib)
	if err != nil {
		return withHint(&exitError{code: exitRuntime, err: err}, "make trt-deps fetches TensorRT-RTX; --trt-lib or OPTIM_TRT_LIB names the folder")
	}
	defer lib.Close()
	info := lib.Info()
	j.side.Flavour, j.side.Library, j.side.Headers = info.Flavour, info.Library, info.Headers
	model, done, err := j.prepared()
	if err != nil {
		return err
	}
	defer done()
	if err := j.readTimingCache(); err != nil {
		return err
	}
	if n := j.o.build.Device; n >= 0 {
		device, err := gpu.Open(n)
		if err != nil {
			return &exitError{code: exitRuntime, err: err}
		}
		defer device.Close()
	}
	start := time.Now()
	plan, log, err := j.engine(ctx, lib, model)
	if err != nil {
		return j.buildError(err)
	}
	defer plan.Close()
	if err := j.judge(plan, log); err != nil {
		return err
	}
	j.side.BuildSeconds, j.side.PeakRSS = time.Since(start).Seconds(), measure.PeakRSS()
	if err := j.side.Describe(j.source, plan.Data); err != nil {
		return err
	}
	if err := trt.WriteEngine(j.output, plan.Data, j.side, j.o.write.force); err != nil {
		return fileError(err)
	}
	if plan.TimingCache != nil {
		if err := trt.WriteFile(j.o.timingCache, plan.TimingCache); err != nil {
			return fileError(err)
		}
	}
	return j.emit(&report.Engine{Sidecar: j.side})
}

// prepared returns the file that the parser reads: the source where nothing was changed,
// else one in a temporary folder beside the output until done.
func (j *engineJob) prepared() (file string, done func(), err error) {
	if len(j.made.Done) == 0 {
		return j.o.model, func() {}, nil
	}
	folder, err := os.MkdirTemp(filepath.Dir(j.output), ".optim-*")
	if err != nil {
		return "", nil, fileError(err)
	}
	done = func() { os.RemoveAll(folder) }
	file = filepath.Join(folder, "model.onnx")
	if _, err := j.work.WriteFile(file, onnx.WriteOptions{External: "auto", DataPath: file + ".data"}); err != nil {
		done()
		return "", nil, fileError(err)
	}
	return file, done, nil
}

// engine builds, and gathers what the builder says of the layers.
func (j *engineJob) engine(ctx context.Context, lib trt.Lib, model string) (*trt.Plan, *trt.EngineLog, error) {
	bar := j.progress("building")
	defer bar.Done()
	log := &trt.EngineLog{}
	o := j.o.build
	o.Profiles = j.profiles
	o.Detailed = o.Detailed || j.precision != trt.FP32 // tells the types of the layers
	plan, err := lib.Build(ctx, model, &o, trt.Logger{
		Log: func(s trt.Severity, text string) {
			log.Add(text)
			text = strings.TrimSpace(text)
			switch {
			case s == trt.Warning && len(j.side.Warnings) < maxBuildWarnings && !slices.Contains(j.side.Warnings, text):
				j.side.Warnings = append(j.side.Warnings, text)
			case j.verbose && s < trt.Verbose:
				fmt.Fprintln(j.Err, "tensorrt:", text)
			}
		},
		Progress: func(phase string, done, total int) {
			bar.describe(phase)
			bar.Set(int64(done), int64(total))
		},
	})
	return plan, log, err
}

// maxBuildWarnings is how many of the builder's warnings are reported.
const maxBuildWarnings = 10

// judge refuses an engine that has the precision nowhere.
func (j *engineJob) judge(plan *trt.Plan, log *trt.EngineLog) error {
	j.side.Layers = trt.Types(log.Layers)
	if len(log.Layers) == 0 {
		j.side.Layers = trt.Computing(plan.Network.Types)
	}
	if len(log.Layers) == 0 && j.precision != trt.FP32 {
		j.side.Warnings = append(j.side.Warnings, "the builder told nothing of the engine's layers: those of the network are counted")
	}
	j.side.ActivationBytes, j.side.WeightsBytes = log.ActivationBytes, log.WeightsBytes
	if trt.Reached(j.precision, j.side.Layers) {
		return nil
	}
	missed := fmt.Sprintf("precision: no layer of the engine computes in %s", j.precision)
	if err := j.emit(&report.Engine{Sidecar: j.side, Missed: []string{missed}}); err != nil {
		return err
	}
	return limitf("%s", missed)
}

// buildError adds what a user can do.
func (j *engineJob) buildError(err error) error {
	var parse *trt.ParseError
	switch {
	case errors.Is(err, trt.ErrCanceled):
		return context.Canceled
	case errors.As(err, &parse):
		return withHint(badInput(fmt.Errorf("%s: %w", j.o.model, err)), "%s", parse.Hint())
	}
	return withHint(badInput(fmt.Errorf("%s: %w", j.o.model, err)), "%s", trt.BuildHint(err))
}

// readTimingCache reads --timing-cache; one that is not there yet begins empty.
func (j *engineJob) readTimingCache() error {
	if j.o.timingCache == "" {
		return nil
	}
	b, err := os.ReadFile(j.o.timingCache)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return badInput(fileError(err))
	}
	if b == nil {
		b = []byte{}
	}
	j.o.build.TimingCache = b
	return nil
}
