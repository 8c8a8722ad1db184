package ort

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"optim/internal/tensor"
)

// profileEvent is one entry of a profile, in the format of Chrome's traces.
// Times are in microseconds.
type profileEvent struct {
	Cat    string  `json:"cat"`
	Name   string  `json:"name"`
	Thread int64   `json:"tid"`
	Start  float64 `json:"ts"`
	Dur    float64 `json:"dur"`
	Args   struct {
		Op       string          `json:"op_name"`
		Provider string          `json:"provider"`
		Index    string          `json:"node_index"`
		Constant string          `json:"parameter_size"`
		Inputs   json.RawMessage `json:"input_type_shape"`
		Outputs  json.RawMessage `json:"output_type_shape"`
	} `json:"args"`
}

// Bounds of what a profile may make us remember: nodes, kernels of one run,
// bytes of an event, microseconds.
const (
	maxProfileNodes   = 1 << 20
	maxProfileKernels = 1 << 22
	maxProfileEvent   = 16 << 20
	maxProfileTime    = 1e12
)

// kernelSuffix ends the names of the events that measure a kernel; other events
// measure loading, executors and whole runs.
const kernelSuffix = "_kernel_time"

// parseProfile sums up a profile without its first runs.
func parseProfile(r io.Reader, skip int) (Trace, error) {
	bounded := &io.LimitedReader{R: repaired(r)}
	dec := json.NewDecoder(bounded)
	bounded.N = maxProfileEvent
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return Trace{}, errors.New("not a profile: no list of events")
	}
	p := newProfile(skip)
	for n := 0; dec.More(); n++ {
		bounded.N = maxProfileEvent
		var e profileEvent
		err := dec.Decode(&e)
		if err == nil {
			err = p.event(&e)
		}
		if bounded.N == 0 && err != nil {
			err = fmt.Errorf("longer than %d bytes", maxProfileEvent)
		}
		if err != nil {
			return Trace{}, fmt.Errorf("event %d: %w", n, err)
		}
	}
	if t, err := dec.Token(); err != nil || t != json.Delim(']') {
		return Trace{}, errors.New("the profile breaks off")
	}
	return p.trace(), nil
}

// profile is the sum so far. Its times are in microseconds.
type profile struct {
	skip  int
	runs  int // that ended
	wall  float64
	nodes map[nodeKey]*nodeSum
	// What follows is of the run whose end has not come yet.
	touched []*nodeSum
	kernels int
	open    map[int64][]kernel // by thread: those that a node around them may follow
}

type nodeKey struct{ name, op, provider, index string }

// nodeSum is a node with its sums over the runs that ended, and over the one
// that has not.
type nodeSum struct {
	NodeTime
	total    float64
	runs     []float64 // total of each run that called the node
	runCalls int
	runTotal float64
}

// kernel is one call, with all that it called.
type kernel struct{ start, dur float64 }

func newProfile(skip int) *profile {
	return &profile{skip: skip, nodes: map[nodeKey]*nodeSum{}, open: map[int64][]kernel{}}
}

func (p *profile) event(e *profileEvent) error {
	if !(e.Dur >= 0 && e.Dur <= maxProfileTime) {
		return fmt.Errorf("a time of %g µs", e.Dur)
	}
	if e.Cat == "Session" && e.Name == "model_run" {
		p.endRun(e.Dur)
		return nil
	}
	name, isKernel := strings.CutSuffix(e.Name, kernelSuffix)
	if e.Cat != "Node" || !isKernel {
		return nil
	}
	node, err := p.node(name, e)
	if err != nil {
		return err
	}
	if p.kernels++; p.kernels > maxProfileKernels {
		return fmt.Errorf("more than %d kernels in a run", maxProfileKernels)
	}
	if node.runCalls == 0 {
		p.touched = append(p.touched, node)
	}
	node.runCalls++
	node.runTotal += p.self(e)
	return nil
}

// self returns the time of a call without that of the calls within it. Events
// are written when they end: those within come before, and began not earlier.
func (p *profile) self(e *profileEvent) float64 {
	list, self := p.open[e.Thread], e.Dur
	for len(list) > 0 && list[len(list)-1].start >= e.Start {
		self -= list[len(list)-1].dur
		list = list[:len(list)-1]
	}
	p.open[e.Thread] = append(list, kernel{e.Start, e.Dur})
	return max(0, self)
}

// endRun takes the times of a run over, unless it only warmed up.
func (p *profile) endRun(dur float64) {
	p.runs++
	counts := p.runs > p.skip
	if counts {
		p.wall += dur
	}
	for _, n := range p.touched {
		if counts {
			n.Calls += n.runCalls
			n.total += n.runTotal
			n.runs = append(n.runs, n.runTotal)
		}
		n.runCalls, n.runTotal = 0, 0
	}
	p.touched, p.kernels = p.touched[:0], 0
	clear(p.open)
}

// node returns the sum of the node that e is a call of.
func (p *profile) node(name string, e *profileEvent) (*nodeSum, error) {
	key := nodeKey{name, e.Args.Op, e.Args.Provider, e.Args.Index}
	if n := p.nodes[key]; n != nil {
		return n, nil
	}
	if len(p.nodes) == maxProfileNodes {
		return nil, fmt.Errorf("more than %d nodes", maxProfileNodes)
	}
	n := &nodeSum{NodeTime: NodeTime{Name: name, Op: e.Args.Op, Provider: shortProvider(e.Args.Provider),
		Inputs: slotsOf(e.Args.Inputs), Outputs: slotsOf(e.Args.Outputs)}}
	// What is no number stays 0, as what is not there.
	n.Index, _ = strconv.Atoi(e.Args.Index)
	n.ConstantBytes, _ = strconv.ParseInt(e.Args.Constant, 10, 64)
	p.nodes[key] = n
	return n, nil
}

// slotsOf reads [{"float":[1,784]},{"int64":[]}]; nil for what reads otherwise.
func slotsOf(text json.RawMessage) []Slot {
	var list []map[string]tensor.Shape
	if json.Unmarshal(text, &list) != nil {
		return nil
	}
	out := make([]Slot, 0, len(list))
	for _, entry := range list {
		if len(entry) != 1 {
			return nil
		}
		for name, shape := range entry {
			out = append(out, Slot{profileTypes[name], shape})
		}
	}
	return out
}

// profileTypes are the names of element types in a profile.
var profileTypes = func() map[string]tensor.DType {
	m := map[string]tensor.DType{"float": tensor.Float32, "double": tensor.Float64}
	for d := tensor.Uint8; d.Valid(); d++ {
		if d != tensor.Float64 {
			m[d.String()] = d
		}
	}
	return m
}()

func (p *profile) trace() Trace {
	t := Trace{Runs: max(0, p.runs-p.skip), Wall: microseconds(p.wall), Nodes: []NodeTime{}}
	for _, n := range p.nodes {
		if n.Calls > 0 {
			least, median := spread(n.runs, t.Runs)
			n.Total, n.Least, n.Median = microseconds(n.total), microseconds(least), microseconds(median)
			t.Nodes = append(t.Nodes, n.NodeTime)
		}
	}
	slices.SortFunc(t.Nodes, func(a, b NodeTime) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Op, b.Op),
			cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Index, b.Index))
	})
	return t
}

// microseconds is a time, bounded so that sums of a few do not overflow.
func microseconds(us float64) time.Duration {
	return time.Duration(min(us*1e3, math.MaxInt64/1e6))
}

// spread returns the least and the median of so many numbers, of which those that
// are not in list are 0; none is negative. It sorts list.
func spread(list []float64, of int) (least, median float64) {
	slices.Sort(list)
	at := func(i int) float64 {
		if i -= of - len(list); i < 0 {
			return 0
		}
		return list[i]
	}
	return at(0), (at((of-1)/2) + at(of/2)) / 2
}
