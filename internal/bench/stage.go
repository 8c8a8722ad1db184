package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"optim/internal/host"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/workload"
)

// stage is a model in a worker, ready to run.
type stage struct {
	rt      *ort.Runtime
	path    string
	session Session
	threads int // of the session
	load    *workload.Load
	graph   *onnx.Model

	sessions []*ort.Session // one, or one for each stream
	streams  []*stream
	pool     []workload.Batch
	estimate time.Duration // of one run
}

// stream is a sequence of runs, one after the other.
type stream struct {
	pool []*ort.Binding
	next int // of the pool, to run next
}

// mostBatches bounds the different batches of a pool; texts of different lengths
// need more for a fair mean.
const (
	mostBatches       = 16
	mostVariedBatches = 64
)

// open loads the model as its users do, and looks for its workload.
func (g *stage) open(ctx context.Context, spec workload.Spec) (*opened, error) {
	var err error
	if g.graph, err = onnx.Open(g.path); err != nil {
		return nil, err
	}
	use, missing, err := g.rt.ResolveProviders(g.session.Providers)
	if err != nil {
		return nil, err
	}
	g.session.Providers = use
	start := time.Now()
	s, err := g.rt.Open(g.path, g.options(ctx, g.session.Threads))
	if err != nil {
		return nil, err
	}
	took := time.Since(start)
	g.sessions = []*ort.Session{s}
	m := workload.Model{Graph: g.graph, Session: s}
	if g.load, err = workload.Open(ctx, m, spec); err != nil {
		return nil, err
	}
	return &opened{
		LoadMS: ms(took), FirstMS: ms(g.load.First), Read: g.load.Read, Samples: len(g.load.Samples),
		From: g.load.From, Notes: g.load.Notes, Batch: g.load.Batch, Lengths: g.load.Lengths(),
		Providers: use, Missing: missing, ORT: g.rt.Version(),
	}, nil
}

func (g *stage) options(ctx context.Context, threads int) ort.Options {
	o := g.session.options(threads)
	o.Stop = ctx.Done()
	return o
}

// bind prepares the runs of a setting, in place of those before.
func (g *stage) bind(ctx context.Context, c Setting) (*bound, error) {
	g.release()
	if err := g.openSessions(ctx, c); err != nil {
		return nil, err
	}
	most := mostBatches
	if !g.load.Uniform() {
		most = mostVariedBatches
	}
	var err error
	if g.pool, err = g.load.Batches(c.Batch, most); err != nil {
		return nil, err
	}
	for i := range c.Concurrency {
		st, err := g.stream(ctx, g.sessions[i%len(g.sessions)])
		if err != nil {
			return nil, fmt.Errorf("batch %d: %w", c.Batch, err)
		}
		g.streams = append(g.streams, st)
	}
	g.rewind()
	out := &bound{Inputs: map[string]string{}}
	if g.load.Uniform() {
		out.Shapes = map[string][]int64{}
	}
	for name, t := range g.pool[0].Inputs {
		out.Inputs[name] = describe(t)
		if out.Shapes != nil {
			out.Shapes[name] = t.Shape
		}
	}
	for _, b := range g.pool {
		out.Items = append(out.Items, b.Items)
		out.Tokens = append(out.Tokens, b.Tokens)
	}
	return out, nil
}

// describe returns "float32[1 x 3 x 224 x 224]".
func describe(t tensor.Tensor) string {
	return ort.Info{DType: t.DType, Dims: t.Shape}.String()
}

// openSessions sees to one session for each stream, or to one for all.
func (g *stage) openSessions(ctx context.Context, c Setting) error {
	want, threads := 1, g.session.Threads
	if c.By == BySessions && c.Concurrency > 1 {
		want = c.Concurrency
		threads = max(1, g.threads/want)
	}
	if len(g.sessions) == want && want == 1 {
		return nil
	}
	facts, err := host.Probe(ctx)
	if err == nil {
		err = fit(want, inspect.ReadBytes(g.graph), facts.Room())
	}
	if err != nil {
		return err
	}
	g.close()
	for range want {
		s, err := g.rt.Open(g.path, g.options(ctx, threads))
		if err != nil {
			return err
		}
		g.sessions = append(g.sessions, s)
	}
	return nil
}

// fit refuses more sessions than memory has room for, by the weights that each has a
// copy of.
func fit(sessions int, weights, room int64) error {
	if weights > room/int64(sessions) {
		return fmt.Errorf("%d sessions with weights of %.3g GB each need more than the %.3g GB of memory that there are", sessions, float64(weights)/1e9, float64(room)/1e9)
	}
	return nil
}

// stream binds all batches of the pool to a session. Each is run once, to see
// the shapes of its outputs; those of one shape share their memory.
func (g *stage) stream(ctx context.Context, s *ort.Session) (*stream, error) {
	st := &stream{}
	memory := map[string]tensor.Tensor{}
	for _, b := range g.pool {
		start := time.Now()
		outputs, err := outputsOf(ctx, s, b.Inputs, memory)
		if err != nil {
			return nil, err
		}
		g.estimate = time.Since(start)
		binding, err := s.Bind(b.Inputs, outputs)
		if err != nil {
			return nil, err
		}
		st.pool = append(st.pool, binding)
	}
	return st, nil
}

// outputsOf runs a session once and returns memory for its outputs, which it
// takes from and adds to memory, by name and shape. Outputs that no memory can be
// given to (strings, sequences, maps) are left to ONNX Runtime.
func outputsOf(ctx context.Context, s *ort.Session, in map[string]tensor.Tensor, memory map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	out := map[string]tensor.Tensor{}
	for _, o := range s.Outputs() {
		out[o.Name] = tensor.Tensor{}
	}
	seen, err := s.RunContext(ctx, in, workload.Tensors(s))
	if err != nil {
		return nil, err
	}
	for name, t := range seen {
		if t.DType == tensor.String {
			continue
		}
		key := fmt.Sprint(name, t.Shape)
		if _, ok := memory[key]; !ok {
			memory[key] = t
		}
		out[name] = memory[key]
	}
	return out, nil
}

// run makes measured runs on all streams.
func (g *stage) run(ctx context.Context, r blockRequest) (*block, error) {
	t := ort.Timing{Most: r.Runs}
	if r.Runs == 0 {
		t.Most = int(min(int64(MostRuns), 64+2*int64(r.Duration)/max(int64(g.estimate), 1000)))
	}
	spans := make([][]ort.Span, len(g.streams))
	first := make([]int, len(g.streams))
	group := errgroup.Group{}
	if r.Duration > 0 {
		t.Until = ort.Clock() + r.Duration
	}
	for i, st := range g.streams {
		first[i] = st.next
		group.Go(func() (err error) {
			t := t
			t.First = st.next
			spans[i], err = ort.TimeRuns(ctx, st.pool, t)
			st.next = (st.next + len(spans[i])) % len(st.pool)
			return err
		})
	}
	err := group.Wait()
	return newBlock(spans, first), err
}

func newBlock(spans [][]ort.Span, first []int) *block {
	b := &block{Streams: make([][]int64, len(spans)), First: first}
	begin, end := time.Duration(1<<63-1), time.Duration(0)
	for i, list := range spans {
		b.Streams[i] = make([]int64, len(list))
		for k, s := range list {
			b.Streams[i][k] = int64(s.Took())
		}
		if len(list) > 0 {
			begin, end = min(begin, list[0].Begin), max(end, list[len(list)-1].End)
		}
	}
	b.Wall = int64(max(end-begin, 0))
	return b
}

// rewind lets the streams begin anew, at different batches, as different users do.
func (g *stage) rewind() {
	for i, st := range g.streams {
		st.next = i * len(g.pool) / len(g.streams)
	}
}

// warm makes runs that do not count. What is measured then begins with the same
// batches for every model.
func (g *stage) warm(ctx context.Context, r warmRequest) (*warmed, error) {
	defer g.rewind()
	if r.Runs >= 0 {
		out := &warmed{Runs: r.Runs, Estimate: g.estimate}
		if r.Runs == 0 {
			return out, nil
		}
		b, err := g.run(ctx, blockRequest{Runs: r.Runs})
		w := steadiness{}
		w.add(b)
		out.Estimate = w.last()
		return out, err
	}
	w := steadiness{}
	for start := time.Now(); !w.done() && (w.runs < leastWarmup || time.Since(start) < r.Bound); {
		b, err := g.run(ctx, blockRequest{Duration: r.Bound / warmupWindows})
		if err != nil {
			return nil, err
		}
		w.add(b)
		g.estimate = w.last()
	}
	return &warmed{Runs: w.runs, Steady: w.done(), Estimate: g.estimate}, nil
}

// release lets go of the prepared runs.
func (g *stage) release() {
	for _, st := range g.streams {
		for _, b := range st.pool {
			b.Close()
		}
	}
	g.streams = nil
}

// close closes the sessions.
func (g *stage) close() error {
	g.release()
	var errs []error
	for _, s := range g.sessions {
		errs = append(errs, s.Close())
	}
	g.sessions = nil
	return errors.Join(errs...)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
