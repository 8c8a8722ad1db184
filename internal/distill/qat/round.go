package qat

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"optim/internal/autodiff"
	"optim/internal/distill"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/prune"
	"optim/internal/quant"
	"optim/internal/tensor"
	"optim/internal/train"
)

// roundingSteps is how often each block's rounding is improved (Cheng et al., SignRound).
const roundingSteps = 200

// Round learns, block by block, whether each weight in 4-bit storage is rounded up or
// down: within half a step of its place, by the sign of the gradient of
// the block's squared error, for inputs that come through the blocks before as they are
// rounded already (Cheng et al., Optimize Weight Rounding via Signed Gradient Descent for
// the Quantization of LLMs; the same end as Nagel et al., Up or Down?). m is changed:
// weights become the values of their codes.
func Round(ctx context.Context, rt *ort.Runtime, float, m *onnx.Model, q *quant.Options, plan *quant.Plan, rows *train.Rows, o distill.Options, progress func(done, total int)) (*Result, error) {
	j := &job{q: q, plan: plan, grids: map[string]gridOf{}}
	if err := j.fit(m); err != nil {
		return nil, err
	}
	r := &Result{Scales: map[string][]float32{}, Solutions: quant.Solutions{}}
	blocks := j.blocks(m)
	o.Train.Optimizer, o.Train.Schedule = train.SignSGD, "linear"
	o.Train.Rate, o.Train.Steps = 1.0/roundingSteps, roundingSteps
	for i, b := range blocks {
		progress(i, len(blocks))
		j.only = b.weights
		o.Values = []string{b.end}
		o.Rewrite = j.rewriteRounding
		o.Learned = func(w map[string]tensor.Tensor) { j.weights = w }
		if _, err := distill.Run(ctx, rt, float, m, rows, o); err != nil {
			return nil, fmt.Errorf("block that ends in %q: %w", b.end, err)
		}
		if err := j.settle(m, r); err != nil {
			return nil, err
		}
	}
	progress(len(blocks), len(blocks))
	return r, nil
}

// block is a part of the graph that is rounded at once.
type block struct {
	end     string
	weights map[string]bool
}

// blocks cuts the graph at its layers or, where none repeat, wherever one value carries
// everything; the last one ends with the output.
func (j *job) blocks(m *onnx.Model) []block {
	var ends []string
	for _, l := range prune.Layers(m.Graph) {
		ends = append(ends, l.End)
	}
	if ends == nil {
		ends = prune.Cuts(m.Graph)
	}
	if last := m.Graph.Outputs[0].Name; !slices.Contains(ends, last) {
		ends = append(ends, last)
	}
	mine := map[string]bool{}
	for _, w := range j.plan.Grids {
		mine[w.Weight] = true
	}
	for _, p := range j.products {
		mine[p.Weight.Name] = true
	}
	var out []block
	now := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		for _, v := range n.Inputs {
			if mine[v] {
				now[v] = true
				delete(mine, v)
			}
		}
		for _, v := range n.Outputs {
			if slices.Contains(ends, v) && len(now) > 0 {
				out = append(out, block{v, maps.Clone(now)})
				clear(now)
			}
		}
	}
	return out
}

func offsetOf(name string) string { return "rounding of " + name }

// rewriteRounding puts the rounding of one block into the graph.
func (j *job) rewriteRounding(g *autodiff.Graph) ([]train.Weight, error) {
	j.faker = &faker{g: g, offsets: true}
	j.place(g)
	return j.faker.more, nil
}

// settle makes the learned codes the weights of the model, for the blocks to come.
func (j *job) settle(m *onnx.Model, r *Result) error {
	for _, w := range j.plan.Grids {
		offsets, ok := j.weights[offsetOf(w.Weight)]
		if !ok || !j.only[w.Weight] || j.isProduct(w.Weight) {
			continue
		}
		r.Scales[w.Weight] = w.Scales
		if err := settleWeight(m, w, tensor.As[float32](offsets.Data)); err != nil {
			return err
		}
	}
	for _, p := range j.products {
		offsets, ok := j.weights[offsetOf(p.Weight.Name)]
		if !ok || !j.only[p.Weight.Name] {
			continue
		}
		if err := j.settleProduct(m, p, tensor.As[float32](offsets.Data), r); err != nil {
			return err
		}
	}
	return nil
}

// settleWeight rounds a weight with a scale for each index of an axis.
func settleWeight(m *onnx.Model, w quant.WeightGrid, offsets []float32) error {
	t := m.Graph.Initializer(w.Weight)
	v, err := values(t)
	if err != nil {
		return err
	}
	stride := 1
	for _, d := range t.Shape[w.Axis+1:] {
		stride *= int(d)
	}
	for i := range v {
		s := w.Scales[i/stride%len(w.Scales)]
		v[i] = s * nearest(v[i]/s+within(offsets[i]), -float32(w.Max), float32(w.Max))
	}
	train.Put(m, []string{w.Weight}, map[string]tensor.Tensor{w.Weight: tensor.Of(tensor.Float32, t.Shape, v)})
	return nil
}

// settleProduct rounds a matrix in blocks.
func (j *job) settleProduct(m *onnx.Model, p quant.Product, offsets []float32, r *Result) error {
	name := p.Weight.Name
	g := j.grids[name]
	p.Weight = m.Graph.Initializer(name)
	w, err := p.Rows()
	if err != nil {
		return err
	}
	blocks := p.Scheme.Blocks(p.K)
	codes, restored := make([]byte, len(w)), make([]float32, len(w))
	most := float32(int(1)<<p.Scheme.Bits - 1)
	for i, x := range w {
		row, column := i/p.K, i%p.K
		at := row*blocks + column/p.Scheme.Block
		zero := float32(g.Zeros[at])
		offset := within(offsets[row*blocks*p.Scheme.Block+column])
		code := nearest(x/g.Scales[at]+offset, -zero, most-zero) + zero
		codes[i] = byte(code)
	}
	g.Restore(restored, codes)
	r.Solutions[name] = &quant.Solution{Method: quant.AutoRound, Grid: g, Codes: func(dst []byte) error { copy(dst, codes); return nil }}
	train.Put(m, []string{name}, map[string]tensor.Tensor{name: tensor.Of(tensor.Float32, p.Weight.Shape, p.Stored(restored))})
	return nil
}
