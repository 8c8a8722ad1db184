package eval

import (
	"context"
	"strings"

	"optim/internal/dataset"
	"optim/internal/onnx"
)

// BatchFor returns what Options.Batch has to be for these models where nobody asked
// for a size: 0, or 1 where one quantizes its activations dynamically. With one range
// for all of a batch, a sample gives something else beside others than alone; not
// every sample, so that looking at one would not do.
func BatchFor(models ...*onnx.Model) int {
	batch := 0
	for _, m := range models {
		m.WalkNodes(func(n *onnx.Node) {
			if strings.HasPrefix(n.OpType, "DynamicQuantize") {
				batch = 1
			}
		})
	}
	return batch
}

// The bounds of a batch whose size is chosen. A processor is busy with this much,
// and more only costs memory: beside the outputs, which count for all models
// together, there are the activations, which nobody counts.
const (
	batchSamples   = 32
	batchPositions = 4096     // of texts
	batchInputs    = 4 << 20  // bytes
	batchOutputs   = 32 << 20 // bytes
)

// chooseBatch returns the size of batches of samples like the one of a step.
func chooseBatch(s *step) int {
	n := batchSamples
	for _, b := range []*dataset.Batch{s.batch, s.pair} {
		if b == nil {
			continue
		}
		n = min(n, batchPositions/max(b.Length, 1))
		bytes := 0
		for _, t := range b.Inputs {
			bytes += len(t.Data)
		}
		n = min(n, batchInputs/max(bytes, 1))
	}
	bytes := 0
	for _, views := range append(s.views, s.pairViews...) {
		for _, v := range views {
			bytes += 4*len(v.v) + 8*len(v.ints)
		}
	}
	return max(1, min(n, batchOutputs/max(bytes, 1)))
}

// grouping cuts a set into batches of a size that is chosen once the first sample,
// a batch of its own, has run. A batch holds samples of equal shapes that follow
// each other: there is no padding, so that each is computed as if alone.
type grouping struct {
	ctx  context.Context
	set  *dataset.Set
	size <-chan int // gives the size, once
	n    int        // the size of the next batch; 0: it is the first

	held   *dataset.Sample  // read, but of other shapes than those before
	failed error            // of the read that ended the last batch
	single []dataset.Sample // that no batch takes
}

// next returns the next batch; io.EOF when there is none.
func (g *grouping) next() (dataset.Batch, error) {
	if len(g.single) > 0 {
		one := g.single[:1]
		g.single = g.single[1:]
		return g.set.Collate(one)
	}
	switch {
	case g.n == 0:
		g.n = 1
	case g.size != nil:
		select {
		case g.n = <-g.size:
			g.size = nil
		case <-g.ctx.Done():
			return dataset.Batch{}, g.ctx.Err()
		}
	}
	group, err := g.group()
	if err != nil {
		return dataset.Batch{}, err
	}
	batch, err := g.set.Collate(group)
	if err != nil && len(group) > 1 {
		g.single = group
		return g.next()
	}
	return batch, err
}

// group reads the samples of a batch. An error comes after the samples before it.
func (g *grouping) group() ([]dataset.Sample, error) {
	var group []dataset.Sample
	for len(group) < g.n {
		s, err := g.sample()
		if err != nil {
			g.failed = err
			break
		}
		if len(group) > 0 && !sameShapes(&group[0], &s) {
			g.held = &s
			break
		}
		group = append(group, s)
	}
	if len(group) == 0 {
		return nil, g.failed
	}
	return group, nil
}

// sample returns the next sample.
func (g *grouping) sample() (dataset.Sample, error) {
	if s := g.held; s != nil {
		g.held = nil
		return *s, nil
	}
	if g.failed != nil {
		return dataset.Sample{}, g.failed
	}
	return g.set.Next()
}

// sameShapes reports whether two samples, and their pairs, have the same inputs in
// the same shapes.
func sameShapes(a, b *dataset.Sample) bool {
	if a == nil || b == nil {
		return a == b
	}
	if len(a.Inputs) != len(b.Inputs) {
		return false
	}
	for name, t := range a.Inputs {
		if o, ok := b.Inputs[name]; !ok || !t.Shape.Equal(o.Shape) {
			return false
		}
	}
	return sameShapes(a.Pair, b.Pair)
}
