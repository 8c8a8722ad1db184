package eval

import (
	"context"
	"errors"
	"io"
	"sync"

	"optim/internal/dataset"
)

// named is a model with its name for messages.
type named struct {
	name string
	Model
}

// pass feeds the same samples to one or several models. Three things happen at
// once: a batch is read, the one before it is run, and the outputs of the one
// before that are judged. Each step gets its batches in the order of the data, so
// that results and errors do not depend on who was faster, and holds one at a
// time, so that memory is bounded.
type pass struct {
	ctx    context.Context
	models []named
	names  [][]string // by model: outputs that are wanted
	set    *dataset.Set
	o      Options
}

// step is one batch and what the models said to it. The outputs are lent until
// release.
type step struct {
	batch     *dataset.Batch
	views     []map[string]view // by model
	pair      *dataset.Batch    // other texts of scored pairs; nil: none
	pairViews []map[string]view

	releases []func()
}

// release gives the memory of the outputs back.
func (s *step) release() {
	for _, f := range s.releases {
		f()
	}
}

// result is what one stage hands to the next.
type result[T any] struct {
	value T
	err   error
}

// send hands over a value, unless nobody wants it any more.
func send[T any](ctx context.Context, to chan<- result[T], value T, err error) bool {
	select {
	case to <- result[T]{value, err}:
		return true
	case <-ctx.Done():
		return false
	}
}

// each reads the set from its beginning to its end and calls f for each batch, on
// the goroutine of the caller. It returns the number of samples.
func (p *pass) each(f func(*step) error) (int, error) {
	if err := p.set.Rewind(); err != nil {
		return 0, err
	}
	total, known := p.set.Len()
	if !known {
		total = 0
	}
	ctx, cancel := context.WithCancel(p.ctx)
	var stages sync.WaitGroup
	defer stages.Wait()
	defer cancel()
	batches, steps := make(chan result[*dataset.Batch]), make(chan result[*step])
	r := &runner{pass: p, ctx: ctx, size: make(chan int, 1)}
	stages.Go(func() { p.read(ctx, r.size, batches) })
	stages.Go(func() { r.run(batches, steps) })
	done := 0
	for s := range steps {
		err := s.err
		if p.ctx.Err() != nil {
			err = p.ctx.Err()
		}
		if err == nil {
			err = f(s.value)
		}
		if s.value != nil {
			s.value.release()
		}
		if err != nil {
			return done, err
		}
		done += len(s.value.batch.Samples)
		if p.o.Progress != nil {
			p.o.Progress(done, total)
		}
	}
	return done, p.ctx.Err()
}

// read reads the batches one ahead. It closes the channel after the last one, or
// after an error.
func (p *pass) read(ctx context.Context, size <-chan int, to chan<- result[*dataset.Batch]) {
	defer close(to)
	next := func() (dataset.Batch, error) { return p.set.Batch(max(p.o.Batch, 1)) }
	if p.automatic() {
		next = (&grouping{ctx: ctx, set: p.set, size: size}).next
	}
	for {
		batch, err := next()
		if errors.Is(err, io.EOF) || !send(ctx, to, &batch, err) || err != nil {
			return
		}
	}
}

// automatic reports whether the size of batches is free to be chosen.
func (p *pass) automatic() bool { return p.o.Batch == 0 && p.set.FixedBatch() == 0 }
