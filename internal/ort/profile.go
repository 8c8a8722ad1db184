package ort

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"optim/internal/tensor"
)

// Trace is what a profile tells of the runs in it.
type Trace struct {
	Runs  int             // that were counted
	Wall  time.Duration   // of these runs: kernels, what lies between, and profiling itself
	Nodes []NodeTime      // the most expensive first
	Plain []time.Duration // of runs without the profiler, the shortest first
}

// NodeTime is what one node of the graph that really runs has cost. Fused
// operators appear under the name of the fusion.
type NodeTime struct {
	Name     string // of a node without a name, its operator and index
	Op       string
	Provider string // short name, "cpu"
	Index    int    // in its graph
	Calls    int
	// Total is the time of all calls in whole microseconds each, that of nodes in
	// bodies of If, Loop and Scan left out: they are nodes of their own. It has
	// what the profiler itself adds to each call, some microseconds.
	Total time.Duration
	// Least and Median are those of the time in one run.
	Least, Median time.Duration
	// Inputs and Outputs are the tensors of one call. A constant that a kernel
	// has packed for itself when the model was loaded is not among the inputs.
	Inputs, Outputs []Slot
	ConstantBytes   int64 // size of those inputs that are constant
}

// Slot is the type and shape of a tensor that a node reads or makes.
type Slot struct {
	DType tensor.DType // Undefined where the profile has a name that is not known
	Shape tensor.Shape
}

// ReadProfile reads a profile that a session has written, and sums all runs up
// by node, the most expensive first. A run that did not end is left out.
func ReadProfile(file string) ([]NodeTime, error) {
	t, err := ReadTrace(file, 0)
	return t.Nodes, err
}

// ReadTrace is ReadProfile without the first runs, which warm up. The session
// must have made its runs one after the other.
func ReadTrace(file string, skip int) (Trace, error) {
	f, err := os.Open(file)
	if err != nil {
		return Trace{}, err
	}
	defer f.Close()
	t, err := parseProfile(f, skip)
	if err != nil {
		return Trace{}, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// KernelCounts counts the nodes of each operator in a profile.
func KernelCounts(nodes []NodeTime) map[string]int {
	out := map[string]int{}
	for _, n := range nodes {
		out[n.Op]++
	}
	return out
}

// ProviderCounts counts the nodes that each provider ran.
func ProviderCounts(nodes []NodeTime) map[string]int {
	out := map[string]int{}
	for _, n := range nodes {
		out[n.Provider]++
	}
	return out
}

// Profile opens a model, runs it once, and returns what its nodes cost. open is
// called with o, directed to a temporary profile: pass Runtime.Open or
// Runtime.OpenBytes, bound to a model.
func Profile(open func(Options) (*Session, error), o Options, in map[string]tensor.Tensor) ([]NodeTime, error) {
	t, err := ProfileRuns(context.Background(), open, o, in, 0, 1)
	return t.Nodes, err
}

// ProfileRuns is Profile of so many runs, after others that warm up, and before as
// many that are timed without the profiler. ONNX Runtime keeps a million events at
// most: where runs have more, fewer are counted, which Trace.Runs tells.
func ProfileRuns(ctx context.Context, open func(Options) (*Session, error), o Options, in map[string]tensor.Tensor, warmup, runs int) (_ Trace, err error) {
	dir, err := os.MkdirTemp("", "optim-profile-")
	if err != nil {
		return Trace{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o.ProfilePrefix = filepath.Join(dir, "profile")
	s, err := open(o)
	if err != nil {
		return Trace{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// Tensors are bound: copies of outputs would drive weights out of the caches.
	b, err := s.Bind(in, nil)
	if err != nil {
		return Trace{}, err
	}
	defer b.Close()
	pool := []*Binding{b}
	if _, err := TimeRuns(ctx, pool, Timing{Most: warmup + runs}); err != nil {
		return Trace{}, err
	}
	file, err := s.EndProfiling()
	if err != nil {
		return Trace{}, err
	}
	t, err := ReadTrace(file, warmup)
	if err != nil {
		return Trace{}, err
	}
	plain, err := TimeRuns(ctx, pool, Timing{Most: runs})
	if err != nil {
		return Trace{}, err
	}
	for _, span := range plain {
		t.Plain = append(t.Plain, span.Took())
	}
	slices.Sort(t.Plain)
	return t, nil
}
