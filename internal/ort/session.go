package ort

// #include "native.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"

	"optim/internal/tensor"
)

// Session is a model that is ready to run. Its methods may be called
// concurrently; Close waits for the runs under way.
type Session struct {
	rt      *Runtime
	owner   *onnx.DynamicAdvancedSession
	inputs  []Info
	outputs []Info
	// overridable are initializers that an input of the same name may replace.
	overridable []Info
	byName      map[string]Info
	// names are the C strings of all slots; ONNX Runtime takes nothing else.
	names map[string]*C.char

	life      sync.RWMutex // held for reading by runs, for writing by Close
	native    *C.OrtSession
	profiling bool
	mu        sync.Mutex
	bindings  map[*Binding]struct{}
}

// Open opens the model file at path.
func (r *Runtime) Open(path string, o Options) (*Session, error) {
	if strings.ContainsRune(path, 0) {
		return nil, fmt.Errorf("open %q: zero byte in the name", path)
	}
	s, err := r.open(o, func(so *onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error) {
		return onnx.NewDynamicAdvancedSession(path, nil, nil, so)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// OpenBytes opens a serialized model. Its external data is looked for in
// Options.ExternalFolder. The bytes are not needed after the call.
func (r *Runtime) OpenBytes(model []byte, o Options) (*Session, error) {
	if len(model) == 0 {
		return nil, errors.New("empty model")
	}
	return r.open(o, fromBytes(model))
}

// creator makes a session with options.
type creator func(*onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error)

func fromBytes(model []byte) creator {
	return func(so *onnx.SessionOptions) (*onnx.DynamicAdvancedSession, error) {
		return onnx.NewDynamicAdvancedSessionWithONNXData(model, nil, nil, so)
	}
}

// open opens a session, and finds out whether a provider is to blame if it
// cannot be.
func (r *Runtime) open(o Options, create creator) (*Session, error) {
	s, err := r.openOnce(o, create)
	if err != nil && !errors.Is(err, ErrProvider) && !errors.Is(err, context.Canceled) {
		err = r.blame(err, o.Providers)
	}
	return s, err
}

func (r *Runtime) openOnce(o Options, create creator) (*Session, error) {
	so, err := o.native(r)
	if err != nil {
		return nil, err
	}
	defer so.Destroy()
	owner, err := load(o.Stop, so, create)
	if err != nil {
		return nil, err
	}
	s := &Session{
		rt:        r,
		owner:     owner,
		native:    (*C.OrtSession)(pointerIn(pointerTo(owner, "s"), "ortSession")),
		profiling: o.ProfilePrefix != "",
		byName:    map[string]Info{},
		names:     map[string]*C.char{},
		bindings:  map[*Binding]struct{}{},
	}
	if err := s.describe(); err != nil {
		owner.Destroy()
		return nil, err
	}
	r.mu.Lock()
	r.sessions[s] = struct{}{}
	r.mu.Unlock()
	return s, nil
}

// load makes the native session, and gives up when stop is closed: to inline
// functions and to optimize, a small file can ask for any amount of time.
func load(stop <-chan struct{}, so *onnx.SessionOptions, create creator) (*onnx.DynamicAdvancedSession, error) {
	options, done := pointerIn(so, "o"), make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-stop:
			// The only failure is a missing pointer; loading then ends by itself.
			_ = check(C.opt_cancel_load(options))
		case <-done:
		}
	})
	owner, err := create(so)
	close(done)
	watch.Wait() // the options must outlive the call above
	if err == nil {
		return owner, nil
	}
	select {
	case <-stop:
		return nil, context.Canceled
	default:
		return nil, wrapNative(err)
	}
}

// describe reads names, types and shapes of all slots.
func (s *Session) describe() (err error) {
	for _, side := range []struct {
		kind C.int
		dst  *[]Info
	}{{C.OPT_INPUT, &s.inputs}, {C.OPT_OUTPUT, &s.outputs}, {C.OPT_OVERRIDABLE, &s.overridable}} {
		if *side.dst, err = slots(s.native, side.kind); err != nil {
			return fmt.Errorf("inputs and outputs: %w", err)
		}
		for _, info := range *side.dst {
			if side.kind != C.OPT_OUTPUT {
				s.byName[info.Name] = info
			}
			if s.names[info.Name] == nil {
				s.names[info.Name] = C.CString(info.Name)
			}
		}
	}
	return nil
}

// Inputs describes the inputs that a run needs, in the model's order.
func (s *Session) Inputs() []Info { return slices.Clone(s.inputs) }

// Overridable describes the inputs that have a value in the model and may be
// left out.
func (s *Session) Overridable() []Info { return slices.Clone(s.overridable) }

// Outputs describes the outputs, in the model's order.
func (s *Session) Outputs() []Info { return slices.Clone(s.outputs) }

// Run runs the model and returns all outputs, in memory of their own.
func (s *Session) Run(in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	return s.RunContext(context.Background(), in, nil)
}

// RunContext runs the model for the named outputs (nil: all); nodes that only
// others need may be skipped. When ctx ends, the run stops after the node it is
// at and the error is ctx's.
func (s *Session) RunContext(ctx context.Context, in map[string]tensor.Tensor, names []string) (map[string]tensor.Tensor, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	names, results, err := s.run(ctx, in, names)
	if err != nil {
		return nil, err
	}
	defer releaseAll(results)
	return readAll(names, results)
}

// run runs the model and returns the values of the named outputs, or of all.
// The caller holds life and releases the values.
func (s *Session) run(ctx context.Context, in map[string]tensor.Tensor, names []string) ([]string, []value, error) {
	if s.native == nil {
		return nil, nil, ErrClosed
	}
	if names == nil {
		for _, o := range s.outputs {
			names = append(names, o.Name)
		}
	}
	cOut, err := s.outputNames(names)
	if err != nil {
		return nil, nil, err
	}
	if err := s.checkInputs(in); err != nil {
		return nil, nil, err
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	var cIn []*C.char
	var values []value
	defer func() { releaseAll(values) }()
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v, err := newValue(aligned(in[name]), &pins)
		if err != nil {
			return nil, nil, fmt.Errorf("input %q: %w", name, err)
		}
		values = append(values, v)
		cIn = append(cIn, s.names[name])
	}
	results := make([]value, len(names))
	err = withRunOptions(ctx, func(o *C.OrtRunOptions) error {
		return check(C.opt_run(s.native, o, unsafe.SliceData(cIn), unsafe.SliceData(values), C.size_t(len(values)),
			unsafe.SliceData(cOut), unsafe.SliceData(results), C.size_t(len(results))))
	})
	if err != nil {
		releaseAll(results)
		return nil, nil, fmt.Errorf("run: %w", err)
	}
	return names, results, nil
}

// readAll copies the results of a run.
func readAll(names []string, results []value) (map[string]tensor.Tensor, error) {
	out := make(map[string]tensor.Tensor, len(names))
	for i, name := range names {
		t, err := readValue(results[i])
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
		// What has been read is not needed twice.
		releaseValue(results[i])
		results[i] = nil
		out[name] = t
	}
	return out, nil
}

func releaseAll(values []value) {
	for i, v := range values {
		releaseValue(v)
		values[i] = nil
	}
}

// outputNames returns the C strings of the named outputs.
func (s *Session) outputNames(names []string) ([]*C.char, error) {
	if len(names) == 0 {
		return nil, errors.New("no outputs to compute")
	}
	out := make([]*C.char, len(names))
	for i, name := range names {
		if !slices.ContainsFunc(s.outputs, func(o Info) bool { return o.Name == name }) {
			return nil, fmt.Errorf("no output %q (the model has %s)", name, namesOf(s.outputs))
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("output %q is asked for twice", name)
		}
		out[i] = s.names[name]
	}
	return out, nil
}

// checkInputs compares what is given with what the model wants.
func (s *Session) checkInputs(in map[string]tensor.Tensor) error {
	for _, info := range s.inputs {
		if _, ok := in[info.Name]; !ok {
			return fmt.Errorf("input %q is missing (%s)", info.Name, info)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		info, ok := s.byName[name]
		if !ok {
			return fmt.Errorf("no input %q (the model has %s)", name, namesOf(s.inputs))
		}
		if err := info.accepts(in[name]); err != nil {
			return fmt.Errorf("input %q: %w", name, err)
		}
	}
	return nil
}

func namesOf(list []Info) string {
	names := make([]string, len(list))
	for i, info := range list {
		names[i] = fmt.Sprintf("%q", info.Name)
	}
	return strings.Join(names, ", ")
}

// EndProfiling completes the profile that Options.ProfilePrefix asked for, and
// returns the name of its file, which ends in a time stamp. Later runs are not
// profiled.
func (s *Session) EndProfiling() (string, error) {
	s.life.Lock()
	defer s.life.Unlock()
	if s.native == nil {
		return "", ErrClosed
	}
	if !s.profiling {
		return "", errors.New("the session is not being profiled")
	}
	s.profiling = false
	var file *C.char
	if err := check(C.opt_end_profiling(s.native, &file)); err != nil {
		return "", fmt.Errorf("end profiling: %w", err)
	}
	defer C.opt_free(unsafe.Pointer(file))
	return C.GoString(file), nil
}

// Close closes the session and its bindings, after the runs under way. It may
// be called more than once. A profile is complete after it.
func (s *Session) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.native == nil {
		return nil
	}
	s.mu.Lock()
	for b := range s.bindings {
		b.release()
	}
	s.bindings = nil
	s.mu.Unlock()
	s.native = nil
	err := s.owner.Destroy()
	for _, p := range s.names {
		C.free(unsafe.Pointer(p))
	}
	s.names = nil
	s.rt.mu.Lock()
	delete(s.rt.sessions, s)
	s.rt.mu.Unlock()
	return wrapNative(err)
}
