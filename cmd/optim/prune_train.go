package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"optim/internal/autodiff"
	"optim/internal/distill"
	"optim/internal/eval"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/opset"
	"optim/internal/prune"
	"optim/internal/report"
	"optim/internal/tensor"
	"optim/internal/train"
)

// teaching is the weight of the source's outputs beside the labels.
const teaching = 0.5

// rows reads data to train on or to observe.
func (j *pruneJob) rows(ctx context.Context, from trainFlags) (*train.Rows, error) {
	read, err := j.o.read.options()
	if err != nil {
		return nil, err
	}
	read.Seed = j.o.write.seed
	read.Vocab, read.PositionRows = inspect.Tables(j.source)
	rows, notes, err := from.rows(ctx, read, j.info)
	j.said = append(j.said, notes...)
	return rows, err
}

// gradual prunes in --steps, each of the original weights and trained on, and keeps the
// last that holds the limit of quality.
func (j *pruneJob) gradual(ctx context.Context, r *report.Transform) error {
	j.units = map[string]int{}
	quality, before, err := j.quality(ctx)
	if err != nil {
		return err
	}
	notes := j.said
	if j.o.steps > 1 && j.o.finetune == 0 && quality == nil {
		notes = append(notes, "steps change nothing without --finetune-epochs between them or --eval to stop at the last good one")
	}
	for j.step = 1; j.step <= j.o.steps; j.step++ {
		last, epochs, points := j.stage, len(r.Epochs), len(r.Curve)
		j.said = slices.Clone(notes)
		if j.o.steps > 1 {
			if j.work, err = detached(last.work); err != nil {
				return err
			}
		}
		j.sparsity = prune.SparsityAt(j.step, j.o.steps, j.o.sparsity, j.o.schedule)
		if err := j.prune(ctx); err != nil {
			return err
		}
		if j.o.finetune > 0 {
			if err := j.finetune(ctx, r); err != nil {
				return err
			}
		}
		if quality == nil {
			continue
		}
		good, found, err := j.holds(ctx, quality, before)
		if err != nil {
			return err
		}
		notes, j.said = append(notes, found), append(j.said, found)
		if !good && j.step > 1 {
			lost := fmt.Sprintf("step %d of %d lost too much: step %d is what was kept, with a sparsity of %.4g in place of %.4g",
				j.step, j.o.steps, j.step-1, prune.SparsityAt(j.step-1, j.o.steps, j.o.sparsity, j.o.schedule), j.o.sparsity)
			j.work.Close()
			j.stage, r.Epochs, r.Curve = last, r.Epochs[:epochs], r.Curve[:points]
			j.said = append(j.said, found, lost)
			return nil
		}
		if !good {
			return nil // the gate says by how much
		}
		last.work.Close()
	}
	return nil
}

// detached returns a model of its own with the values that a model has now.
func detached(m *onnx.Model) (*onnx.Model, error) {
	b, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	c, err := onnx.Parse(b)
	if err == nil {
		c.Path = m.Path
	}
	return c, err
}

// quality prepares the measurement after each step and measures the source; nil: there is
// none.
func (j *pruneJob) quality(ctx context.Context) (*figure, float64, error) {
	if j.o.steps == 1 || j.o.write.eval == "" {
		return nil, 0, nil
	}
	read, err := j.o.read.options()
	if err != nil {
		return nil, 0, err
	}
	read.Seed, read.Samples = j.o.write.seed, j.o.read.evalSamples
	f, err := j.figure(j.rt, j.info, read, &j.o.write)
	if err != nil {
		return nil, 0, err
	}
	before, err := f.measure(ctx, j.source, j.source)
	return f, before, badInput(err)
}

// holds measures a step, says what was found, and whether it keeps the limit.
func (j *pruneJob) holds(ctx context.Context, f *figure, before float64) (good bool, found string, err error) {
	after, err := f.measure(ctx, j.source, j.work)
	if err != nil {
		return false, "", badInput(err)
	}
	found = fmt.Sprintf("step %d: sparsity %.4g, %s %.5g", j.step, j.sparsity, f.name, after)
	kept, err := eval.Retention(f.name, before, after)
	if err != nil { // a metric without retention sets no limit
		return true, found, nil
	}
	return kept > 1-j.o.write.maxLoss, found, nil
}

// weigh scores all weights by gradients on data.
func (j *pruneJob) weigh(ctx context.Context) error {
	rows, err := j.rows(ctx, j.o.scoring())
	if err != nil {
		return err
	}
	bar := j.progress("weighing")
	defer bar.Done()
	// Weights are folded as they will be when units are removed.
	if j.o.structured || j.o.heads {
		if _, err := opset.Upgrade(j.work, 13); err != nil {
			return badInput(err)
		}
		if _, err := fold.Simplify(j.work); err != nil {
			return badInput(err)
		}
	}
	j.scores, err = distill.Sensitivity(ctx, j.rt, j.work, rows, j.o.score, j.sessionOptions(), func(done, total int) { bar.Set(int64(done), int64(total)) })
	if errors.Is(err, distill.ErrNoLabels) {
		return withHint(badInput(fmt.Errorf("%s: %w", j.o.scoring().data, err)), "gradients need a loss: data with labels, or running text for a language model; --score activation or variance needs neither")
	}
	if err != nil {
		return explainTraining(err, j.o.model, j.o.scoring().data, "")
	}
	return nil
}

// removeLayers takes out the layers that matter least.
func (j *pruneJob) removeLayers(ctx context.Context) error {
	if j.o.layers == 0 {
		return nil
	}
	layers := prune.Layers(j.work.Graph)
	if len(layers) <= j.o.layers {
		return fmt.Errorf("%w: %d layers repeat, of which %d are to go", errNothingPruned, len(layers), j.o.layers)
	}
	rows, err := j.rows(ctx, j.o.scoring())
	if err != nil {
		return err
	}
	influence, err := prune.Influence(ctx, j.rt, j.work, layers, rows, j.sessionOptions())
	if err != nil {
		return err
	}
	for _, i := range prune.LowestOf(influence, j.o.layers) {
		j.said = append(j.said, fmt.Sprintf("layer %d of %d is gone: influence %.3g", i, len(layers), influence[i]))
		j.changes = append(j.changes, report.Change{Node: layers[i].End, Op: "layer", Action: "removed", Format: "none"})
		prune.Bypass(j.work.Graph, layers[i])
		if i+1 < len(layers) && layers[i+1].Begin == layers[i].End {
			layers[i+1].Begin = layers[i].Begin
		}
	}
	return nil
}

// finetune trains what is left, with the source as the teacher. Zeros stay.
func (j *pruneJob) finetune(ctx context.Context, r *report.Transform) error {
	rows, err := j.rows(ctx, j.o.train)
	if err != nil {
		return err
	}
	j.said = append(j.said, j.o.train.fit(rows)...)
	opts, err := j.o.train.options(j.app, rows.Len())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(j.folder, 0o755); err != nil {
		return fileError(err)
	}
	bar := j.trainingBar(j.o.steps, j.step)
	defer bar.Done()
	file := filepath.Join(j.folder, fmt.Sprintf("stage-%d.ckpt", j.step))
	_, missing := os.Stat(file)
	lesson := distill.Options{
		Temperature: 1, Alpha: teaching, Train: opts, Batch: j.o.train.batch, Seed: uint64(j.o.write.seed), Every: j.o.train.logEvery,
		Recompute: j.o.train.recompute, Checkpoint: file, SaveEvery: saveEvery, Resume: j.o.train.resume && missing == nil,
		Identity: fmt.Sprintf("%s step %d", j.recipe.Digest(sortedKeys(j.recipe.Options)...), j.step), Environment: j.environment(ctx, j.rt), Memory: j.room(ctx), Progress: bar.step,
	}
	if rows.Kind == train.NoLabels {
		lesson.Alpha = 1
	}
	masks := map[string]tensor.Tensor{}
	if j.zeroed != nil {
		concerned := slices.DeleteFunc(j.weights(), func(m prune.Matrix) bool { _, ok := j.zeroed.ByName[m.Tensor.Name]; return !ok })
		if masks, err = prune.Masks(j.work.Graph, concerned); err != nil {
			return err
		}
		lesson.Rewrite = func(g *autodiff.Graph) ([]train.Weight, error) { return nil, hold(g, masks) }
	}
	out, err := distill.Run(ctx, j.rt, j.source, j.work, rows, lesson)
	if err != nil {
		_ = os.Remove(j.folder) // only if there is no checkpoint in it
		return explainTraining(err, j.o.model, j.o.train.data, j.folder)
	}
	prune.Apply(j.work.Graph, masks)
	tag := 0
	if j.o.steps > 1 {
		tag = j.step
	}
	addTraining(r, out, tag)
	return nil
}

// hold makes the graph read weights through their masks, so that what is zero gets no
// gradient that counts.
func hold(g *autodiff.Graph, masks map[string]tensor.Tensor) error {
	for _, name := range sortedKeys(masks) {
		if g.Has(name) {
			g.Intercept(name, autodiff.All, func(v string) string { return g.Mul(v, g.Tensor(masks[name])) })
		}
	}
	return nil
}
