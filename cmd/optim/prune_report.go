package main

import (
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/prune"
	"optim/internal/report"
)

// fill puts what was done and found into the report.
func (j *pruneJob) fill(r *report.Transform, v *gate.Verdict) error {
	before, after := inspect.Parameters(j.source), inspect.Parameters(j.work)
	out := report.File{Path: j.output, Parameters: after}
	elements, zeros, err := prune.Counted(j.work.Graph, func(name string) bool { return j.counted[name] })
	if err != nil {
		return err
	}
	if j.zeroed != nil {
		elements, zeros = elements+j.zeroed.Elements, zeros+j.zeroed.Zeros
	}
	nonzero := after - zeros
	out.Nonzero = &nonzero
	fillVerdict(r, v, report.File{Path: j.o.model, Parameters: before}, out)
	r.Changes, r.Unchanged = j.changes, j.left
	ratio := float64(before) / float64(max(nonzero, 1))
	r.CompressionRatio = &ratio
	if j.zeroed != nil {
		share, all := float64(j.zeroed.Zeros)/float64(j.zeroed.Elements), float64(zeros)/float64(max(elements, 1))
		r.Sparsity, r.ModelSparsity = &share, &all
	}
	r.Warnings = distinct(j.said, v.Warnings)
	if j.o.finetune > 0 && r.Acceptable {
		r.Warnings = append(r.Warnings, j.o.train.finished(j.folder)...)
	}
	return nil
}

// showPlan prints what would be done.
func (j *pruneJob) showPlan() error {
	bytes, err := j.work.WrittenSize(j.output, onnx.WriteOptions{External: j.o.write.externalData, DataPath: j.output + ".data"})
	if err != nil {
		return err
	}
	p := &report.Plan{
		Header: report.Header{Command: "prune", Config: j.configFile}, Input: j.o.model,
		Output: report.PlannedFile{Path: j.output, Bytes: bytes}, Unchanged: j.left, Warnings: j.said,
	}
	for _, c := range j.changes {
		p.Plan = append(p.Plan, report.Step{Node: c.Node, Op: c.Op, Action: c.Action, Format: c.Format})
	}
	return j.emit(p)
}
