//go:build cgo && trt

package trt

/*
#cgo CXXFLAGS: -std=c++17 -Wall -Wno-deprecated-declarations
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/cgo"
	"slices"
	"sync"
	"unsafe"
)

// Built reports whether this program can use TensorRT at all.
const Built = true

// library is the open library. The process has one: what dlopen opened stays.
type library struct{ info Info }

// Open opens the libraries in a folder; empty: where the system's loader finds them.
func Open(dir string) (Lib, error) {
	var arena arena
	defer arena.free()
	var text *C.char
	var path *C.char
	if dir != "" {
		path = arena.string(dir)
	}
	if C.otrt_open(path, &text) != C.OTRT_OK {
		return nil, fmt.Errorf("%w: %s", ErrUnavailable, taken(text))
	}
	info := Info{Flavour: Enterprise, Headers: formatVersion(int(C.otrt_headers())), Library: formatVersion(int(C.otrt_library())), Path: C.GoString(C.otrt_path())}
	if C.otrt_is_rtx() != 0 {
		info.Flavour = RTX
	}
	return &library{info}, nil
}

// Flavour returns the flavour that this program was built for.
func Flavour() string {
	if C.otrt_is_rtx() != 0 {
		return RTX
	}
	return Enterprise
}

func (l *library) Info() Info   { return l.info }
func (l *library) Close() error { return nil }

// call is a build that the library reports to.
type call struct {
	ctx context.Context
	log Logger
	mu  sync.Mutex
}

//export optimTrtLog
func optimTrtLog(handle C.uintptr_t, severity C.int32_t, text *C.char) {
	c := cgo.Handle(handle).Value().(*call)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log.Log != nil {
		c.log.Log(Severity(severity), C.GoString(text))
	}
}

//export optimTrtProgress
func optimTrtProgress(handle C.uintptr_t, phase *C.char, done, total C.int32_t) C.int32_t {
	c := cgo.Handle(handle).Value().(*call)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log.Progress != nil {
		c.log.Progress(C.GoString(phase), int(done), int(total))
	}
	if c.ctx.Err() != nil {
		return 0
	}
	return 1
}

func (l *library) Build(ctx context.Context, model string, o *BuildOptions, log Logger) (*Plan, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var arena arena
	defer arena.free()
	handle := cgo.NewHandle(&call{ctx: ctx, log: log})
	defer handle.Delete()
	var r C.otrt_result
	var text *C.char
	status := C.otrt_build(arena.string(model), arena.options(o), C.uintptr_t(handle), &r, &text)
	switch status {
	case C.OTRT_OK:
	case C.OTRT_CANCELED:
		return nil, fmt.Errorf("%w: %w", ErrCanceled, ctx.Err())
	case C.OTRT_NOT_PARSED:
		return nil, parseError(taken(text))
	default:
		return nil, errors.New(taken(text))
	}
	p := &Plan{Data: unsafe.Slice((*byte)(r.plan), int(r.size)), Free: func() { C.otrt_free_result(&r) }}
	if r.cache != nil {
		p.TimingCache = C.GoBytes(r.cache, C.int(r.cache_size))
	}
	if err := json.Unmarshal([]byte(C.GoString(r.network)), &p.Network); err != nil {
		p.Close()
		return nil, fmt.Errorf("the shim's description of the network: %w", err)
	}
	return p, nil
}

// parseError reads the parser's list of nodes.
func parseError(text string) error {
	e := &ParseError{}
	if err := json.Unmarshal([]byte(text), &e.Nodes); err != nil {
		return fmt.Errorf("the model did not parse: %s", text)
	}
	return e
}

// formatVersion writes M·10000 + m·100 + p as M.m.p.
func formatVersion(v int) string { return fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100) }

// taken copies a text of the shim and frees it.
func taken(text *C.char) string {
	defer C.otrt_free(unsafe.Pointer(text))
	return C.GoString(text)
}

// said adds what the library reported to what failed.
func said(what string) error {
	if s := taken(C.otrt_said()); s != "" {
		return fmt.Errorf("%s: %s", what, s)
	}
	return errors.New(what)
}

// arena is C memory that lives as long as a call.
type arena []unsafe.Pointer

func (a *arena) free() {
	for _, p := range *a {
		C.free(p)
	}
}

func (a *arena) alloc(bytes uintptr) unsafe.Pointer {
	p := C.calloc(1, C.size_t(max(bytes, 1)))
	*a = append(*a, p)
	return p
}

func (a *arena) string(s string) *C.char {
	p := C.CString(s)
	*a = append(*a, unsafe.Pointer(p))
	return p
}

// array copies values of Go into C memory.
func array[C, G any](a *arena, list []G, convert func(G) C) *C {
	var zero C
	p := (*C)(a.alloc(unsafe.Sizeof(zero) * uintptr(len(list))))
	out := unsafe.Slice(p, len(list))
	for i, v := range list {
		out[i] = convert(v)
	}
	return p
}

func (a *arena) sizes(v []int64) *C.int64_t {
	return array(a, v, func(x int64) C.int64_t { return C.int64_t(x) })
}

// options copies the options into C memory.
func (a *arena) options(o *BuildOptions) *C.otrt_options {
	c := (*C.otrt_options)(a.alloc(unsafe.Sizeof(C.otrt_options{})))
	c.workspace, c.opt_level = C.uint64_t(o.Workspace), C.int32_t(o.OptLevel)
	for _, f := range []struct {
		on  bool
		bit C.int32_t
	}{{o.NoTF32, C.OTRT_NO_TF32}, {o.VersionCompatible, C.OTRT_VERSION_COMPATIBLE}, {o.Refit, C.OTRT_REFIT}, {o.Detailed, C.OTRT_DETAILED}} {
		if f.on {
			c.flags |= f.bit
		}
	}
	switch o.HWCompat {
	case "ampere+":
		c.hw_compat = 1
	case "same-cc":
		c.hw_compat = 2
	}
	c.n_capabilities, c.capabilities = C.int32_t(len(o.Capabilities)), array(a, o.Capabilities, func(x int) C.int32_t { return C.int32_t(x) })
	c.n_plugins, c.plugins = C.int32_t(len(o.Plugins)), array(a, o.Plugins, a.string)
	var ranges []C.otrt_range
	for i, p := range o.Profiles {
		for _, name := range slices.Sorted(maps.Keys(p)) {
			r := p[name]
			var one C.otrt_range
			one.input, one.profile, one.n = a.string(name), C.int32_t(i), C.int32_t(len(r.Min))
			if r.Values {
				one.values = 1
			}
			one.min, one.opt, one.max = a.sizes(r.Min), a.sizes(r.Opt), a.sizes(r.Max)
			ranges = append(ranges, one)
		}
	}
	c.n_profiles, c.n_ranges = C.int32_t(len(o.Profiles)), C.int32_t(len(ranges))
	c.ranges = array(a, ranges, func(r C.otrt_range) C.otrt_range { return r })
	if o.TimingCache != nil {
		p := array(a, o.TimingCache, func(b byte) byte { return b })
		c.timing_cache, c.timing_cache_size = unsafe.Pointer(p), C.size_t(len(o.TimingCache))
	}
	return c
}
