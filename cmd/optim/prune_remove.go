package main

import (
	"context"
	"fmt"

	"optim/internal/onnx/fold"
	"optim/internal/onnx/opset"
	"optim/internal/prune"
	"optim/internal/report"
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
	drop := map[*prune.Group][]int{}
	for _, g := range groups.List {
		units, err := j.choose(groups, g)
		if err != nil {
			return err
		}
		if len(units) > 0 {
			drop[g] = units
		}
	}
	if len(drop) == 0 && j.step < j.o.steps { // a later step takes some
		return nil
	}
	if len(drop) == 0 && len(j.changes) > 0 {
		return nil
	}
	if len(drop) == 0 {
		return fmt.Errorf("%w: no group has units to spare (see --sparsity and --round-to)", errNothingPruned)
	}
	for _, n := range groups.Touched(drop) {
		j.changes = append(j.changes, report.Change{Node: n.Name, Op: n.OpType, Action: "smaller", Format: "float32"})
	}
	for _, w := range sortedKeys(groups.Locked) {
		j.left = append(j.left, report.Unchanged{Node: w, Op: "axis", Reason: groups.Locked[w]})
	}
	return groups.Remove(drop)
}

// choose lists the units of a group that go.
func (j *pruneJob) choose(groups *prune.Groups, g *prune.Group) ([]int, error) {
	kind := groups.KindOf(g)
	if kind == prune.Width || kind == prune.Heads && !j.o.heads || kind == prune.Channels && !j.o.structured {
		return nil, nil
	}
	score, err := j.score(groups, g)
	if err != nil {
		return nil, err
	}
	var units []int
	switch {
	case kind == prune.Channels:
		units = j.lowest(g, score, j.o.roundTo)
	case j.o.headThreshold > 0:
		units = prune.Below(score, j.o.headThreshold)
	default:
		units = j.lowest(g, score, 1)
	}
	what := map[prune.Kind]string{prune.Channels: "channels", prune.Heads: "heads"}[kind]
	j.said = append(j.said, fmt.Sprintf("%s of %q: %d → %d", what, g.Name(), g.Units(), g.Units()-len(units)))
	return units, nil
}

// lowest lists the units of least score for the sparsity of the step, which is one of the
// units that the group had at first.
func (j *pruneJob) lowest(g *prune.Group, score []float64, round int) []int {
	first, ok := j.units[g.Name()]
	if !ok {
		first = g.Units()
		j.units[g.Name()] = first
	}
	return prune.Lowest(score, first, j.sparsity, round)
}

// score weighs the units of a group.
func (j *pruneJob) score(groups *prune.Groups, g *prune.Group) ([]float64, error) {
	switch {
	case j.scores != nil:
		return groups.ScoreBy(g, j.scores), nil
	case j.o.score == "":
		return groups.Score(g, "l2")
	}
	return groups.Score(g, j.o.score)
}
