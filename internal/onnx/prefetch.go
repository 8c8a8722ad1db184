package onnx

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// prefetchBudget bounds the bytes of tensors that are computed ahead of the
// writer. A tensor larger than that is computed while no other is waiting.
const prefetchBudget = 64 << 20

// prefetch computes the data of tensors in workers, ahead of a writer that
// takes them in order. Room is given out in that order too, so that the tensor
// the writer waits for always has room, and memory stays within the budget.
type prefetch struct {
	jobs    []*job
	next    int   // job that the writer takes next
	room    int64 // size of the budget
	budget  *semaphore.Weighted
	buffers buffers
	group   sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

type job struct {
	t    *Tensor
	n    int64
	buf  []byte
	err  error
	done chan struct{}
}

// cost is the share of the budget that a job takes.
func (p *prefetch) cost(j *job) int64 { return min(j.n, p.room) }

// needsWork reports whether the data of t has to be computed.
func needsWork(t *Tensor) bool { return t.store.kind == storeTyped || t.store.kind == storeFill }

// newPrefetch starts the workers; stop must be called.
func newPrefetch(ctx context.Context, holes []hole, workers int, budget int64) *prefetch {
	p := &prefetch{room: budget, budget: semaphore.NewWeighted(budget), buffers: buffers{keep: workers, most: budget}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	for _, h := range holes {
		if needsWork(h.t) {
			p.jobs = append(p.jobs, &job{t: h.t, n: h.n, done: make(chan struct{})})
		}
	}
	p.group.Add(1)
	go p.dispatch(workers)
	return p
}

func (p *prefetch) dispatch(workers int) {
	defer p.group.Done()
	var g errgroup.Group
	g.SetLimit(workers)
	for _, j := range p.jobs {
		if p.budget.Acquire(p.ctx, p.cost(j)) != nil {
			break // stopped: take sees the same context
		}
		g.Go(func() error {
			defer close(j.done)
			j.buf = p.buffers.get(j.n)
			j.err = j.t.compute(j.buf)
			return nil // errors wait in order for the writer
		})
	}
	_ = g.Wait()
}

// take returns the data of the next tensor. It must be given back by put.
func (p *prefetch) take() (*job, error) {
	j := p.jobs[p.next]
	p.next++
	select {
	case <-j.done:
		return j, j.err
	case <-p.ctx.Done():
		return nil, context.Cause(p.ctx)
	}
}

// put gives the memory of a job back.
func (p *prefetch) put(j *job) {
	p.buffers.put(j.buf)
	j.buf = nil
	p.budget.Release(p.cost(j))
}

// stop ends the workers and waits for them.
func (p *prefetch) stop() {
	p.cancel()
	p.group.Wait()
}

// buffers is a store of a few buffers for reuse.
type buffers struct {
	mu   sync.Mutex
	keep int   // most that are kept
	most int64 // largest that is kept
	free [][]byte
}

// get returns n zero bytes.
func (s *buffers) get(n int64) []byte {
	s.mu.Lock()
	best := -1
	for i, b := range s.free {
		if int64(cap(b)) >= n && (best < 0 || cap(b) < cap(s.free[best])) {
			best = i
		}
	}
	if best < 0 {
		if len(s.free) > 0 {
			s.free = s.free[:len(s.free)-1] // too small: make room for a larger one
		}
		s.mu.Unlock()
		return make([]byte, n)
	}
	b := s.free[best][:n]
	s.free = append(s.free[:best], s.free[best+1:]...)
	s.mu.Unlock()
	clear(b)
	return b
}

func (s *buffers) put(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) < s.keep && int64(cap(b)) <= s.most {
		s.free = append(s.free, b)
	}
}
