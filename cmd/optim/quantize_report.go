package main

import (
	"errors"
	"fmt"
	"slices"

	"optim/internal/dataset"
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/report"
)

// showPlan prints what would be done.
func (j *quantizeJob) showPlan() error {
	bytes, err := j.work.WrittenSize(j.output, onnx.WriteOptions{External: j.o.write.externalData, DataPath: j.output + ".data"})
	if err != nil {
		return err
	}
	p := &report.Plan{
		Header: report.Header{Command: "quantize", Config: j.configFile}, Input: j.o.model,
		Output: report.PlannedFile{Path: j.output, Bytes: bytes}, Warnings: distinct(planNotes(j.plan), j.said, j.o.write.tooLarge(bytes)),
	}
	_, p.Unchanged = planned(j.plan)
	for _, c := range j.plan.Changes {
		p.Plan = append(p.Plan, report.Step{Node: c.Node, Op: c.Op, Action: c.Action, Format: c.Format, BytesBefore: c.BytesBefore, BytesAfter: c.BytesAfter})
	}
	return j.emit(p)
}

// fill puts what was done and found into the report.
func (j *quantizeJob) fill(r *report.Transform, v *gate.Verdict) {
	r.Changes, r.Unchanged = planned(j.plan)
	r.Ledger = j.ledger
	r.Warnings = distinct(planNotes(j.plan), j.said, v.Warnings)
	fillVerdict(r, v, report.File{Path: j.o.model, Parameters: inspect.Parameters(j.source)}, report.File{Path: j.output, Parameters: inspect.Parameters(j.source)})
	r.Kernels = v.Kernels
}

// fillVerdict puts what the gate found into the report.
func fillVerdict(r *report.Transform, v *gate.Verdict, in, out report.File) {
	in.Bytes, out.Bytes = v.BytesBefore, v.BytesAfter
	r.Input, r.Output = in, &out
	if v.BytesBefore > 0 {
		reduction := 1 - float64(v.BytesAfter)/float64(v.BytesBefore)
		r.SizeReduction = &reduction
	}
	r.Acceptable = len(v.Missed) == 0
	if data := out.Path + ".data"; r.Acceptable && fileSize(out.Path) < out.Bytes && fileSize(data) > 0 {
		r.Wrote = append(r.Wrote, data)
	}
	for _, m := range v.Missed {
		r.Missed = append(r.Missed, fmt.Sprintf("%s: %s; try: %s", m.Limit, m.Detail, m.Try))
	}
	if q := v.Quality; q != nil {
		r.Quality = &report.Quality{Metric: q.Metric, Before: q.Before, After: q.After, Retention: q.Retention, Limit: q.Limit, KL: q.KL,
			Acceptable: q.Limit == nil || *q.Retention > *q.Limit, Samples: q.Samples}
		if q.After == nil {
			r.Quality.After = &q.Value
		}
	}
	if s := v.Speed; s != nil {
		r.Speed = &report.Speed{BeforeMS: s.Before, AfterMS: s.After, Speedup: s.Speedup, Low: s.Low, High: s.High, Sizes: s.Sizes}
	}
	if v.Opset > 0 {
		r.Needs = &report.Needs{Opset: v.Opset, ONNXRuntime: v.Needs}
	}
	r.Cosine = v.Cosine
	r.PeakRSS = measure.PeakRSS()
}

// gateError gives the gate's errors their exit status.
func gateError(err error) error {
	var target *gate.OutputError
	var data *dataset.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gate.ErrLimit):
		return &exitError{code: exitLimit, err: err}
	case errors.As(err, &target):
		return outputError(target)
	case errors.As(err, &data), errors.Is(err, gate.ErrSource):
		return badInput(err)
	}
	return err
}

// outputError gives a target that cannot be written its exit status and hint.
func outputError(err *gate.OutputError) error {
	return &exitError{code: exitUsage, err: err, hint: err.Hint}
}

// distinct joins lists and leaves out what was said before: calibration and
// evaluation read data alike.
func distinct(lists ...[]string) []string {
	var out []string
	for _, s := range slices.Concat(lists...) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// quantizeAdvice is what to try where a limit is missed.
func quantizeAdvice(q *quant.Options) map[string]string {
	more := ""
	if q.Narrow() {
		more = "more --bits, "
	}
	return map[string]string{
		"quality": "give " + more + "more or better --calib data, another --calibrator or --method, or --keep the nodes that suffer (optim eval --per-node)",
		"size":    "change more: fewer --keep, data for nodes that need it, or a format of fewer bits",
		"speed":   "give --calib where there are convolutions, or lower --min-speedup",
	}
}
