package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/prune"
	"optim/internal/tensor"
)

// Of timing a model against the source: while groups are weighed, and for a choice of
// cuts of all groups.
const (
	weighingTime = 150 * time.Millisecond
	choiceTime   = time.Second
)

// speedMargin is aimed at beyond --speedup, since times are not exact.
const speedMargin = 1.02

// budget is what cuts of groups are weighed with.
type budget struct {
	*pruneJob
	groups    *prune.Groups
	in, other map[string]tensor.Tensor // samples of two sizes
	ref       *calibrate.Reference
	base      *ort.Session // to be timed against; nil: bytes are counted
	list      []int        // places of the groups that are concerned
	cuts      [][]prune.Cut
}

// within chooses what goes of each group so that --speedup or --max-size is kept to and
// the outputs lose least: every group is cut alone, by several ratios, and what that costs
// and saves weighed against the others.
func (j *pruneJob) within(ctx context.Context, groups *prune.Groups, in, other map[string]tensor.Tensor) (map[*prune.Group][]int, error) {
	b := &budget{pruneJob: j, groups: groups, in: in, other: other}
	if err := b.reference(ctx); err != nil {
		return nil, err
	}
	limit := float64(j.o.write.maxSize)
	if j.o.speedup > 0 {
		var err error
		if b.base, err = calibrate.Open(j.rt, j.source, j.sessionOptions()); err != nil {
			return nil, err
		}
		defer b.base.Close()
		limit = 1 / (j.o.speedup * speedMargin)
	}
	real := func(chosen []int) (cost float64, err error) {
		err = b.variant(ctx, b.units(chosen), func(m *onnx.Model) (err error) {
			cost, err = b.cost(ctx, m, choiceTime)
			return err
		})
		return cost, err
	}
	full, err := real(nil)
	if err != nil {
		return nil, err
	}
	if full <= limit {
		return nil, fmt.Errorf("%w: the goal is reached without removing anything", errNothingPruned)
	}
	if err := b.weigh(ctx, full); err != nil {
		return nil, err
	}
	chosen, ok, err := prune.Fit(b.cuts, full, limit, real)
	if err != nil {
		return nil, err
	}
	if !ok {
		j.said = append(j.said, "the goal is out of reach: this is the most that can be removed")
	}
	drop := map[*prune.Group][]int{}
	for at, units := range b.units(chosen) {
		drop[groups.List[at]] = units
	}
	return drop, nil
}

// reference runs the model as it is, on what the user has of data.
func (b *budget) reference(ctx context.Context) error {
	source := cmp.Or(b.o.scoring().data, b.o.write.eval, dataset.Random)
	if source == dataset.Random {
		b.said = append(b.said, "groups were weighed on made-up inputs: give --calib, --data or --eval to weigh them on what the model will see")
	}
	set, err := b.o.read.calibration(source, b.info, b.source, calibrate.SensitivitySamples, b.o.write.seed)
	if err != nil {
		return err
	}
	defer set.Close()
	metric := eval.AutoMetric(set)
	b.ref, err = calibrate.NewReference(ctx, b.rt, b.work, set, metric == eval.Perplexity || metric == eval.Accuracy, b.sessionOptions())
	return badInput(err)
}

// weigh cuts every group alone.
func (b *budget) weigh(ctx context.Context, full float64) error {
	bar := b.progress("weighing groups")
	defer bar.Done()
	for at, g := range b.groups.List {
		kind := b.groups.KindOf(g)
		if !b.concerns(kind) {
			continue
		}
		score, err := b.score(b.groups, g)
		if err != nil {
			return err
		}
		cuts := []prune.Cut{{Cost: full}}
		for _, ratio := range prune.Ratios {
			units := prune.Lowest(score, g.Units(), ratio, b.round(kind))
			if len(units) == len(cuts[len(cuts)-1].Units) {
				continue
			}
			c := prune.Cut{Units: units}
			err := b.variant(ctx, map[int][]int{at: units}, func(m *onnx.Model) (err error) {
				if c.Loss, err = b.ref.Loss(ctx, m); err != nil {
					return err
				}
				c.Cost, err = b.cost(ctx, m, weighingTime)
				return err
			})
			if err != nil {
				return fmt.Errorf("%q without %d of %d units: %w", g.Name(), len(units), g.Units(), err)
			}
			cuts = append(cuts, c)
		}
		if b.base != nil {
			prune.Straighten(cuts)
		}
		if len(cuts) > 1 {
			b.list, b.cuts = append(b.list, at), append(b.cuts, cuts)
		}
		bar.Set(int64(at+1), int64(len(b.groups.List)))
	}
	if len(b.list) == 0 {
		return b.nothing(b.groups)
	}
	return nil
}

// units lists what a choice takes of each group, by its place.
func (b *budget) units(chosen []int) map[int][]int {
	out := map[int][]int{}
	for i, k := range chosen {
		if units := b.cuts[i][k].Units; len(units) > 0 {
			out[b.list[i]] = units
		}
	}
	return out
}

// variant removes units, by the places of their groups, from a copy of the model, for f to
// look at.
func (b *budget) variant(ctx context.Context, units map[int][]int, f func(*onnx.Model) error) error {
	m, err := detached(b.work)
	if err != nil {
		return err
	}
	defer m.Close()
	groups, err := prune.Find(ctx, b.rt, m, b.in, b.other, b.sessionOptions())
	if err != nil {
		return err
	}
	drop := map[*prune.Group][]int{}
	for at, list := range units {
		drop[groups.List[at]] = list
	}
	if err := groups.Remove(drop); err != nil {
		return err
	}
	return f(m)
}

// cost is what the budget bounds: the share of the source's time, or bytes.
func (b *budget) cost(ctx context.Context, m *onnx.Model, long time.Duration) (float64, error) {
	if b.base == nil {
		if err := b.recipe.Store(m); err != nil { // it counts, too
			return 0, err
		}
		size, err := m.WrittenSize(b.output, onnx.WriteOptions{External: b.o.write.externalData, DataPath: b.output + ".data"})
		return float64(size), err
	}
	s, err := calibrate.Open(b.rt, m, b.sessionOptions())
	if err != nil {
		return 0, err
	}
	defer s.Close()
	run := func(s *ort.Session) func() error {
		return func() error {
			_, release, err := s.RunLent(ctx, b.ref.Sample(), nil)
			if err == nil {
				release()
			}
			return err
		}
	}
	c, err := measure.Interleave(ctx, run(b.base), run(s), measure.Options{Budget: long})
	if err != nil {
		return 0, err
	}
	return fast(c.B) / fast(c.A), nil
}

// fast is a time that few runs were faster than: what else the machine does shows least
// in it.
func fast(d []time.Duration) float64 {
	v := measure.Seconds(d)
	slices.Sort(v)
	return measure.Quantile(v, 0.1)
}
