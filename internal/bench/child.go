package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
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
	path, err := os.Executable()
	return Command{path, []string{os.Args[0], WorkerArg}}, err
}

// child is the parent's end of a worker.
type child struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *json.Decoder
	errors   head
	progress func(progress)
	once     sync.Once
	exited   error
}

// start begins a worker. What it writes to its standard error is kept, the beginning
// of it, to be told when it dies.
func start(c Command) (*child, error) {
	c, err := c.orSelf()
	if err != nil {
		return nil, err
	}
	w := &child{cmd: &exec.Cmd{Path: c.Path, Args: c.Args}}
	w.cmd.Stderr = &w.errors
	detach(w.cmd)
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = json.NewDecoder(out)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	return w, nil
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

// died is the error of a worker that ended by itself: it crashed, or somebody,
// the system when memory is short for example, killed it.
func (w *child) died(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	state := w.wait()
	text := "the process that ran the model ended"
	if state != nil {
		text += ": " + state.Error()
	}
	if why := w.errors.firstLines(); why != "" {
		text += ": " + why
	}
	return errors.New(text)
}

func (w *child) wait() error {
	w.once.Do(func() { w.exited = w.cmd.Wait() })
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

// firstLines returns the first lines that were written, in one.
func (h *head) firstLines() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := bytes.SplitN(bytes.TrimSpace(h.text), []byte("\n"), 3)
	return string(bytes.Join(lines[:min(2, len(lines))], []byte("; ")))
}
