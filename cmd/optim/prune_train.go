package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"optim/internal/autodiff"
	"optim/internal/dataset"
	"optim/internal/distill"
	"optim/internal/inspect"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/opset"
	"optim/internal/prune"
	"optim/internal/report"
	"optim/internal/tensor"
	"optim/internal/train"
)

// teaching is the weight of the source's outputs beside the labels.
const teaching = 0.5

// rows reads the training data.
func (j *pruneJob) rows(ctx context.Context) (*train.Rows, error) {
	read, err := j.o.read.options()
	if err != nil {
		return nil, err
	}
	read.Seed = j.o.write.seed
	read.Vocab, read.PositionRows = inspect.Tables(j.source)
	rows, notes, err := j.o.train.rows(ctx, read, j.info)
	j.said = append(j.said, notes...)
	return rows, err
}

// weigh scores all weights by gradients on --data.
func (j *pruneJob) weigh(ctx context.Context) error {
	rows, err := j.rows(ctx)
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
		err = badInput(fmt.Errorf("%s: %w", j.o.train.data, err))
	} else if err != nil {
		err = badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	return err
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
	rows, err := j.rows(ctx)
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
	rows, err := j.rows(ctx)
	if err != nil {
		return err
	}
	opts, err := j.o.train.options(j.app, rows.Len())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(j.folder, 0o755); err != nil {
		return fileError(err)
	}
	bar := j.trainingBar(1, 1)
	defer bar.Done()
	lesson := distill.Options{
		Temperature: 1, Alpha: teaching, Train: opts, Batch: j.o.train.batch, Seed: uint64(j.o.write.seed), Every: j.o.train.logEvery,
		Recompute: j.o.train.recompute, Checkpoint: filepath.Join(j.folder, "stage-1.ckpt"), SaveEvery: saveEvery, Resume: j.o.train.resume,
		Identity: j.recipe.Digest(sortedKeys(j.recipe.Options)...), Environment: j.environment(ctx, j.rt), Memory: j.room(ctx), Progress: bar.step,
	}
	if rows.Kind == train.NoLabels {
		lesson.Alpha = 1
	}
	masks := map[string]tensor.Tensor{}
	if j.zeroed != nil {
		if masks, err = prune.Masks(j.work.Graph, prune.Matrices(j.work.Graph, j.o.embeddings)); err != nil {
			return err
		}
		lesson.Rewrite = func(g *autodiff.Graph) ([]train.Weight, error) { return nil, hold(g, masks) }
	}
	out, err := distill.Run(ctx, j.rt, j.source, j.work, rows, lesson)
	if err != nil {
		_ = os.Remove(j.folder) // only if there is no checkpoint in it
		return j.explainTraining(err)
	}
	prune.Apply(j.work.Graph, masks)
	addTraining(r, out, 0)
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

// explainTraining turns the errors of training into what the user can do.
func (j *pruneJob) explainTraining(err error) error {
	var named *dataset.Error
	switch {
	case errors.Is(err, context.Canceled):
		return withHint(err, "the same command with --resume goes on from %q", j.folder)
	case errors.Is(err, distill.ErrMemory):
		return withHint(err, "a smaller --batch-size with --accumulate, or --recompute")
	case errors.Is(err, train.ErrDiverged):
		return withHint(err, "a smaller --lr or --clip-grad 1 may help")
	case errors.As(err, &named):
		return badInput(err)
	}
	return badInput(fmt.Errorf("%s: %w", j.o.model, err))
}
