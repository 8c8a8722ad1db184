// Package profile tells where the time of a model goes: by operator, by node, by
// provider, and which products run in float though they could run on integers.
// It reads ONNX Runtime's own profiler.
package profile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Profile is where the time of a run goes. Times are medians over the runs, in
// milliseconds. Kernels are what ONNX Runtime really runs, after it has fused the
// graph; a node with a body (If, Loop, Scan) has its own time only, the body's
// nodes have theirs.
type Profile struct {
	Runs  int     `json:"runs"`
	RunMS float64 `json:"run_ms"` // a run without the profiler
	// KernelMS is the sum over all kernels: about RunMS, unless operators run beside
	// each other or wait for a device.
	KernelMS float64 `json:"kernel_ms"`
	// ProfilerMS is what the profiler added to each call of a kernel. It has been
	// taken off all times.
	ProfilerMS float64 `json:"profiler_ms"`
	// CouldBeInteger is the share of the time of the nodes marked so.
	CouldBeInteger   float64        `json:"could_be_integer"`
	NodesPerProvider map[string]int `json:"nodes_per_provider"`
	Operators        []Operator     `json:"operators"` // the most expensive first
	Nodes            []Node         `json:"nodes"`     // all of them, the most expensive first
}

// Operator sums up the nodes of one type that one provider runs.
type Operator struct {
	Op       string  `json:"op"`
	Provider string  `json:"provider"`
	Nodes    int     `json:"nodes"`
	Calls    float64 `json:"calls"` // in a run
	MS       float64 `json:"ms"`
	Share    float64 `json:"share"` // of the time of all kernels
}

// Node is one kernel of the graph that runs. CouldBeInteger marks products in
// float with a constant weight, of operators that have a kernel on integers on
// the CPU; whether that would be faster or good enough is not said.
type Node struct {
	Name           string  `json:"name"`
	Op             string  `json:"op"`
	Provider       string  `json:"provider"`
	Calls          float64 `json:"calls"` // in a run
	MS             float64 `json:"ms"`
	Share          float64 `json:"share"`
	CouldBeInteger bool    `json:"could_be_integer"`
}

// warmup is the runs before those that count: the first allocates, the second
// may still plan memory anew.
const warmup = 2

// maxKernels bounds the calls that are profiled, as far as the graph tells their
// number: ONNX Runtime keeps 2.5 kB of each in memory, writes one to a temporary
// file, and drops what comes after a million.
const maxKernels = 40_000

// Run profiles a model: so many runs (fewer where the profile would become too
// large), after others that warm up, and the same number without the profiler.
// open is Runtime.Open or OpenBytes, bound to the model; m is the graph as it is
// written, or nil: then weights that only the graph shows are not found.
func Run(ctx context.Context, open func(ort.Options) (*ort.Session, error), o ort.Options, in map[string]tensor.Tensor, runs int, m *onnx.Model) (Profile, error) {
	if runs < 1 {
		return Profile{}, errors.New("profile: no runs")
	}
	if m != nil {
		runs = max(1, min(runs, maxKernels/max(1, len(m.Graph.Nodes))-warmup))
	}
	t, err := ort.ProfileRuns(ctx, open, o, in, warmup, runs)
	if err != nil {
		return Profile{}, fmt.Errorf("profile: %w", err)
	}
	if t.Runs == 0 {
		return Profile{}, errors.New("profile: a run has more kernels than ONNX Runtime records")
	}
	p := summary(t, o.InterThreads > 1)
	w := findWeights(m)
	for i, n := range t.Nodes {
		p.Nodes[i].CouldBeInteger = w.couldBeInteger(n)
	}
	p.finish()
	return p, nil
}

// summary gives each node of the trace, in its order, its time without what the
// profiler costs. Where nodes run beside each other (parallel), that is not known:
// their times need not add up to that of a run.
func summary(t ort.Trace, parallel bool) Profile {
	p := Profile{Runs: t.Runs, RunMS: ms(measure.MedianDuration(t.Plain)), NodesPerProvider: ort.ProviderCounts(t.Nodes), Nodes: []Node{}}
	if !parallel {
		p.ProfilerMS = profilerCost(t)
	}
	for _, n := range t.Nodes {
		p.Nodes = append(p.Nodes, Node{Name: n.Name, Op: n.Op, Provider: n.Provider, Calls: calls(n, t),
			MS: max(0, ms(n.Median)-calls(n, t)*p.ProfilerMS)})
	}
	return p
}

// finish fills in what follows from the nodes' times and marks.
func (p *Profile) finish() {
	for _, n := range p.Nodes {
		p.KernelMS += n.MS
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		if p.KernelMS > 0 {
			n.Share = n.MS / p.KernelMS
		}
		if n.CouldBeInteger {
			p.CouldBeInteger += n.Share
		}
	}
	slices.SortStableFunc(p.Nodes, func(a, b Node) int { return cmp.Compare(b.MS, a.MS) })
	p.Operators = byOperator(p.Nodes)
}

func byOperator(nodes []Node) []Operator {
	type key struct{ op, provider string }
	sum := map[key]*Operator{}
	for _, n := range nodes {
		o := sum[key{n.Op, n.Provider}]
		if o == nil {
			o = &Operator{Op: n.Op, Provider: n.Provider}
			sum[key{n.Op, n.Provider}] = o
		}
		o.Nodes++
		o.Calls += n.Calls
		o.MS += n.MS
		o.Share += n.Share
	}
	list := []Operator{}
	for o := range maps.Values(sum) {
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b Operator) int {
		return cmp.Or(cmp.Compare(b.MS, a.MS), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Provider, b.Provider))
	})
	return list
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
