package ort

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
)

// relu is the smallest model that a provider can be tried with: y = Relu(x),
// float[1], IR version 8, opset 13, as protobuf.
const relu = "\x08\x08\x3a\x33\x0a\x0c\x0a\x01x\x12\x01y\x22\x04Relu\x12\x01g" +
	"\x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01" +
	"\x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x42\x02\x10\x0d"

// Usable tries a provider of the library with a tiny model: it returns nil, or
// ErrProvider with the reason, where a library, a driver or a device is not there.
// Providers within the main library are taken to work.
func (r *Runtime) Usable(name string) error {
	if !slices.Contains(r.providers, name) {
		return r.lacks(name)
	}
	if !slices.Contains(pluggedIn, name) {
		return nil
	}
	r.tries.Lock()
	defer r.tries.Unlock()
	err, tried := r.tries.found[name]
	if !tried {
		var s *Session
		if s, err = r.openOnce(Options{Providers: []string{name}}, fromBytes([]byte(relu))); err == nil {
			err = s.Close()
		}
		if err != nil && !errors.Is(err, ErrProvider) {
			err = fmt.Errorf("%w: %q: %w", ErrProvider, name, err)
		}
		r.tries.found[name] = err
	}
	return err
}

// blame makes ErrProvider of the error of a session where not the model is to
// blame but a provider that it was to run on.
func (r *Runtime) blame(err error, providers []string) error {
	for _, name := range providers {
		if broken := r.Usable(name); broken != nil {
			return broken
		}
	}
	return err
}

// pluginFile is the library of a provider that lies beside the main one.
func (r *Runtime) pluginFile(name string) string { return pluginFile(filepath.Dir(r.library), name) }

func pluginFile(dir, name string) string {
	end := ".so"
	if runtime.GOOS == "darwin" {
		end = ".dylib"
	}
	return filepath.Join(dir, "libonnxruntime_providers_"+name+end)
}

// missingPart names the first library that a provider's own needs and the
// loader does not find; empty if there is none. ONNX Runtime says no more than
// that the provider does not load.
func (r *Runtime) missingPart(name string) string {
	f, err := elf.Open(r.pluginFile(name))
	if err != nil {
		return "" // not a file of this system's kind: nothing to add
	}
	defer f.Close()
	parts, err := f.ImportedLibraries()
	if err != nil {
		return ""
	}
	for _, part := range parts {
		if regular(filepath.Join(filepath.Dir(r.library), part)) == nil {
			continue
		}
		if _, err := probe(part); errors.Is(err, fs.ErrNotExist) {
			return part
		}
	}
	return ""
}
