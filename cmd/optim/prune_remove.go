package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/opset"
	"optim/internal/ort"
	"optim/internal/prune"
	"optim/internal/report"
	"optim/internal/tensor"
	"optim/internal/train"
)

// remove takes units out of the graph.
func (j *pruneJob) remove(ctx context.Context) error {
	if _, err := opset.Upgrade(j.work, 13); err != nil {
		return err
	}
	if _, err := fold.Simplify(j.work); err != nil {
		return err
	}
	if err := j.removeLayers(ctx); err != nil {
		return err
	}
	if !j.o.structured && !j.o.heads {
		return nil
	}
	in, other, err := prune.Samples(ctx, j.rt, j.work, j.sessionOptions())
	if err != nil {
		return err
	}
	groups, err := prune.Find(ctx, j.rt, j.work, in, other, j.sessionOptions())
	if err != nil {
		return err
	}
	if err := j.observe(ctx, prune.InputMoments); err != nil {
		return err
	}
	drop, err := j.chosen(ctx, groups, in, other)
	if err != nil {
		return err
	}
	if len(drop) == 0 && j.step < j.o.steps { // a later step takes some
		return nil
	}
	if len(drop) == 0 && len(j.changes) > 0 { // layers went, or an earlier step took as much
		return nil
	}
	if len(drop) == 0 {
		return j.nothing(groups)
	}
	for _, n := range groups.Touched(drop) {
		if c := (report.Change{Node: n.Name, Op: n.OpType, Action: "smaller", Format: "float32"}); !slices.Contains(j.changes, c) {
			j.changes = append(j.changes, c)
		}
	}
	for _, w := range sortedKeys(groups.Locked) {
		j.left = append(j.left, report.Unchanged{Node: w, Op: "axis", Reason: groups.Locked[w]}) // of a weight
	}
	return groups.Remove(drop)
}

// nothing says why no units go.
func (j *pruneJob) nothing(groups *prune.Groups) error {
	for _, g := range groups.List {
		if j.concerns(groups.KindOf(g)) {
			return fmt.Errorf("%w: no group has units to spare (see --sparsity and --round-to)", errNothingPruned)
		}
	}
	what := "channels or neurons"
	if j.o.heads {
		what = "heads of attention"
		if j.o.structured {
			what = "channels, neurons or heads"
		}
	}
	err := fmt.Errorf("%w: it has no %s that can be cut", errNothingPruned, what)
	for _, w := range sortedKeys(groups.Locked) {
		return fmt.Errorf("%w; of %d axes that stay the first is %s: %s", err, len(groups.Locked), w, groups.Locked[w])
	}
	return err
}

// chosen lists the units of each group that go.
func (j *pruneJob) chosen(ctx context.Context, groups *prune.Groups, in, other map[string]tensor.Tensor) (drop map[*prune.Group][]int, err error) {
	if j.o.budget {
		drop, err = j.within(ctx, groups, in, other)
	} else {
		drop, err = j.atSparsity(groups)
	}
	for _, g := range groups.List {
		if units := drop[g]; len(units) > 0 {
			what := map[prune.Kind]string{prune.Channels: "channels", prune.Heads: "heads"}[groups.KindOf(g)]
			j.said = append(j.said, fmt.Sprintf("%s of %q: %d → %d", what, g.Name(), g.Units(), g.Units()-len(units)))
		}
	}
	return drop, err
}

// atSparsity takes as much of each group.
func (j *pruneJob) atSparsity(groups *prune.Groups) (map[*prune.Group][]int, error) {
	drop, scores := map[*prune.Group][]int{}, map[*prune.Group][]float64{}
	for _, g := range groups.List {
		kind := groups.KindOf(g)
		if !j.concerns(kind) {
			continue
		}
		score, err := j.score(groups, g)
		if err != nil {
			return nil, err
		}
		if kind == prune.Heads && j.o.headThreshold > 0 {
			drop[g] = prune.Below(score, j.o.headThreshold)
		} else if kind == prune.Channels && j.o.scope == "global" {
			scores[g] = score
			j.first(g)
		} else {
			drop[g] = prune.Lowest(score, j.first(g), j.sparsity, j.round(kind))
		}
	}
	maps.Copy(drop, prune.LowestOfAll(scores, func(g *prune.Group) int { return j.units[g.Key] }, j.sparsity, j.o.roundTo))
	maps.DeleteFunc(drop, func(_ *prune.Group, units []int) bool { return len(units) == 0 })
	return drop, nil
}

// concerns reports whether units of a kind are to be removed.
func (j *pruneJob) concerns(kind prune.Kind) bool {
	return kind == prune.Heads && j.o.heads || kind == prune.Channels && j.o.structured
}

// round is the number of which a multiple stays of a kind.
func (j *pruneJob) round(kind prune.Kind) int {
	if kind == prune.Channels {
		return j.o.roundTo
	}
	return 1
}

// first is the number of units that a group had at first, of which the sparsity is a share.
func (j *pruneJob) first(g *prune.Group) int {
	first, ok := j.units[g.Key]
	if !ok {
		first = g.Units()
		j.units[g.Key] = first
	}
	return first
}

// observe runs --data through the model where activations are scored.
func (j *pruneJob) observe(ctx context.Context, of func(context.Context, *ort.Runtime, *onnx.Model, []prune.Matrix, *train.Rows, ort.Options) (map[string]*prune.Moments, error)) error {
	if !j.o.byActivation() {
		return nil
	}
	rows, err := j.rows(ctx, j.o.scoring())
	if err != nil {
		return err
	}
	j.matrices = prune.Matrices(j.work.Graph, true)
	j.seen, err = of(ctx, j.rt, j.work, j.matrices, rows, j.sessionOptions())
	return err
}

// score weighs the units of a group.
func (j *pruneJob) score(groups *prune.Groups, g *prune.Group) ([]float64, error) {
	switch {
	case j.scores != nil:
		return groups.ScoreBy(g, j.scores), nil
	case j.o.byActivation():
		score, ok := groups.ScoreInputs(g, j.matrices, j.seen, j.o.score)
		if !ok {
			j.said = append(j.said, fmt.Sprintf("units of %q were weighed by their weights: no product with a constant weight reads them", g.Name()))
			return groups.Score(g, "l2")
		}
		return score, nil
	case j.o.score == "":
		return groups.Score(g, "l2")
	}
	return groups.Score(g, j.o.score)
}
