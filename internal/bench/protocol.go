package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"optim/internal/bench/decode"
	"optim/internal/bench/offline"
	"optim/internal/bench/profile"
	"optim/internal/bench/roofline"
	"optim/internal/bench/server"
	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/workload"
)

// Each model runs in processes of its own: one model pays neither for the memory
// nor for the idle threads of another. Such a worker reads requests from its
// standard input and answers on its standard output, both as lines of JSON. It
// ends when its input ends.

// request asks a worker for one thing.
type request struct {
	Open    *openRequest    `json:"open,omitempty"`
	Bind    *Setting        `json:"bind,omitempty"`
	Warm    *warmRequest    `json:"warm,omitempty"`
	Block   *blockRequest   `json:"block,omitempty"`
	Memory  bool            `json:"memory,omitempty"`
	Server  *serverRequest  `json:"server,omitempty"`
	Decode  *decodeRequest  `json:"decode,omitempty"`
	Profile *profileRequest `json:"profile,omitempty"`
	Eval    *evalRequest    `json:"eval,omitempty"`
	Probe   *probeRequest   `json:"probe,omitempty"`
}

// check refuses numbers that no parent asks for.
func (r request) check() error {
	switch {
	case r.Bind != nil && (r.Bind.Batch < 1 || r.Bind.Concurrency < 1),
		r.Warm != nil && r.Warm.Runs < 0 && r.Warm.Bound <= 0,
		r.Block != nil && max(int64(r.Block.Runs), int64(r.Block.Duration)) < 1,
		r.Profile != nil && r.Profile.Batch < 1,
		r.Decode != nil && r.Decode.Prompt < 1:
		return errors.New("a request out of range")
	}
	return nil
}

// Setting is how many samples are in a run, and how many runs are made at once.
type Setting = offline.Config

// How several streams run at once.
const (
	ByThreads  = offline.Threads  // they share one session
	BySessions = offline.Sessions // each has a session, and its share of the threads
)

// Session says how a model is opened.
type Session struct {
	Threads, InterThreads int
	GraphOpt              ort.GraphOpt
	Providers             []string
	CustomOps             string
	NoMemPattern, NoArena bool
}

// options returns what ort wants, with the given threads.
func (s Session) options(threads int) ort.Options {
	return ort.Options{
		Threads: threads, InterThreads: s.InterThreads, GraphOpt: s.GraphOpt, Providers: s.Providers,
		CustomOps: s.CustomOps, NoMemPattern: s.NoMemPattern, NoArena: s.NoArena,
	}
}

// settings lists what is not the runtime's default, by the name of its flag.
func (s Session) settings() map[string]string {
	out := map[string]string{}
	add := func(name string, other bool, value any) {
		if other {
			out[name] = fmt.Sprint(value)
		}
	}
	add("graph-opt", s.GraphOpt != ort.GraphOptAll, s.GraphOpt)
	add("inter-threads", s.InterThreads > 1, s.InterThreads)
	add("no-mem-pattern", s.NoMemPattern, true)
	add("no-arena", s.NoArena, true)
	add("custom-ops", s.CustomOps != "", s.CustomOps)
	return out
}

type openRequest struct {
	Library ort.Config
	Path    string
	Session Session
	Threads int // that the session has; for its share where there are several
	Load    workload.Spec
}

// opened describes the model in a worker.
type opened struct {
	LoadMS, FirstMS float64         // of a fresh process
	BaseRSS         int64           // before the model was loaded
	Read            dataset.Options // how inputs were found, for further workers
	Samples         int
	From            string
	Notes           []string
	Batch           int   // what the shapes or the model prescribe; 0: anything
	Lengths         []int // of the samples, sorted; nil: no text
	Providers       []string
	Missing         []ort.Missing // providers that were asked for
	ORT             string
}

// bound describes the runs that were prepared.
type bound struct {
	Inputs map[string]string  // in words
	Shapes map[string][]int64 // nil: they differ from run to run
	Items  []int              // samples in a run, by batch of the pool
	Tokens []int              // ids in a run, by batch of the pool
}

// warmRequest asks for runs that do not count. Runs is exact where it is not
// negative; else they go on until times are stable, for Bound at most.
type warmRequest struct {
	Runs  int
	Bound time.Duration
}

type warmed struct {
	Estimate time.Duration // of a run
	Runs     int
	Steady   bool
}

// blockRequest asks for measured runs on all streams: Runs of each, or as many as
// begin within Duration.
type blockRequest struct {
	Runs     int           // 0: by Duration
	Duration time.Duration // 0: by Runs
}

// block is what was measured: the time of each run by stream, in nanoseconds, and
// the time from the first beginning to the last end.
type block struct {
	Streams [][]int64
	First   []int // index in the pool of each stream's first run
	Wall    int64
}

type memory struct{ RSS, Peak int64 }

// response is the answer to a request. An error may come with what was done
// until then.
type response struct {
	Error     *failure         `json:"error,omitempty"`
	Opened    *opened          `json:"opened,omitempty"`
	Bound     *bound           `json:"bound,omitempty"`
	Warmed    *warmed          `json:"warmed,omitempty"`
	Block     *block           `json:"block,omitempty"`
	Memory    *memory          `json:"memory,omitempty"`
	Server    *server.Report   `json:"server,omitempty"`
	Decode    *decode.Report   `json:"decode,omitempty"`
	Profile   *profile.Profile `json:"profile,omitempty"`
	Evaluated *evaluated       `json:"evaluated,omitempty"`
	Probe     *roofline.Peaks  `json:"probe,omitempty"`
	// Progress is no answer, but says how far the work is.
	Progress *progress `json:"progress,omitempty"`
}

type progress struct {
	What        string
	Done, Total int64
}

// failure is an error that crosses the border of processes with its kind.
type failure struct {
	Kind    string // a key of kinds; empty: any other
	Message string
}

// kinds are the errors that keep their identity.
var kinds = map[string]error{
	"library": ort.ErrLibrary, "provider": ort.ErrProvider, "canceled": context.Canceled,
}

func fail(err error) *failure {
	f := &failure{Message: err.Error()}
	for kind, target := range kinds {
		if errors.Is(err, target) {
			f.Kind = kind
		}
	}
	return f
}

// workerError is the error of a worker.
type workerError struct {
	failure
}

// Error returns the worker's own words.
func (e *workerError) Error() string { return e.Message }

// Is reports whether the worker met an error of that identity.
func (e *workerError) Is(target error) bool { return kinds[e.Kind] != nil && kinds[e.Kind] == target }
