package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/prune"
	"optim/internal/report"
	"optim/internal/tensor"
)

// weights are what zeros are put into.
func (j *pruneJob) weights() []prune.Matrix {
	list := prune.Matrices(j.work.Graph, j.o.embeddings || j.o.apply != "")
	if j.o.biases || j.o.apply != "" {
		list = append(list, prune.Vectors(j.work.Graph)...)
	}
	return list
}

// zero puts weights to zero.
func (j *pruneJob) zero(ctx context.Context) error {
	list := j.weights()
	if j.o.apply != "" {
		masks, err := dataset.ReadMasks(j.o.apply, shapesOf(list))
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(m prune.Matrix) bool { _, ok := masks[m.Tensor.Name]; return !ok })
		prune.Apply(j.work.Graph, masks)
		for i, m := range list {
			list[i].Tensor = j.work.Graph.Initializer(m.Tensor.Name)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("%w: no constant float32 weight in MatMul, Gemm or Conv", errNothingPruned)
	}
	if j.o.nm != "" {
		if list = j.whole(list); len(list) == 0 {
			return fmt.Errorf("%w: no weight has inputs that divide into blocks of %d", errNothingPruned, j.o.m)
		}
	}
	if j.o.unstructured && j.o.threshold == 0 && j.sparsity == 0 {
		return fmt.Errorf("%w: --sparsity is 0", errNothingPruned)
	}
	for i, m := range list {
		list[i].Score = j.scores[m.Tensor.Name]
	}
	if j.o.score == wanda {
		rows, err := j.rows(ctx, j.o.scoring())
		if err != nil {
			return err
		}
		if err := prune.Wanda(ctx, j.rt, j.work, list, rows, j.sessionOptions()); err != nil {
			return err
		}
	}
	z, err := j.smallest(ctx, list)
	if err != nil {
		return err
	}
	j.zeroed = &z
	for _, m := range list {
		j.changes = append(j.changes, report.Change{Node: m.Node.Name, Op: m.Node.OpType, Action: "zeros", Format: "float32"})
	}
	if j.o.unstructured && z.Threshold > 0 && j.scores == nil {
		j.said = append(j.said, fmt.Sprintf("magnitudes up to %.4g are zero", z.Threshold))
	}
	j.said = append(j.said, "ONNX Runtime is no faster for zeros: they save bytes in compressed files, and time in sparse engines")
	return nil
}

// whole keeps the matrices whose inputs divide into blocks, as sparse engines want it, and
// says of the others that they stay.
func (j *pruneJob) whole(list []prune.Matrix) []prune.Matrix {
	return slices.DeleteFunc(list, func(m prune.Matrix) bool {
		k := m.Tensor.Shape[m.Inputs]
		if k%int64(j.o.m) == 0 {
			return false
		}
		j.left = append(j.left, report.Unchanged{Node: m.Node.Name, Op: m.Node.OpType, Reason: fmt.Sprintf("its %d inputs do not divide into blocks of %d", k, j.o.m)})
		return true
	})
}

// shapesOf are the shapes of matrices by name.
func shapesOf(list []prune.Matrix) map[string]tensor.Shape {
	out := map[string]tensor.Shape{}
	for _, m := range list {
		out[m.Tensor.Name] = m.Tensor.Shape
	}
	return out
}

// writeMasks writes which weights stay, in place of a model.
func (j *pruneJob) writeMasks(r *report.Transform) error {
	masks, err := prune.Masks(j.work.Graph, j.weights())
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(j.output), ".masks-*")
	if err != nil {
		return fileError(err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(dataset.WriteMasks(f, masks), f.Sync(), f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", j.output, err)
	}
	info, err := os.Stat(f.Name())
	if err == nil {
		err = os.Rename(f.Name(), j.output)
	}
	if err != nil {
		return fileError(err)
	}
	share := float64(j.zeroed.Zeros) / float64(j.zeroed.Elements)
	r.Masks, r.Sparsity, r.Changes, r.Acceptable, r.Warnings = true, &share, j.changes, true, j.said
	r.Unchanged = j.left
	r.Input = report.File{Path: j.o.model, Parameters: inspect.Parameters(j.source)}
	if r.Input.Bytes, err = inspect.Bytes(j.source); err != nil {
		return badInput(err)
	}
	r.Output = &report.File{Path: j.output, Bytes: info.Size()}
	r.Duration = time.Since(j.start).Seconds()
	return j.emit(r)
}

// smallest does it, over all weights or one at a time.
func (j *pruneJob) smallest(ctx context.Context, list []prune.Matrix) (prune.Zeroed, error) {
	g := j.work.Graph
	switch {
	case j.o.apply != "":
		return prune.Tally(list)
	case j.o.score == sparseGPT:
		return j.sparseGPT(ctx, list)
	case j.o.nm != "":
		return prune.Blocks(g, list, j.o.n, j.o.m)
	case j.o.score == wanda:
		return prune.SmallestInRows(g, list, j.sparsity)
	case j.o.threshold > 0:
		return prune.Under(g, list, float32(j.o.threshold))
	case j.o.scope != "layer":
		return prune.Smallest(g, list, j.sparsity)
	}
	var sum prune.Zeroed
	for _, m := range list {
		z, err := prune.Smallest(g, []prune.Matrix{m}, j.sparsity)
		if err != nil {
			return sum, err
		}
		sum.Add(m.Tensor, z.Zeros)
	}
	return sum, nil
}
