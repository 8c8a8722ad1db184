package main

import (
	"context"
	"errors"
	"fmt"

	"optim/internal/calibrate"
	"optim/internal/calibrate/sequential"
	"optim/internal/dataset"
	"optim/internal/gate"
	"optim/internal/quant"
)

// observe calibrates, or takes over what an equal run has observed.
func (j *quantizeJob) observe(ctx context.Context) (quant.Observations, error) {
	set, err := j.calibrationSet(0)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	j.said = append(j.said, set.Notes...)
	if j.o.write.eval != "" && gate.SameFile(j.o.calib, j.o.write.eval) {
		j.said = append(j.said, "--calib and --eval are the same data: the quality on other samples may be lower")
	}
	bar := j.progress("calibrating")
	defer bar.Done()
	total, _ := set.Len()
	values, channels := quant.Activations(j.work, j.q)
	o := calibrate.Options{
		Values: values, Channels: channels, Histograms: j.q.Calibrator.Histograms(), Session: j.sessionOptions(),
		Progress: func(done int) { bar.Set(int64(done), int64(total)) },
	}
	o.Cache = j.calibrationCache(o)
	result, err := calibrate.Run(ctx, j.rt, j.work, set, o)
	if err != nil {
		return nil, j.badCalibration(err)
	}
	if result.Resumed > 0 {
		j.said = append(j.said, fmt.Sprintf("%d of %d calibration samples were observed by an earlier run", result.Resumed, result.Samples))
	}
	j.said = append(j.said, doubts(j.work.Graph, result)...)
	return result.Observations, nil
}

// solve decides the weights by what the data shows.
func (j *quantizeJob) solve(ctx context.Context) error {
	set, err := j.calibrationSet(0)
	if err != nil {
		return err
	}
	defer set.Close()
	bar := j.progress(string(j.q.Method))
	defer bar.Done()
	products := quant.Products(j.work, j.q)
	j.solved, err = sequential.Solve(ctx, j.rt, j.work, set, products, sequential.Options{
		Method: quant.Method(j.o.method), Session: j.sessionOptions(),
		Progress: func(done, total int) { bar.Set(int64(done), int64(total)) },
	})
	if err != nil {
		return j.badCalibration(err)
	}
	j.said = append(append(j.said, set.Notes...), j.solved.Notes...)
	j.q.Solutions = j.solved.Solutions
	return nil
}

// badCalibration says whether the data or the cache is to blame.
func (j *quantizeJob) badCalibration(err error) error {
	var named *dataset.Error
	switch {
	case errors.Is(err, calibrate.ErrCache):
		return withHint(err, "give --cache-dir DIR")
	case errors.As(err, &named):
		return badInput(err)
	}
	return badInput(fmt.Errorf("%s: %w", j.o.calib, err))
}

// calibrationSet opens the calibration data, at most that many samples; 0: as
// many as the user wants.
func (j *quantizeJob) calibrationSet(most int) (*dataset.Set, error) {
	samples := j.o.read.calibSamples
	if samples == 0 || most > 0 && most < samples {
		samples = most
	}
	return j.o.read.calibration(j.o.calib, j.info, j.source, samples, j.o.write.seed)
}
