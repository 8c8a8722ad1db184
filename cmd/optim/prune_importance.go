package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"gonum.org/v1/gonum/stat"

	"optim/internal/calibrate"
	"optim/internal/gate"
	"optim/internal/onnx"
	"optim/internal/prune"
	"optim/internal/report"
	"optim/internal/report/plot"
)

// importanceFlags are those that --importance goes with, beside those of data.
var importanceFlags = []string{"importance", "score", "top", "plot", "calib", "data", "samples", "embeddings", "seed"}

// checkImportance refuses what means nothing where nothing is pruned.
func (o *pruneOptions) checkImportance(flags *pflag.FlagSet, kinds bool) error {
	if kinds {
		return usagef("--importance prunes nothing: give it without a kind")
	}
	var idle error
	flags.VisitAll(func(f *pflag.Flag) {
		group := note(f, noteGroup)
		if given(flags, f.Name) && group != groupData && group != groupGlobal && !slices.Contains(importanceFlags, f.Name) && idle == nil {
			idle = usagef("--%s means nothing for --importance", f.Name)
		}
	})
	if idle != nil {
		return idle
	}
	if o.byInputs() {
		return usagef("--score %s compares weights with each other, not layers", o.score)
	}
	if o.needsData() != (o.scoring().data != "") {
		return usagef("--score %s and --calib or --data go together: gradients and activations need data, weights none", cmp.Or(o.score, "l1"))
	}
	if ext := strings.ToLower(filepath.Ext(o.plot)); o.plot != "" && ext != ".png" && ext != ".svg" {
		return usagef("--plot must end in .png or .svg, not %q", o.plot)
	}
	o.cut = given(flags, "top") && o.top > 0
	if o.top < 0 {
		return usagef("--top must not be negative, not %d", o.top)
	}
	if err := o.checkCalib(flags); err != nil {
		return err
	}
	return o.read.check()
}

// runImportance tells how much each layer counts.
func runImportance(ctx context.Context, a *app, o *pruneOptions) (err error) {
	if o.plot != "" && gate.SameFile(o.plot, o.model) {
		return usagef("--plot %q is the model", o.plot)
	}
	j := &pruneJob{app: a, o: o}
	defer j.close()
	for _, m := range []**onnx.Model{&j.source, &j.work} {
		if *m, err = onnx.Open(o.model); err != nil {
			return badInput(err)
		}
	}
	if o.needsData() {
		if j.rt, err = j.runtime(); err != nil {
			return err
		}
		if j.info, err = calibrate.Describe(j.rt, j.source, j.sessionOptions()); err != nil {
			return badInput(fmt.Errorf("%s: %w", o.model, err))
		}
	}
	if o.bySensitivity() {
		if err := j.weigh(ctx); err != nil {
			return err
		}
	}
	if err := j.observe(ctx, prune.OutputMoments); err != nil {
		return badInput(fmt.Errorf("%s: %w", o.model, err))
	}
	r := &report.Importance{Header: report.Header{Command: "prune", Config: a.configFile}, Path: o.model, Score: cmp.Or(o.score, "l1"), Top: o.top, Warnings: j.said}
	for _, m := range prune.Matrices(j.work.Graph, o.embeddings) {
		score, err := j.layerScore(m, r.Score)
		if err != nil {
			return badInput(fmt.Errorf("%s: %w", o.model, err))
		}
		r.Layers = append(r.Layers, report.LayerScore{Name: cmp.Or(m.Node.Name, m.Tensor.Name), Score: score, Parameters: m.Tensor.Elements()})
	}
	slices.SortStableFunc(r.Layers, func(a, b report.LayerScore) int { return cmp.Compare(b.Score, a.Score) })
	if len(r.Layers) == 0 {
		return pruneError(o.model, fmt.Errorf("%w: no constant float32 weight in MatMul, Gemm or Conv", errNothingPruned))
	}
	if err := writeBars(o.plot, r); err != nil {
		return err
	}
	r.Wrote = o.plot
	if o.cut && a.json {
		r.Layers = r.Layers[:min(o.top, len(r.Layers))]
	}
	return a.emit(r)
}

// layerScore is the mean magnitude or square of a weight, the sum of its scores, or the mean
// over the channels of its outputs.
func (j *pruneJob) layerScore(m prune.Matrix, by string) (float64, error) {
	if seen := j.seen[m.Tensor.Name]; seen != nil {
		return stat.Mean(seen.By(by), nil), nil
	}
	if j.scores != nil {
		sum := 0.0
		for _, x := range j.scores[m.Tensor.Name] {
			sum += float64(x)
		}
		return sum, nil
	}
	return prune.MeanOf(m.Tensor, by)
}

// writeBars draws the layers that the table shows.
func writeBars(path string, r *report.Importance) error {
	if path == "" {
		return nil
	}
	var names []string
	var values []float64
	for i, l := range r.Layers {
		if r.Top > 0 && i >= r.Top {
			break
		}
		names, values = append(names, l.Name), append(values, l.Score)
	}
	b, err := plot.Bars(names, values, fmt.Sprintf("Importance of the layers of %s by %s", filepath.Base(r.Path), r.Score), strings.ToLower(strings.TrimPrefix(filepath.Ext(path), ".")))
	if err != nil {
		return err
	}
	return fileError(os.WriteFile(path, b, 0o644))
}
