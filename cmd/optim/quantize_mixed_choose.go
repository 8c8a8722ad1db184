package main

import (
	"context"
	"errors"
	"sort"

	"optim/internal/onnx"
	"optim/internal/quant"
)

// fewestUpgrades returns the formats with the fewest upgrades with which the quality
// holds, found by halving.
func (j *quantizeJob) fewestUpgrades(ctx context.Context, obs quant.Observations, nodes []quant.Candidate) (map[string]quant.Choice, error) {
	steps := quant.Upgrades(nodes)
	bar := j.progress("searching formats")
	defer bar.Done()
	keeps := j.keeps()
	var failed error
	n := sort.Search(len(steps), func(n int) bool {
		if failed != nil {
			return true
		}
		err := j.assigned(ctx, obs, nodes, quant.Assign(nodes, steps, n), keeps)
		if err != nil && !errors.Is(err, errMissed) && !errors.Is(err, quant.ErrNothing) {
			failed = err
		}
		return err == nil
	})
	return quant.Assign(nodes, steps, n), failed
}

// largestWithin returns the formats that lose least within --max-size. What the file
// holds beside the weights is measured, and again where the weights' sizes do not add
// up, as with those that nodes share.
func (j *quantizeJob) largestWithin(ctx context.Context, obs quant.Observations, nodes []quant.Candidate) (map[string]quant.Choice, error) {
	smallest := quant.Within(nodes, 0)
	size, err := j.assignedSize(ctx, obs, nodes, smallest)
	if err != nil || size > j.o.write.maxSize {
		return smallest, err // which the gate refuses
	}
	budget := j.o.write.maxSize - size
	for _, c := range smallest {
		budget += c.Bytes
	}
	for range 4 {
		chosen := quant.Within(nodes, budget)
		size, err := j.assignedSize(ctx, obs, nodes, chosen)
		if err != nil || size <= j.o.write.maxSize {
			return chosen, err
		}
		budget -= size - j.o.write.maxSize
	}
	return smallest, nil
}

// assigned quantizes with given formats, for f to look at.
func (j *quantizeJob) assigned(ctx context.Context, obs quant.Observations, nodes []quant.Candidate, chosen map[string]quant.Choice, f func(context.Context, *onnx.Model) error) error {
	return j.variant(ctx, obs, func(q *quant.Options) { q.Assigned = assignments(nodes, chosen) }, func(m *onnx.Model, _ *quant.Plan) error { return f(ctx, m) })
}

// assignedSize is the size of the files with given formats; where all is left in
// float, that of the source.
func (j *quantizeJob) assignedSize(ctx context.Context, obs quant.Observations, nodes []quant.Candidate, chosen map[string]quant.Choice) (size int64, err error) {
	options := onnx.WriteOptions{External: j.o.write.externalData, DataPath: j.output + ".data"}
	err = j.assigned(ctx, obs, nodes, chosen, func(_ context.Context, m *onnx.Model) (err error) {
		if err = j.recipe.Store(m); err == nil { // it counts, too
			size, err = m.WrittenSize(j.output, options)
		}
		return err
	})
	if errors.Is(err, quant.ErrNothing) {
		return j.source.WrittenSize(j.output, options)
	}
	return size, err
}
