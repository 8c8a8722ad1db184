package bench

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Command is how a worker is started: a program and its arguments. The zero value
// is this program with WorkerArg.
type Command struct {
	Path string
	Args []string // with the program's name
}

func (c Command) orSelf() (Command, error) {
	if c.Path != "" {
		return c, nil
	}
	return Self(WorkerArg)
}

// Self is this very program with other arguments, also when its file was replaced.
func Self(args ...string) (Command, error) {
	path, err := self()
	return Command{path, append([]string{os.Args[0]}, args...)}, err
}

// ProcessError says that a process that runs a model could not begin, or ended before
// its time.
type ProcessError struct {
	Why string
	// Outside says that the model is not the reason: the system has no room for a
	// process, or somebody ended it.
	Outside bool
}

// Error returns the reason.
func (e *ProcessError) Error() string { return e.Why }

// child is the parent's end of a worker.
type child struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *json.Decoder
	errors   head
	progress func(progress)
	once     sync.Once
	exited   error
	ended    chan struct{} // is closed when exited is known
	stopped  atomic.Bool   // somebody stopped it, see watch
}

// start begins a worker. What it writes to its standard error is kept, the beginning
// of it, to be told when it dies.
func start(c Command) (*child, error) {
	c, err := c.orSelf()
	if err != nil {
		return nil, err
	}
	w := &child{cmd: &exec.Cmd{Path: c.Path, Args: c.Args}, ended: make(chan struct{})}
	w.cmd.Stderr, w.cmd.WaitDelay = &w.errors, time.Second // for what it may have started
	detach(w.cmd)
	if err := w.begin(); err != nil {
		return nil, &ProcessError{Why: "start a process that runs a model: " + err.Error(), Outside: true}
	}
	go w.watch()
	return w, nil
}

func (w *child) begin() (err error) {
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		w.in.Close()
		return err
	}
	w.out = json.NewDecoder(out)
	return w.cmd.Start()
}

const (
	watchEvery = time.Second
	// mostStopped looks in a row at a process that is stopped are enough: one that is
	// stopped and continued together with this one is not given up.
	mostStopped = 3
)

// watch ends the worker when it stays stopped (SIGSTOP): it would never answer.
func (w *child) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for stopped := 0; stopped < mostStopped; {
		select {
		case <-w.ended:
			return
		case <-tick.C:
		}
		if stopped++; !isStopped(w.cmd.Process.Pid) {
			stopped = 0
		}
	}
	w.stopped.Store(true)
	w.cmd.Process.Kill()
}

// patience is how long a worker may take to stop what it is at.
const patience = 3 * time.Second

// ask sends a request and returns the answer, which may come with an error. When
// ctx ends the worker is told to stop: what it has done so far is its answer, and
// it takes no more requests.
func (w *child) ask(ctx context.Context, r request) (response, error) {
	if err := ctx.Err(); err != nil {
		return response{}, err
	}
	defer context.AfterFunc(ctx, func() {
		w.in.Close()
		time.AfterFunc(patience, func() { w.cmd.Process.Kill() })
	})()
	if err := json.NewEncoder(w.in).Encode(r); err != nil {
		return response{}, w.died(ctx)
	}
	for {
		var a response
		if err := w.out.Decode(&a); err != nil {
			return response{}, w.died(ctx)
		}
		if a.Progress != nil {
			if w.progress != nil {
				w.progress(*a.Progress)
			}
			continue
		}
		switch {
		case ctx.Err() != nil:
			return a, ctx.Err()
		case a.Error != nil:
			return a, &workerError{*a.Error}
		}
		return a, nil
	}
}

// died is the error of a worker that does not answer: it crashed, or somebody
// ended it.
func (w *child) died(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.close() // one that says what is no answer still waits for requests
	e := &ProcessError{Why: "the process that ran the model ended", Outside: signaled(w.cmd.ProcessState)}
	switch {
	case w.stopped.Load():
		e.Why = "the process that ran the model was stopped, and did not go on"
	case w.exited != nil:
		e.Why += ": " + w.exited.Error()
	}
	if e.Outside && strings.HasSuffix(e.Why, syscall.SIGKILL.String()) {
		e.Why += ", by somebody or by the system, which does so when memory is short"
	}
	if why := w.errors.firstLines(); why != "" {
		e.Why += ": " + why
	}
	return e
}

func (w *child) wait() error {
	w.once.Do(func() {
		w.exited = w.cmd.Wait()
		close(w.ended)
	})
	return w.exited
}

// close ends the worker.
func (w *child) close() {
	w.in.Close()
	timer := time.AfterFunc(patience, func() { w.cmd.Process.Kill() })
	defer timer.Stop()
	w.wait()
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	text []byte
}

// headSize is enough for a message; a crash of Go's runtime prints far more.
const headSize = 4096

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// The beginning tells why a process crashed, the rest where.
	if room := headSize - len(h.text); room > 0 {
		h.text = append(h.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// crashes are how the message of a crash begins.
var crashes = []string{"fatal error: ", "panic: ", "runtime: ", "terminate called ", "SIG"}

// firstLines returns the first lines that were written, in one: of a crash, if there is
// one, since libraries warn of much before.
func (h *head) firstLines() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(h.text)), "\n")
	crash := func(line string) bool {
		return slices.ContainsFunc(crashes, func(c string) bool { return strings.HasPrefix(line, c) })
	}
	lines = lines[max(0, slices.IndexFunc(lines, crash)):]
	return strings.Join(lines[:min(2, len(lines))], "; ")
}
