//go:build cgo && trt

package trt

/*
#include "shim.h"
*/
import "C"

import (
	"encoding/json"
	"errors"
	"fmt"
	"unsafe"

	"optim/internal/gpu"
)

// engine is a loaded plan.
type engine struct {
	p     *C.otrt_engine
	facts struct {
		Tensors []struct {
			Tensor
			IsInput  bool    `json:"input"`
			Profiles []Range `json:"profiles"`
		} `json:"tensors"`
		Profiles     int   `json:"profiles"`
		DeviceMemory int64 `json:"device_memory"`
	}
}

func (l *library) Load(plan []byte) (Engine, error) {
	if len(plan) == 0 {
		return nil, errors.New("the plan is empty")
	}
	var e engine
	var text *C.char
	switch C.otrt_load(unsafe.Pointer(&plan[0]), C.size_t(len(plan)), &e.p, &text) {
	case C.OTRT_OK:
	case C.OTRT_NO_DRIVER:
		return nil, fmt.Errorf("%w: %s", ErrDriver, taken(text))
	default:
		return nil, errors.New(taken(text))
	}
	if err := json.Unmarshal([]byte(taken(C.otrt_engine_json(e.p))), &e.facts); err != nil {
		e.Close()
		return nil, fmt.Errorf("the shim's description of the engine: %w", err)
	}
	return &e, nil
}

func (e *engine) Tensors() []Tensor {
	var out []Tensor
	for _, t := range e.facts.Tensors {
		t.Input = t.IsInput
		out = append(out, t.Tensor)
	}
	return out
}

func (e *engine) Profiles() int { return e.facts.Profiles }

func (e *engine) ProfileShape(input string, profile int) (Range, error) {
	for _, t := range e.facts.Tensors {
		if t.Name == input && profile >= 0 && profile < len(t.Profiles) {
			return t.Profiles[profile], nil
		}
	}
	return Range{}, fmt.Errorf("the engine has no input %q in profile %d", input, profile)
}

func (e *engine) DeviceMemory() int64 { return e.facts.DeviceMemory }

func (e *engine) Describe() ([]byte, error) {
	text := C.otrt_engine_layers(e.p)
	if text == nil {
		return nil, said("the inspector does not answer")
	}
	return []byte(taken(text)), nil
}

func (e *engine) Close() error {
	C.otrt_engine_free(e.p)
	e.p = nil
	return nil
}

func (e *engine) NewContext() (Context, error) {
	var c runContext
	var text *C.char
	if C.otrt_context_new(e.p, &c.p, &text) != C.OTRT_OK {
		return nil, errors.New(taken(text))
	}
	return &c, nil
}

// runContext runs an engine.
type runContext struct{ p *C.otrt_context }

func done(status C.int, what string) error {
	if status == C.OTRT_OK {
		return nil
	}
	return said(what)
}

func (c *runContext) SetProfile(i int, s gpu.Stream) error {
	return done(C.otrt_context_profile(c.p, C.int32_t(i), C.uintptr_t(s.Handle())), fmt.Sprintf("profile %d is refused", i))
}

func (c *runContext) SetInputShape(input string, shape []int64) error {
	var arena arena
	defer arena.free()
	return done(C.otrt_context_input_shape(c.p, arena.string(input), arena.sizes(shape), C.int32_t(len(shape))), fmt.Sprintf("input %q refuses the shape %s", input, FormatDims(shape)))
}

func (c *runContext) Shape(tensor string) ([]int64, error) {
	var arena arena
	defer arena.free()
	dims, n := (*C.int64_t)(arena.alloc(maxDims*8)), (*C.int32_t)(arena.alloc(4))
	if err := done(C.otrt_context_shape(c.p, arena.string(tensor), dims, n), fmt.Sprintf("tensor %q has no shape", tensor)); err != nil {
		return nil, err
	}
	var out []int64
	for _, d := range unsafe.Slice(dims, int(*n)) {
		out = append(out, int64(d))
	}
	return out, nil
}

func (c *runContext) Bind(tensor string, device uintptr) error {
	var arena arena
	defer arena.free()
	return done(C.otrt_context_bind(c.p, arena.string(tensor), C.uintptr_t(device)), fmt.Sprintf("tensor %q refuses its address", tensor))
}

func (c *runContext) Ready() error {
	if text := C.otrt_context_missing(c.p); text != nil {
		return fmt.Errorf("these have no shape or address: %s", taken(text))
	}
	return nil
}

func (c *runContext) Enqueue(s gpu.Stream) error {
	return done(C.otrt_context_enqueue(c.p, C.uintptr_t(s.Handle())), "the inference was not queued")
}

func (c *runContext) Close() error {
	C.otrt_context_free(c.p)
	c.p = nil
	return nil
}
