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

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Subject is what is profiled. Runs are counted after warm-up; they are fewer
// where the profile would become too large.
type Subject struct {
	Open    func(ort.Options) (*ort.Session, error) // Runtime.Open or OpenBytes, bound to the model
	Options ort.Options
	Inputs  map[string]tensor.Tensor
	Runs    int         // at least 1
	Model   *onnx.Model // as it is written; nil: weights that only the graph shows are not found
}

// Profile is where the time of a run goes. Times are means over the runs.
// Kernels are what ONNX Runtime really runs, after it has fused the graph; a
// node with a body (If, Loop, Scan) has its own time only, the body's nodes have
// theirs.
type Profile struct {
	Runs     int     `json:"runs"`
	KernelMS float64 `json:"kernel_ms"` // of all kernels of a run
	// ProfilerMS is what the profiler adds to each call of a kernel, measured on
	// one that does next to nothing. It has been taken off all times.
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

// Run profiles a model.
func Run(ctx context.Context, rt *ort.Runtime, s Subject) (Profile, error) {
	if s.Runs < 1 {
		return Profile{}, errors.New("profile: no runs")
	}
	cost, err := profilerCost(ctx, rt, s.Options)
	if err != nil {
		return Profile{}, fmt.Errorf("profile: cost of the profiler: %w", err)
	}
	runs := s.Runs
	if s.Model != nil {
		runs = max(1, min(runs, maxKernels/max(1, len(s.Model.Graph.Nodes))-warmup))
	}
	t, err := ort.ProfileRuns(ctx, s.Open, s.Options, s.Inputs, warmup, runs)
	if err != nil {
		return Profile{}, fmt.Errorf("profile: %w", err)
	}
	if t.Runs == 0 {
		return Profile{}, errors.New("profile: a run has more kernels than ONNX Runtime records")
	}
	return summary(t, cost, findWeights(s.Model)), nil
}

// summary turns the trace into means, less what the profiler costs a call.
func summary(t ort.Trace, cost time.Duration, w weights) Profile {
	p := Profile{Runs: t.Runs, ProfilerMS: ms(cost), NodesPerProvider: ort.ProviderCounts(t.Nodes),
		Operators: []Operator{}, Nodes: []Node{}}
	runs := float64(t.Runs)
	for _, n := range t.Nodes {
		own := max(0, ms(n.Total)-float64(n.Calls)*ms(cost)) / runs
		p.KernelMS += own
		p.Nodes = append(p.Nodes, Node{Name: n.Name, Op: n.Op, Provider: n.Provider, Calls: float64(n.Calls) / runs,
			MS: own, CouldBeInteger: w.couldBeInteger(n)})
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
	return p
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
