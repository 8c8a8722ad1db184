package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"optim/internal/inspect"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/report"
	"optim/internal/tensor"
	"optim/internal/trt"
)

// engineJob holds what one run of build-engine works on.
type engineJob struct {
	*app
	o         *buildEngineOptions
	library   func(dir string) (trt.Lib, error)
	output    string
	precision trt.Precision
	source    *onnx.Model // as it was read
	work      *onnx.Model // is prepared
	hash      string
	profiles  []trt.Profile
	plan8     *quant.Options // nil: no conversion to 8 bits
	made      *trt.Prepared
	side      *trt.Sidecar
}

func (j *engineJob) close() {
	for _, m := range []*onnx.Model{j.source, j.work} {
		if m != nil {
			m.Close()
		}
	}
}

func (j *engineJob) run(ctx context.Context) error {
	if err := j.open(); err != nil {
		return err
	}
	if done, err := j.unchanged(); done || err != nil {
		return err
	}
	obs, err := j.ranges(ctx)
	if err != nil {
		return err
	}
	j.made, err = trt.Prepare(ctx, j.work, j.precision, j.plan8, obs, j.workers())
	switch {
	case errors.Is(err, trt.ErrRanges):
		return withHint(usagef("--precision %s: %w", j.precision, err), "give --calib DATA, or a model with Q/DQ (optim quantize --int8 --form tensorrt)")
	case errors.Is(err, quant.ErrNothing), errors.Is(err, tensor.ErrNotFinite):
		return badInput(fmt.Errorf("%s: %w", j.o.model, err))
	case err != nil:
		return fmt.Errorf("%s: %w", j.o.model, err)
	}
	j.side.Prepared = j.made.Done
	if err := j.saveTable(); err != nil {
		return err
	}
	if j.side.Options, err = j.options(); err != nil {
		return err
	}
	switch {
	case j.o.write.dryRun:
		return j.showPlan()
	case j.o.prepareOnly:
		return j.writePrepared()
	}
	return j.build(ctx)
}

// open reads the model twice, once to be prepared, and checks what can be checked without
// TensorRT: the output, and the sizes of the inputs.
func (j *engineJob) open() (err error) {
	j.precision = trt.Precision(j.o.precision)
	for _, m := range []**onnx.Model{&j.source, &j.work} {
		if *m, err = onnx.Open(j.o.model); err != nil {
			return badInput(err)
		}
	}
	j.output = cmp.Or(j.o.write.output, strings.TrimSuffix(j.o.model, filepath.Ext(j.o.model))+".engine")
	if j.o.prepareOnly {
		j.output = j.o.write.outputPath(j.o.model, "."+j.o.precision+".trt")
	}
	inputs, err := inspect.Files(j.source)
	if err != nil {
		return badInput(err)
	}
	for _, file := range append([]string{j.o.calib, j.o.calibCache, j.o.timingCache, j.o.read.tokenizer, j.configFile}, j.o.plugins...) {
		if file != "" {
			inputs = append(inputs, file)
		}
	}
	if err := j.o.write.checkOutput(j.output, inputs...); err != nil {
		return err
	}
	if !j.o.prepareOnly {
		if err := j.o.write.checkOutput(trt.SidecarPath(j.output), inputs...); err != nil {
			return err
		}
	}
	if err := j.checkSummary(append(inputs, j.output, trt.SidecarPath(j.output))...); err != nil {
		return err
	}
	if j.hash, err = j.source.Hash(); err != nil {
		return badInput(err)
	}
	bytes, err := inspect.Bytes(j.source)
	if err != nil {
		return badInput(err)
	}
	j.side = &trt.Sidecar{
		Command: "build-engine", Config: j.configFile, Precision: j.precision, Workspace: j.o.build.Workspace, Layers: map[string]int{},
		Input: trt.File{Path: j.o.model, Bytes: bytes, Hash: j.hash}, Inputs: []trt.Tensor{}, Outputs: []trt.Tensor{}, Warnings: []string{},
	}
	for _, c := range j.o.build.Capabilities {
		j.side.Capabilities = append(j.side.Capabilities, trt.FormatCapability(c))
	}
	if j.o.prepareOnly {
		return nil
	}
	var notes []string
	if j.profiles, notes, err = trt.Profiles(trt.Inputs(j.source), j.o.ranges); err != nil {
		return flagProblem(err)
	}
	j.side.Profiles, j.side.Warnings = j.profiles, append(j.side.Warnings, notes...)
	return nil
}

// flagProblem is an error of flags with what to do instead.
func flagProblem(err error) error {
	var f *trt.FlagError
	if !errors.As(err, &f) {
		return &exitError{code: exitUsage, err: err}
	}
	if f.Hint == "" {
		return &exitError{code: exitUsage, err: err}
	}
	return withHint(&exitError{code: exitUsage, err: err}, "%s", f.Hint)
}

// versionCompatible is the option of engines that other versions load, too.
const versionCompatible = "version_compatible"

// options that decide the bytes of an engine beside its model: flags, and the contents of
// files that are read. Scales of an earlier calibration stand in place of its data.
func (j *engineJob) options() (map[string]string, error) {
	b := j.o.build
	out := map[string]string{
		"precision": j.o.precision, "profiles": fmt.Sprint(j.profiles), "workspace": fmt.Sprint(b.Workspace),
		"build": fmt.Sprint(b.OptLevel, b.Capabilities, b.HWCompat, b.Device, b.NoTF32, b.Refit, b.Detailed),
		"nodes": fmt.Sprint(j.o.write.keep, j.o.write.only),
	}
	if b.VersionCompatible {
		out[versionCompatible] = "true"
	}
	files := map[string]string{"calib": j.o.calib}
	if fileSize(j.o.calibCache) > 0 {
		files = map[string]string{"scales": j.o.calibCache}
	} else if j.o.calib != "" {
		out["samples"] = fmt.Sprint(j.o.read.calibSamples, " of seed ", j.o.write.seed)
		j.o.read.describe(func(name, value string) { out[name] = value }, j.o.model, j.o.calib)
	}
	for i, plugin := range j.o.plugins {
		files[fmt.Sprintf("plugin %d", i)] = plugin
	}
	for name, file := range files {
		sum, err := fingerprint(file)
		if err != nil {
			return nil, err
		}
		if sum != "" {
			out[name] = sum
		}
	}
	return out, nil
}

// sameLibrary reports whether the library that would build is the one that built, as far
// as one is here.
func (j *engineJob) sameLibrary(old *trt.Sidecar) bool {
	lib, err := j.library(j.o.trtLib)
	if err != nil {
		return true
	}
	defer lib.Close()
	return lib.Info().Library == old.Library && lib.Info().Flavour == old.Flavour
}

// unchanged ends the run where --if-unchanged skip finds an engine of the same model and
// options.
func (j *engineJob) unchanged() (bool, error) {
	if j.o.write.ifUnchanged == "" || j.o.prepareOnly {
		return false, nil
	}
	now, err := j.options()
	if err != nil {
		return false, err
	}
	old, err := trt.ReadSidecar(j.output)
	if err != nil || old.Input.Hash != j.hash || !maps.Equal(old.Options, now) || !j.sameLibrary(old) {
		for _, file := range []string{j.output, trt.SidecarPath(j.output)} { // before the long build, which would refuse, too
			if _, e := os.Stat(file); e == nil && !j.o.write.force {
				return false, withHint(&exitError{code: exitUsage, err: fmt.Errorf("output %q exists, made otherwise", file)}, "give --force to overwrite it")
			}
		}
		return false, nil
	}
	old.Skipped, old.Plan = true, nil
	return true, j.emit(&report.Engine{Sidecar: old})
}

// showPlan tells what would be built.
func (j *engineJob) showPlan() error {
	p := &report.Plan{
		Header: report.Header{Command: "build-engine", Config: j.configFile}, Input: j.o.model,
		Output: report.PlannedFile{Path: j.output}, Warnings: append(j.side.Warnings, j.made.Done...),
	}
	if j.made.Plan != nil {
		_, p.Unchanged = planned(j.made.Plan)
		for _, c := range j.made.Plan.Changes {
			p.Plan = append(p.Plan, report.Step{Node: c.Node, Op: c.Op, Action: c.Action, Format: c.Format, BytesBefore: c.BytesBefore, BytesAfter: c.BytesAfter})
		}
	}
	return j.emit(p)
}

// writePrepared writes the model that TensorRT would be given.
func (j *engineJob) writePrepared() error {
	start := time.Now()
	folder, err := os.MkdirTemp(filepath.Dir(j.output), ".optim-*")
	if err != nil {
		return fileError(err)
	}
	defer os.RemoveAll(folder)
	name := filepath.Base(j.output)
	written, err := j.work.WriteFile(filepath.Join(folder, name), onnx.WriteOptions{External: "auto", DataPath: filepath.Join(folder, name+".data")})
	if err != nil {
		return fileError(err)
	}
	for _, suffix := range []string{".data", ""} { // the model last: it is whole then
		from := filepath.Join(folder, name+suffix)
		if _, err := os.Stat(from); err != nil {
			continue
		}
		if err := os.Rename(from, j.output+suffix); err != nil {
			return fileError(err)
		}
	}
	if j.precision == trt.FP8 {
		j.side.Warnings = append(j.side.Warnings, "ONNX Runtime's processors have no products of 8-bit floats: only TensorRT runs this model")
	}
	j.side.Output = trt.File{Path: j.output, Bytes: written.Size + written.DataSize, Hash: written.Hash}
	j.side.BuildSeconds, j.side.PeakRSS = time.Since(start).Seconds(), measure.PeakRSS()
	return j.emit(&report.Engine{Sidecar: j.side, Only: true})
}
