package main

import (
	"cmp"
	"context"
	"fmt"

	"optim/internal/calibrate/sequential"
	"optim/internal/prune"
	"optim/internal/quant"
	"optim/internal/rounding"
)

// sparseGPT prunes the products that data can decide by SparseGPT, and the other matrices
// of the list by magnitude, each by itself.
func (j *pruneJob) sparseGPT(ctx context.Context, list []prune.Matrix) (prune.Zeroed, error) {
	concerned := map[string]bool{}
	for _, m := range list {
		concerned[m.Tensor.Name] = true
	}
	var products []quant.Product
	for _, p := range quant.Products(j.work, &quant.Options{Format: quant.Int4, Method: quant.GPTQ, Bits: 4}) {
		if concerned[p.Weight.Name] {
			products = append(products, p)
		}
	}
	if len(products) > 0 {
		if err := j.decide(ctx, products); err != nil {
			return prune.Zeroed{}, err
		}
	}
	var sum prune.Zeroed
	left := 0
	for _, m := range list {
		if w := j.work.Graph.Initializer(m.Tensor.Name); w != m.Tensor {
			m.Tensor = w
			z, err := prune.Tally([]prune.Matrix{m})
			if err != nil {
				return sum, err
			}
			sum.Add(w, z.Zeros)
			continue
		}
		left++
		z, err := j.byMagnitude(m)
		if err != nil {
			return sum, err
		}
		sum.Add(m.Tensor, z.Zeros)
	}
	if left > 0 {
		j.said = append(j.said, fmt.Sprintf("%d of %d weights went by magnitude: SparseGPT decides those of MatMul and Gemm that one node reads, untransposed, from 256 elements on", left, len(list)))
	}
	return sum, nil
}

// byMagnitude prunes one matrix.
func (j *pruneJob) byMagnitude(m prune.Matrix) (prune.Zeroed, error) {
	if j.o.nm != "" {
		return prune.Blocks(j.work.Graph, []prune.Matrix{m}, j.o.n, j.o.m)
	}
	return prune.Smallest(j.work.Graph, []prune.Matrix{m}, j.sparsity)
}

// decide runs the model piece by piece over the data and takes over the weights that are left
// of each product. They may lie in a file until the job ends.
func (j *pruneJob) decide(ctx context.Context, products []quant.Product) error {
	from := j.o.scoring()
	if j.o.calib == "" {
		from.samples = cmp.Or(from.samples, calibSamplesDefault)
	}
	set, err := j.o.read.calibration(from.data, j.info, j.source, from.samples, j.o.write.seed)
	if err != nil {
		return err
	}
	defer set.Close()
	bar := j.progress("sparsegpt")
	defer bar.Done()
	result, err := sequential.Solve(ctx, j.rt, j.work, set, products, sequential.Options{
		Prune: &rounding.Pattern{Share: j.sparsity, N: j.o.n, M: j.o.m}, Session: j.sessionOptions(),
		Progress: func(done, total int) { bar.Set(int64(done), int64(total)) },
	})
	if err != nil {
		return badInput(err)
	}
	j.closers = append(j.closers, result.Close)
	j.said = append(append(j.said, set.Notes...), result.Notes...)
	for _, w := range result.Weights {
		prune.Replace(j.work.Graph, w)
	}
	return nil
}
