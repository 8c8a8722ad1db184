package eval

import (
	"context"
	"fmt"
	"math"
	"slices"

	"optim/internal/dataset"
	"optim/internal/tensor"
)

// runner runs the models on batches. Where the size of batches is chosen, a batch
// need not work: a model may refuse it, or mix its samples, by shapes that were
// written for one, or by ranges that are taken over all of them. Then the samples
// are run one by one.
type runner struct {
	*pass
	ctx     context.Context
	size    chan int // takes the size of batches after the first, once
	checked bool     // a batch gave what its last sample gives alone
	single  bool     // batches do not work
}

// run takes batches until there are no more, and hands over what the models said
// to them.
func (r *runner) run(from <-chan result[*dataset.Batch], to chan<- result[*step]) {
	defer close(to)
	for b := range from {
		if b.err != nil {
			send(r.ctx, to, nil, b.err)
			return
		}
		if !r.batch(b.value, to) {
			return
		}
	}
}

// batch runs one batch; false ends the run.
func (r *runner) batch(b *dataset.Batch, to chan<- result[*step]) bool {
	if !r.automatic() {
		return r.hand(b, to)
	}
	if len(b.Samples) > 1 && !r.single {
		if s, ok := r.together(b); ok {
			return r.send(s, nil, to)
		}
		r.single = true
	}
	if len(b.Samples) == 1 {
		return r.hand(b, to)
	}
	for i := range b.Samples {
		one, err := r.set.Collate(b.Samples[i : i+1])
		if err != nil {
			return r.send(nil, err, to)
		}
		if !r.hand(&one, to) {
			return false
		}
	}
	return true
}

// hand runs a batch and hands the outcome over.
func (r *runner) hand(b *dataset.Batch, to chan<- result[*step]) bool {
	s, err := r.step(r.ctx, b)
	if err == nil && r.size != nil {
		r.size <- chooseBatch(s) // there is room for one
		r.size = nil
	}
	return r.send(s, err, to)
}

// send hands a step over; false ends the run.
func (r *runner) send(s *step, err error, to chan<- result[*step]) bool {
	if !send(r.ctx, to, s, err) {
		if s != nil {
			s.release()
		}
		return false
	}
	return err == nil
}

// together runs a batch of several samples. It is not ok where the models refuse,
// or where the last sample gives something else alone: later samples see those
// before them where a graph takes the batch for one long sequence.
func (r *runner) together(b *dataset.Batch) (*step, bool) {
	s, err := r.step(r.ctx, b)
	if err != nil {
		return nil, false
	}
	if !r.checked && !r.asAlone(s) {
		s.release()
		return nil, false
	}
	r.checked = true
	return s, true
}

// asAlone reports whether the last sample of a step gives the same alone.
func (r *runner) asAlone(s *step) bool {
	last := len(s.batch.Samples) - 1
	one, err := r.set.Collate(s.batch.Samples[last:])
	if err != nil {
		return false
	}
	alone, err := r.step(r.ctx, &one)
	if err != nil {
		return false
	}
	defer alone.release()
	for m := range r.models {
		for _, name := range r.names[m] {
			if !sameAnswer(s.views[m][name], alone.views[m][name], s.batch, alone.batch) ||
				s.pair != nil && !sameAnswer(s.pairViews[m][name], alone.pairViews[m][name], s.pair, alone.pair) {
				return false
			}
		}
	}
	return true
}

// sameTolerance is how far outputs may differ, as a fraction of the greatest, and
// still count as the same but for rounding.
const sameTolerance = 1e-3

// sameAnswer compares the last sample of a batch with what it gave alone.
func sameAnswer(v, alone view, b, one *dataset.Batch) bool {
	last, n := len(b.Samples)-1, v.perSample(b)
	if n != alone.perSample(one) || (v.ints == nil) != (alone.ints == nil) {
		return false
	}
	if v.ints != nil {
		return slices.Equal(v.ints[last*n:(last+1)*n], alone.ints[:n])
	}
	x, y := v.v[last*n:(last+1)*n], alone.v[:n]
	lo, hi, _ := tensor.MinMax(y)
	most := sameTolerance * math.Max(math.Abs(float64(lo)), math.Abs(float64(hi)))
	for i, a := range x {
		// Infinities, and NaN, which is for others to judge, are the same as themselves.
		if a != y[i] && a == a && !(math.Abs(float64(a)-float64(y[i])) <= most) {
			return false
		}
	}
	return true
}

// lender is a model that can lend its outputs instead of copying them; *ort.Session
// is one.
type lender interface {
	RunLent(ctx context.Context, in map[string]tensor.Tensor, names []string) (map[string]tensor.Tensor, func(), error)
}

// step runs the models on a batch, and on its pairs.
func (p *pass) step(ctx context.Context, batch *dataset.Batch) (*step, error) {
	s := &step{batch: batch}
	err := p.fill(ctx, s)
	if err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (p *pass) fill(ctx context.Context, s *step) (err error) {
	samples := s.batch.Samples
	if s.views, err = p.views(ctx, s.batch, s); err != nil || samples[0].Pair == nil {
		return err
	}
	pairs := make([]dataset.Sample, len(samples))
	for i, sample := range samples {
		if sample.Pair == nil {
			return &dataset.Error{File: p.set.Source, Err: fmt.Errorf("%s: no second text", sample.Name)}
		}
		pairs[i] = *sample.Pair
	}
	pair, err := p.set.Collate(pairs)
	if err != nil {
		return err
	}
	s.pair = &pair
	s.pairViews, err = p.views(ctx, &pair, s)
	return err
}

// views gives a batch to every model. The outputs are lent to s.
func (p *pass) views(ctx context.Context, b *dataset.Batch, s *step) ([]map[string]view, error) {
	all := make([]map[string]view, len(p.models))
	for i, m := range p.models {
		out, err := m.run(ctx, b, p.names[i], s)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", m.name, b.Samples[0].Name, err)
		}
		all[i] = map[string]view{}
		for name, t := range out {
			if all[i][name], err = newView(name, t, b); err != nil {
				return nil, blame(m.name, err)
			}
		}
	}
	return all, nil
}

// run runs the model. What it lends, it lends to s.
func (m named) run(ctx context.Context, b *dataset.Batch, names []string, s *step) (map[string]tensor.Tensor, error) {
	in, err := dataset.Fit(b.Inputs, m.Inputs())
	if err != nil {
		return nil, err
	}
	l, ok := m.Model.(lender)
	if !ok {
		return m.RunContext(ctx, in, names)
	}
	out, release, err := l.RunLent(ctx, in, names)
	if err == nil {
		s.releases = append(s.releases, release)
	}
	return out, err
}
