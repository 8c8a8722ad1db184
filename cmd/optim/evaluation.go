package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/eval/nodediff"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/report"
)

// evaluation holds what eval works on: one model or two, and the data.
type evaluation struct {
	*app
	o         *evalOptions
	rt        *ort.Runtime
	model     opened
	reference opened // without a session where there is none
	set       *dataset.Set
	said      []string
}

// opened is a model file, read and in a session.
type opened struct {
	graph   *onnx.Model
	session *ort.Session
	info    dataset.ModelInfo
}

func (o *opened) close() {
	if o.session != nil {
		o.session.Close()
	}
	if o.graph != nil {
		o.graph.Close()
	}
}

func (e *evaluation) close() {
	if e.set != nil {
		e.set.Close()
	}
	e.model.close()
	e.reference.close()
	if e.rt != nil {
		e.rt.Close()
	}
}

// open reads the models before the library is loaded, so that a bad file is
// told from a missing library, and then opens sessions and data.
func (e *evaluation) open() (err error) {
	files := []struct {
		path string
		to   *opened
	}{{e.o.model, &e.model}}
	if e.o.against != "" {
		files = append(files, struct {
			path string
			to   *opened
		}{e.o.against, &e.reference})
	}
	for _, f := range files {
		if f.to.graph, err = onnx.Open(f.path); err != nil {
			return badInput(err)
		}
	}
	if e.rt, err = e.runtime(); err != nil {
		return err
	}
	for _, f := range files {
		if f.to.session, err = e.rt.Open(f.path, e.sessionOptions()); err != nil {
			return badInput(err)
		}
		f.to.info = dataset.ModelInfo{Path: f.path, Inputs: f.to.session.Inputs(), Outputs: f.to.session.Outputs()}
	}
	return e.openData()
}

// openData opens the data for the reference, or for the model where there is
// none. Of two models the smaller context counts.
func (e *evaluation) openData() error {
	read, err := e.o.read.options()
	if err != nil {
		return err
	}
	read.Samples, read.SplitPairs = e.o.read.evalSamples, false
	first := &e.model
	if e.reference.session != nil {
		first = &e.reference
	}
	read.Vocab, read.PositionRows = inspect.Tables(first.graph)
	if first != &e.model {
		vocab, rows := inspect.Tables(e.model.graph)
		read.Vocab, read.PositionRows = least(read.Vocab, vocab), least(read.PositionRows, rows)
	}
	e.set, err = dataset.Open(e.o.data, first.info, read)
	return badInput(err)
}

// least returns the smaller of two figures of which 0 means unknown.
func least(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// measure fills in the metric, and with a reference what was kept of it.
func (e *evaluation) measure(ctx context.Context, r *report.Eval) error {
	bar := e.progress("evaluating")
	defer bar.Done()
	opts := eval.Options{
		Metric: e.o.metric, Batch: e.batch(),
		Progress: func(done, total int) { bar.Set(int64(done), int64(total)) },
	}
	if opts.Metric == eval.Auto {
		opts.Metric = eval.AutoMetric(e.set)
	}
	if e.reference.session == nil {
		if eval.NeedsReference(opts.Metric) {
			err := usagef("the data has no labels, scores or text to predict: nothing can be measured on one model")
			return withHint(err, "give --against REFERENCE to compare outputs")
		}
		result, err := eval.Run(ctx, e.model.session, e.set, opts)
		e.fill(r, result)
		return badInput(err)
	}
	return e.compare(ctx, r, opts)
}

func (e *evaluation) compare(ctx context.Context, r *report.Eval, opts eval.Options) error {
	if e.o.limited && opts.Metric == eval.MSE {
		return usagef("a limit means nothing for --metric mse, which has no retention")
	}
	k, err := eval.Against(ctx, e.reference.session, e.model.session, e.set, opts)
	if err != nil {
		return badInput(err)
	}
	e.fill(r, k.Result)
	r.Retention, r.Interval, r.McNemar, r.Divergence = k.Retention, k.Interval, k.McNemar, k.Divergence
	if k.Reference != nil {
		r.Reference = &report.Reference{Value: k.Reference.Value, StdErr: positive(k.Reference.StdErr)}
	}
	if a := k.Agreement; a != nil {
		r.Agreement = &report.Agreement{Share: a.Share(), Same: a.Same, Of: a.Of, Unit: a.Unit}
	}
	e.said = append(e.said, k.Notes...)
	return nil
}

// batch returns the samples per run: those asked for, else what the models allow.
func (e *evaluation) batch() int {
	if e.o.batch > 0 {
		return e.o.batch
	}
	models := []*onnx.Model{e.model.graph}
	if e.reference.graph != nil {
		models = append(models, e.reference.graph)
	}
	return eval.BatchFor(models...)
}

// positive returns a figure of which 0 means that there is none.
func positive(v float64) *float64 {
	if v == 0 {
		return nil
	}
	return &v
}

// fill takes a result over into the report.
func (e *evaluation) fill(r *report.Eval, result eval.Result) {
	r.Metric, r.Value, r.StdErr, r.Samples = result.Metric, result.Value, positive(result.StdErr), result.Samples
	for _, name := range sortedKeys(result.Extras) {
		r.Details = append(r.Details, report.Detail{Name: name, Value: result.Extras[name]})
	}
}

// perNode adds the comparison of activations.
func (e *evaluation) perNode(ctx context.Context, r *report.Eval) error {
	bar := e.progress("comparing activations")
	defer bar.Done()
	diffs, err := nodediff.Compare(ctx, e.rt, e.reference.graph, e.model.graph, e.set, nodediff.Options{
		Session:  e.sessionOptions(),
		Progress: func(done, total int) { bar.Set(int64(done), int64(total)) },
	})
	if errors.Is(err, nodediff.ErrNothingShared) {
		e.said = append(e.said, err.Error())
		return nil
	}
	if err != nil {
		return badInput(fmt.Errorf("activations: %w", err))
	}
	unlike := 0
	for _, d := range diffs {
		if d.Unlike {
			unlike++
			continue
		}
		n := report.NodeDiff{Value: d.Value, Op: d.Op, Equal: d.Noise == 0, Cosine: d.Cosine}
		if !math.IsInf(d.SQNR, 0) {
			n.SQNR = &d.SQNR
		}
		r.Nodes = append(r.Nodes, n)
	}
	if unlike > 0 {
		e.said = append(e.said, fmt.Sprintf("%d activations have other shapes than the reference's, and were not compared", unlike))
	}
	return nil
}

// notes returns what the user has to know about the data.
func (e *evaluation) notes() []string {
	out := append([]string(nil), e.set.Notes...)
	return append(out, e.said...)
}
