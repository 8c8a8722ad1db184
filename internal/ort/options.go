package ort

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	onnx "github.com/yalue/onnxruntime_go"
)

// GraphOpt is how far ONNX Runtime rewrites a graph before it runs it.
type GraphOpt int

// Levels of graph optimization. The zero value is ONNX Runtime's own default.
const (
	GraphOptAll      GraphOpt = iota // also layouts and fusions that depend on the CPU
	GraphOptOff                      // the graph as it is written
	GraphOptBasic                    // constant folding, redundant nodes
	GraphOptExtended                 // fusions into operators of ONNX Runtime
)

var graphOptNames = []string{"all", "off", "basic", "extended"}

// String returns the name that ParseGraphOpt reads.
func (g GraphOpt) String() string {
	if g < 0 || int(g) >= len(graphOptNames) {
		return fmt.Sprintf("GraphOpt(%d)", int(g))
	}
	return graphOptNames[g]
}

// ParseGraphOpt reads "off", "basic", "extended" or "all".
func ParseGraphOpt(name string) (GraphOpt, error) {
	if i := slices.Index(graphOptNames, name); i >= 0 {
		return GraphOpt(i), nil
	}
	return 0, fmt.Errorf("unknown graph optimization %q (off, basic, extended, all)", name)
}

func (g GraphOpt) native() (onnx.GraphOptimizationLevel, error) {
	switch g {
	case GraphOptAll:
		return onnx.GraphOptimizationLevelEnableAll, nil
	case GraphOptOff:
		return onnx.GraphOptimizationLevelDisableAll, nil
	case GraphOptBasic:
		return onnx.GraphOptimizationLevelEnableBasic, nil
	case GraphOptExtended:
		return onnx.GraphOptimizationLevelEnableExtended, nil
	}
	return 0, fmt.Errorf("unknown graph optimization %d", int(g))
}

// Options says how a session is opened. The zero value means ONNX Runtime's
// defaults on the CPU.
type Options struct {
	Threads      int      // threads within an operator; 0: one per physical core
	InterThreads int      // above 1: independent operators run in parallel on so many threads
	GraphOpt     GraphOpt // level of graph optimization
	// Providers in order of preference: "cpu", "cuda", "tensorrt", or any other
	// that the library lists. Empty: cpu. The CPU always takes what the others
	// leave.
	Providers []string

	SaveOptimized string // file to write the optimized graph to
	ProfilePrefix string // path prefix of the profile; see Session.EndProfiling
	// ExternalFolder is where the external data of a model given as bytes lies.
	ExternalFolder string
	CustomOps      string // shared library with custom operators

	NoPrepack    bool // do not copy weights into the kernels' own layout
	NoSpin       bool // threads sleep at the end of a run instead of spinning
	NoMemPattern bool // do not plan one block of memory for all activations
	NoArena      bool // take memory from the system each time

	// Stop ends the loading of a model when it is closed: it fails with
	// context.Canceled then. Runs have contexts of their own.
	Stop <-chan struct{}

	// Entries are further session configuration entries, by their native keys.
	Entries map[string]string
}

// Native keys of session configuration entries.
const (
	keyNoPrepack      = "session.disable_prepacking"
	keyStopSpinning   = "session.force_spinning_stop"
	keyExternalFolder = "session.model_external_initializers_file_folder_path"
)

// entries returns all configuration entries; those given by name win.
func (o Options) entries() map[string]string {
	out := map[string]string{}
	if o.NoPrepack {
		out[keyNoPrepack] = "1"
	}
	if o.NoSpin {
		out[keyStopSpinning] = "1"
	}
	if o.ExternalFolder != "" {
		out[keyExternalFolder] = o.ExternalFolder
	}
	maps.Copy(out, o.Entries)
	return out
}

// native makes the session options; the caller destroys them.
func (o Options) native(r *Runtime) (_ *onnx.SessionOptions, err error) {
	if o.Threads < 0 || o.InterThreads < 0 {
		return nil, fmt.Errorf("negative number of threads")
	}
	if o.ProfilePrefix != "" {
		// ONNX Runtime would go on silently without a profile.
		if st, err := os.Stat(filepath.Dir(o.ProfilePrefix)); err != nil || !st.IsDir() {
			return nil, fmt.Errorf("profile %q: no such folder", o.ProfilePrefix)
		}
	}
	so, err := onnx.NewSessionOptions()
	if err != nil {
		return nil, wrapNative(err)
	}
	defer func() {
		if err != nil {
			so.Destroy()
		}
	}()
	if err := o.setBasics(so); err != nil {
		return nil, err
	}
	entries := o.entries()
	for _, k := range slices.Sorted(maps.Keys(entries)) {
		if err := so.AddSessionConfigEntry(k, entries[k]); err != nil {
			return nil, fmt.Errorf("session option %q: %w", k, wrapNative(err))
		}
	}
	if o.CustomOps != "" {
		if err := registerOps(pointerIn(so, "o"), o.CustomOps); err != nil {
			return nil, fmt.Errorf("custom operators %q: %w", o.CustomOps, err)
		}
	}
	if err := r.appendProviders(so, o.Providers); err != nil {
		return nil, err
	}
	return so, nil
}

// setBasics sets everything that is a plain setter of onnxruntime_go.
func (o Options) setBasics(so *onnx.SessionOptions) error {
	level, err := o.GraphOpt.native()
	if err != nil {
		return err
	}
	mode := onnx.ExecutionMode(onnx.ExecutionModeSequential)
	if o.InterThreads > 1 {
		mode = onnx.ExecutionModeParallel
	}
	steps := []struct {
		want bool
		set  func() error
	}{
		{true, func() error { return so.SetGraphOptimizationLevel(level) }},
		{true, func() error { return so.SetIntraOpNumThreads(o.Threads) }},
		{true, func() error { return so.SetInterOpNumThreads(o.InterThreads) }},
		{true, func() error { return so.SetExecutionMode(mode) }},
		{o.NoMemPattern, func() error { return so.SetMemPattern(false) }},
		{o.NoArena, func() error { return so.SetCpuMemArena(false) }},
		{o.SaveOptimized != "", func() error { return so.SetOptimizedModelFilePath(o.SaveOptimized) }},
		{o.ProfilePrefix != "", func() error { return so.EnableProfiling(o.ProfilePrefix) }},
	}
	for _, s := range steps {
		if !s.want {
			continue
		}
		if err := s.set(); err != nil {
			return fmt.Errorf("session options: %w", wrapNative(err))
		}
	}
	return nil
}
