package ort

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"optim/internal/tensor"
)

// NodeTime is what one node of the graph that really runs has cost. Fused
// operators appear under the name of the fusion.
type NodeTime struct {
	Name     string
	Op       string
	Provider string // short name, "cpu"
	Calls    int
	Total    time.Duration
}

// profileEvent is one entry of a profile, in the format of Chrome's traces.
type profileEvent struct {
	Cat  string  `json:"cat"`
	Name string  `json:"name"`
	Dur  float64 `json:"dur"` // microseconds
	Args struct {
		Op       string `json:"op_name"`
		Provider string `json:"provider"`
	} `json:"args"`
}

// maxProfileNodes bounds what a profile may make us remember.
const maxProfileNodes = 1 << 20

// kernelSuffix ends the names of the events that measure a kernel; other events
// measure fences and whole runs.
const kernelSuffix = "_kernel_time"

// ReadProfile reads a profile that a session has written, and sums it up by
// node, the most expensive first.
func ReadProfile(file string) ([]NodeTime, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	nodes, err := parseProfile(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return nodes, nil
}

func parseProfile(r io.Reader) ([]NodeTime, error) {
	dec := json.NewDecoder(repaired(r))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.New("not a profile: no list of events")
	}
	byNode := map[[3]string]*NodeTime{}
	for n := 0; dec.More(); n++ {
		var e profileEvent
		if err := dec.Decode(&e); err != nil {
			return nil, fmt.Errorf("event %d: %w", n, err)
		}
		name, isKernel := strings.CutSuffix(e.Name, kernelSuffix)
		if e.Cat != "Node" || !isKernel {
			continue
		}
		key := [3]string{name, e.Args.Op, e.Args.Provider}
		node := byNode[key]
		if node == nil {
			if len(byNode) == maxProfileNodes {
				return nil, fmt.Errorf("more than %d nodes", maxProfileNodes)
			}
			node = &NodeTime{Name: name, Op: e.Args.Op, Provider: shortProvider(e.Args.Provider)}
			byNode[key] = node
		}
		node.Calls++
		node.Total += time.Duration(e.Dur * float64(time.Microsecond))
	}
	if t, err := dec.Token(); err != nil || t != json.Delim(']') {
		return nil, errors.New("the profile breaks off")
	}
	out := make([]NodeTime, 0, len(byNode))
	for _, n := range byNode {
		out = append(out, *n)
	}
	slices.SortFunc(out, func(a, b NodeTime) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Op, b.Op),
			cmp.Compare(a.Provider, b.Provider))
	})
	return out, nil
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
func Profile(open func(Options) (*Session, error), o Options, in map[string]tensor.Tensor) (_ []NodeTime, err error) {
	dir, err := os.MkdirTemp("", "optim-profile-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o.ProfilePrefix = filepath.Join(dir, "profile")
	s, err := open(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.Run(in); err != nil {
		return nil, err
	}
	file, err := s.EndProfiling()
	if err != nil {
		return nil, err
	}
	return ReadProfile(file)
}
