package main

import (
	"context"
	"fmt"
	"maps"

	"optim/internal/calibrate"
	"optim/internal/onnx"
	"optim/internal/quant"
)

// correct compares what static placement made with the float model on a few
// samples. While an output suffers, the units that hurt it go back to float and
// the model is quantized anew.
func (j *quantizeJob) correct(ctx context.Context, obs quant.Observations) error {
	if len(j.plan.Integer) == 0 {
		return nil
	}
	float, err := j.prepared()
	if err != nil {
		return err
	}
	defer float.Close()
	set, err := j.calibrationSet(calibrate.VerifySamples)
	if err != nil {
		return err
	}
	defer set.Close()
	for round := 0; ; round++ {
		loss, err := calibrate.Verify(ctx, j.rt, float, j.work, j.plan, set, j.sessionOptions())
		if err != nil {
			return err
		}
		if len(loss.Hurting) == 0 || round == calibrate.Rounds {
			j.noteLoss(loss)
			return nil
		}
		if j.q.Float == nil {
			j.q.Float = map[string]string{}
		}
		maps.Copy(j.q.Float, loss.Hurting)
		if err := j.again(ctx, obs); err != nil {
			return err
		}
	}
}

// prepared reads the model once more and prepares it.
func (j *quantizeJob) prepared() (*onnx.Model, error) {
	m, err := onnx.Open(j.o.model)
	if err != nil {
		return nil, badInput(err)
	}
	if _, err := j.prepare(m); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// again quantizes the untouched model with the options as they stand now.
func (j *quantizeJob) again(ctx context.Context, obs quant.Observations) error {
	m, err := j.prepared()
	if err != nil {
		return err
	}
	j.work.Close()
	j.work = m
	j.plan, err = quant.Quantize(ctx, m, j.q, obs, j.workers())
	return err
}

// noteLoss says what was corrected, and what could not be.
func (j *quantizeJob) noteLoss(loss calibrate.Loss) {
	if n := len(j.q.Float); n > 0 {
		j.said = append(j.said, fmt.Sprintf("%d nodes went back to float because the outputs suffered from their integers", n))
	}
	if loss.Cosine < calibrate.LeastCosine {
		j.said = append(j.said, fmt.Sprintf("output %q keeps a cosine of only %.3f with the float model's (on calibration samples)", loss.Output, loss.Cosine))
	}
}
