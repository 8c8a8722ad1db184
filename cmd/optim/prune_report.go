package main

import (
	"fmt"
	"math"

	"optim/internal/eval"
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/prune"
	"optim/internal/report"
)

// fill puts what was done and found into the report.
func (j *pruneJob) fill(r *report.Transform, v *gate.Verdict) error {
	out, err := j.statistics(r)
	if err != nil {
		return err
	}
	in := report.File{Path: j.o.model, Parameters: inspect.Parameters(j.source), MACs: inspect.MACs(j.source)}
	_, zeros, err := prune.Counted(j.source.Graph, nil)
	if err != nil {
		return err
	}
	nonzero := in.Parameters - zeros
	in.Nonzero = &nonzero
	fillVerdict(r, v, in, out)
	if j.zeroed != nil && r.Acceptable {
		if err := j.compress(r); err != nil {
			return err
		}
	}
	if q := r.Quality; q != nil && q.Metric == eval.Perplexity && q.Before != nil {
		before, after := math.Log(*q.Before), math.Log(*q.After)
		r.Loss = &report.Loss{Before: before, After: after, Increase: after - before}
	}
	r.Changes, r.Unchanged = j.changes, j.left
	r.Warnings = distinct(v.Warnings, j.said)
	if s := v.Speed; s != nil && j.o.budget && s.High < j.o.speedup {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the speed-up that was asked for, %.4g, was missed", j.o.speedup))
	}
	if j.o.finetune > 0 && r.Acceptable {
		r.Warnings = append(r.Warnings, j.o.train.finished(j.folder)...)
	} else if j.o.finetune > 0 {
		r.Warnings = append(r.Warnings, j.o.train.kept(j.folder)...)
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
		Output: report.PlannedFile{Path: j.output, Bytes: bytes}, Unchanged: j.left, Warnings: append(j.said, j.o.write.tooLarge(bytes)...),
	}
	before, after := weightBytes(j.source.Graph), weightBytes(j.work.Graph)
	for _, c := range j.changes {
		p.Plan = append(p.Plan, report.Step{Node: c.Node, Op: c.Op, Action: c.Action, Format: c.Format, BytesBefore: before[c.Node], BytesAfter: after[c.Node]})
	}
	return j.emit(p)
}

// weightBytes sums the weights of each node, by its name.
func weightBytes(g *onnx.Graph) map[string]int64 {
	bytes := map[string]int64{}
	for _, w := range g.Initializers {
		bytes[w.Name] = w.Elements() * int64(w.DType.Bits()) / 8
	}
	out := map[string]int64{}
	for _, n := range g.Nodes {
		for _, v := range n.Inputs {
			out[n.Name] += bytes[v]
		}
	}
	return out
}
