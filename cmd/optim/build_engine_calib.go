package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"optim/internal/calibrate"
	"optim/internal/gate"
	"optim/internal/quant"
	"optim/internal/trt"
)

// ranges prepares the conversion to 8 bits: the scales of a table that is there, or what
// calibration sees.
func (j *engineJob) ranges(ctx context.Context) (quant.Observations, error) {
	cached, err := j.table()
	if err != nil {
		return nil, err
	}
	j.plan8 = trt.Plan8(j.work, j.precision, j.o.calib != "" || cached != nil, j.o.write.keep, j.o.write.only)
	if j.plan8 == nil || j.o.calib == "" && cached == nil {
		if j.o.calib != "" {
			j.side.Warnings = append(j.side.Warnings, "the model has its own Q/DQ: --calib was not needed")
		}
		return nil, nil
	}
	if _, err := quant.Prepare(j.work, j.plan8); err != nil {
		return nil, badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	if cached != nil {
		j.plan8.Codes = cached.Codes()
		j.side.Warnings = append(j.side.Warnings, fmt.Sprintf("%d scales are those of %s", len(cached.Scales), j.o.calibCache))
		return nil, nil
	}
	return j.observe(ctx)
}

// table reads --calib-cache; nil: there is none yet.
func (j *engineJob) table() (*trt.Table, error) {
	if j.o.calibCache == "" {
		return nil, nil
	}
	t, err := trt.ReadTable(j.o.calibCache, j.hash, j.precision)
	if errors.Is(err, fs.ErrNotExist) && j.o.calib != "" {
		return nil, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(badInput(fileError(err)), "give --calib DATA to make the table")
	}
	return t, badInput(err)
}

// observe calibrates on --calib.
func (j *engineJob) observe(ctx context.Context) (quant.Observations, error) {
	rt, err := j.runtime()
	if err != nil {
		return nil, err
	}
	defer rt.Close()
	info, err := calibrate.Describe(rt, j.source, j.sessionOptions())
	if err != nil {
		return nil, badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	set, err := j.o.read.calibration(j.o.calib, info, j.source, j.o.read.calibSamples, j.o.write.seed)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	bar := j.progress("calibrating")
	defer bar.Done()
	total, _ := set.Len()
	values, channels := quant.Activations(j.work, j.plan8)
	result, err := calibrate.Run(ctx, rt, j.work, set, calibrate.Options{
		Values: values, Channels: channels, Histograms: j.plan8.Calibrator.Histograms(), Session: j.sessionOptions(),
		Progress: func(done int) { bar.Set(int64(done), int64(total)) },
	})
	if err != nil {
		return nil, badInput(err)
	}
	j.side.Warnings = append(append(j.side.Warnings, set.Notes...), doubts(j.work.Graph, result)...)
	return result.Observations, nil
}

// saveTable writes --calib-cache where calibration was made.
func (j *engineJob) saveTable() error {
	if j.o.calibCache == "" || j.plan8 == nil || len(j.plan8.Codes) > 0 || j.o.write.dryRun {
		return nil
	}
	if gate.SameFile(j.o.calibCache, j.output) {
		return usagef("--calib-cache %q is the output", j.o.calibCache)
	}
	return fileError(trt.NewTable(j.hash, j.precision, j.made.Codes).Write(j.o.calibCache))
}
