package main

import (
	"context"
	"errors"
	"fmt"

	"optim/internal/calibrate"
	"optim/internal/onnx"
	"optim/internal/quant"
)

// worthCalibrator is the share of the loss that another calibrator has to save
// to be taken in the place of the default one: less lies within what samples
// differ by.
const worthCalibrator = 0.25

// chooseCalibrator makes a calibrator of auto: the least squared error of each
// activation by itself, unless another one leaves the outputs clearly nearer to
// the float model's on calibration samples.
func (j *quantizeJob) chooseCalibrator(ctx context.Context, obs quant.Observations) error {
	if j.q.Calibrator != quant.AutoCalibrator || j.o.activations == 16 {
		return nil
	}
	set, err := j.calibrationSet(calibrate.SensitivitySamples)
	if err != nil {
		return err
	}
	defer set.Close()
	ref, err := j.reference(ctx, set)
	if err != nil {
		return err
	}
	bar := j.progress("comparing calibrators")
	defer bar.Done()
	losses := make([]float64, len(calibrators))
	for i, c := range calibrators {
		err := j.variant(ctx, obs, func(q *quant.Options) { q.Calibrator = c }, func(m *onnx.Model, plan *quant.Plan) (err error) {
			if len(plan.Integer) > 0 {
				losses[i], err = ref.Loss(ctx, m)
			}
			return err
		})
		if errors.Is(err, quant.ErrNothing) {
			return nil // told when it is done in earnest
		}
		if err != nil {
			return err
		}
		bar.Set(int64(i+1), int64(len(calibrators)))
	}
	best := 0
	for i, loss := range losses {
		if loss < losses[best] && loss < (1-worthCalibrator)*losses[0] {
			best = i
		}
	}
	j.q.Calibrator = calibrators[best]
	if best > 0 {
		j.said = append(j.said, fmt.Sprintf("ranges by %s: on calibration samples the outputs lose %.2g, %.2g by %s", calibrators[best], losses[best], losses[0], calibrators[0]))
	}
	return nil
}

// calibrators are what auto chooses from, the default first.
var calibrators = []quant.Calibrator{quant.MSE, quant.Entropy, quant.Percentile, quant.MinMax}
