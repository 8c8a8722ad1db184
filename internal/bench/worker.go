package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"optim/internal/measure"
	"optim/internal/ort"
)

// WorkerArg is the only argument of a process that is to be a worker.
const WorkerArg = "__bench-worker"

// IsWorker reports whether the arguments of a process (without its name) ask it
// to be a worker.
func IsWorker(args []string) bool { return len(args) == 1 && args[0] == WorkerArg }

// Work is the whole of a worker process: it answers the requests on in until in
// ends, and then stops what it is at. Where the runtime does not stop, the process
// ends without it: its parent may be gone, and nobody else would end it. The error is
// of what is no request.
func Work(in io.Reader, out io.Writer) error {
	answers, err := ownOutput(out)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{out: json.NewEncoder(answers)}
	requests, failed := make(chan request), make(chan error, 1)
	go func() {
		defer close(requests)
		defer time.AfterFunc(patience, func() { os.Exit(1) })
		defer cancel()
		failed <- read(in, requests)
	}()
	for r := range requests {
		w.send(w.answer(ctx, r))
	}
	w.stage.close()
	return <-failed
}

// read passes on the requests until in ends.
func read(in io.Reader, requests chan<- request) error {
	dec := json.NewDecoder(bufio.NewReader(in))
	for {
		var r request
		switch err := dec.Decode(&r); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("no request: %w", err)
		}
		requests <- r
	}
}

// worker is the state of a worker process.
type worker struct {
	stage stage
	mu    sync.Mutex
	out   *json.Encoder
}

// send writes an answer. Where nobody reads it, the process has no more to do.
func (w *worker) send(r response) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.out.Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (w *worker) answer(ctx context.Context, r request) (out response) {
	err := r.check()
	switch {
	case err != nil:
	case r.Open != nil:
		out.Opened, err = w.open(ctx, *r.Open)
	case r.Probe != nil:
		out.Probe, err = w.probe(ctx, *r.Probe)
	case r.Memory:
		out.Memory = &memory{measure.RSS(), measure.PeakRSS()}
	case w.stage.load == nil:
		err = errors.New("no model was opened")
	case r.Bind != nil:
		out.Bound, err = w.stage.bind(ctx, *r.Bind)
	case len(w.stage.streams) == 0 && (r.Warm != nil || r.Block != nil):
		err = errors.New("no runs were prepared")
	case r.Warm != nil:
		out.Warmed, err = w.stage.warm(ctx, *r.Warm)
	case r.Block != nil:
		out.Block, err = w.block(ctx, *r.Block)
	case r.Server != nil:
		out.Server, err = w.serve(ctx, *r.Server)
	case r.Profile != nil:
		out.Profile, err = w.profile(ctx, *r.Profile)
	case r.Eval != nil:
		out.Evaluated, err = w.evaluate(ctx, *r.Eval)
	case r.Decode != nil:
		out.Decode, err = w.decode(ctx, *r.Decode)
	default:
		err = errors.New("an empty request")
	}
	if err != nil {
		out.Error = fail(err)
	}
	return out
}

func (w *worker) open(ctx context.Context, r openRequest) (*opened, error) {
	rt, err := ort.Load(r.Library)
	if err != nil {
		return nil, err
	}
	w.stage = stage{rt: rt, path: r.Path, session: r.Session, threads: r.Threads}
	base := measure.RSS()
	o, err := w.stage.open(ctx, r.Load)
	if err != nil {
		return nil, err
	}
	o.BaseRSS = base
	return o, nil
}

// quietTime is how long a worker may take until its threads are at rest.
const quietTime = 200 * time.Millisecond

// block measures, and answers when the threads of the runtime have gone to sleep:
// they wait for more work by spinning, which would slow the worker whose turn is
// next.
func (w *worker) block(ctx context.Context, r blockRequest) (*block, error) {
	b, err := w.stage.run(ctx, r)
	measure.AwaitQuiet(quietTime)
	return b, err
}
