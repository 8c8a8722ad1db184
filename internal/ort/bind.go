package ort

// #include "native.h"
import "C"

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"optim/internal/tensor"
)

// Binding is a session with fixed tensors: Run reads the input tensors' memory
// as it is then and writes into that of the output tensors, without copies.
// It is used by one goroutine at a time.
type Binding struct {
	s       *Session
	native  *C.OrtIoBinding
	values  []value
	outputs []string // in the order in which they were bound
	keep    []tensor.Tensor
	pins    runtime.Pinner
	mu      sync.Mutex // guards native against Close during Run
}

// Bind fixes inputs and outputs. The memory of the tensors is used until Close,
// and must not be freed or unmapped before; strings alone are copied now. An
// output given as the zero Tensor is allocated anew in each run; Output returns
// a copy of it. Outputs that are not named are not computed; with out nil, all are,
// and allocated.
func (s *Session) Bind(in, out map[string]tensor.Tensor) (*Binding, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.native == nil {
		return nil, ErrClosed
	}
	if err := s.checkInputs(in); err != nil {
		return nil, err
	}
	if out == nil {
		out = map[string]tensor.Tensor{}
		for _, o := range s.outputs {
			out[o.Name] = tensor.Tensor{}
		}
	}
	names := slices.Sorted(maps.Keys(out))
	if _, err := s.outputNames(names); err != nil {
		return nil, err
	}
	b := &Binding{s: s, outputs: names}
	if err := check(C.opt_binding(s.native, &b.native)); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := b.bindAll(in, out); err != nil {
		b.release()
		return nil, err
	}
	s.mu.Lock()
	s.bindings[b] = struct{}{}
	s.mu.Unlock()
	return b, nil
}

func (b *Binding) bindAll(in, out map[string]tensor.Tensor) error {
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v, err := b.share(in[name])
		if err == nil {
			err = check(C.opt_bind_input(b.native, b.s.names[name], v))
		}
		if err != nil {
			return fmt.Errorf("bind input %q: %w", name, err)
		}
	}
	for _, name := range b.outputs {
		t := out[name]
		var v value
		var err error
		switch {
		case t.DType == tensor.String:
			err = fmt.Errorf("memory for strings cannot be given")
		case t.DType != tensor.Undefined:
			if err = b.fits(name, t); err == nil {
				v, err = b.share(t)
			}
		}
		if err == nil {
			err = check(C.opt_bind_output(b.native, b.s.names[name], v))
		}
		if err != nil {
			return fmt.Errorf("bind output %q: %w", name, err)
		}
	}
	return nil
}

// fits compares a tensor with the output that it is bound to.
func (b *Binding) fits(name string, t tensor.Tensor) error {
	i := slices.IndexFunc(b.s.outputs, func(o Info) bool { return o.Name == name })
	info := b.s.outputs[i]
	if t.DType != info.DType {
		return fmt.Errorf("element type %s, but the model gives %s", t.DType, info)
	}
	return nil
}

// share makes a value over t's memory, which stays where it is until release.
func (b *Binding) share(t tensor.Tensor) (value, error) {
	if a := aligned(t); len(t.Data) > 0 && &a.Data[0] != &t.Data[0] {
		return nil, fmt.Errorf("data is not aligned to its element type")
	}
	v, err := newValue(t, &b.pins)
	if err != nil {
		return nil, err
	}
	b.keep = append(b.keep, t)
	b.values = append(b.values, v)
	return v, nil
}

// Run runs the model over the bound tensors.
func (b *Binding) Run() error { return b.RunContext(context.Background()) }

// RunContext is Run that stops, after the node it is at, when ctx ends.
func (b *Binding) RunContext(ctx context.Context) error {
	b.s.life.RLock()
	defer b.s.life.RUnlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.native == nil {
		return ErrClosed
	}
	err := withRunOptions(ctx, func(o *C.OrtRunOptions) error {
		return check(C.opt_run_binding(b.s.native, o, b.native))
	})
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// Output returns a copy of an output of the last run, by its name.
func (b *Binding) Output(name string) (tensor.Tensor, error) {
	b.s.life.RLock()
	defer b.s.life.RUnlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.native == nil {
		return tensor.Tensor{}, ErrClosed
	}
	i := slices.Index(b.outputs, name)
	if i < 0 {
		return tensor.Tensor{}, fmt.Errorf("output %q is not bound", name)
	}
	var list **C.OrtValue
	var n C.size_t
	if err := check(C.opt_bound_outputs(b.native, &list, &n)); err != nil {
		return tensor.Tensor{}, fmt.Errorf("output %q: %w", name, err)
	}
	values := unsafe.Slice(list, int(n))
	defer C.opt_free(unsafe.Pointer(list))
	defer releaseAll(values)
	if i >= len(values) {
		return tensor.Tensor{}, fmt.Errorf("output %q: the model has not run yet", name)
	}
	t, err := readValue(values[i])
	if err != nil {
		return tensor.Tensor{}, fmt.Errorf("output %q: %w", name, err)
	}
	return t, nil
}

// Close gives the tensors' memory back to its owners. It may be called more
// than once, and after the session's Close.
func (b *Binding) Close() {
	b.s.mu.Lock()
	delete(b.s.bindings, b)
	b.s.mu.Unlock()
	b.release()
}

func (b *Binding) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.native == nil {
		return
	}
	C.opt_release_binding(b.native)
	b.native = nil
	releaseAll(b.values)
	b.values, b.keep = nil, nil
	b.pins.Unpin()
}
