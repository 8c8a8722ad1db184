package ort

// #cgo CFLAGS: -I${SRCDIR}/include
// #cgo linux LDFLAGS: -ldl
// #include "native.h"
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"unsafe"
)

// libHandle is what dlopen returned.
type libHandle unsafe.Pointer

// probe loads the library with the given path or loader name and checks that it
// is ONNX Runtime with a C API that this program can use. A name that the
// loader does not know is fs.ErrNotExist.
func probe(path string) (opened, error) {
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	var handle unsafe.Pointer
	var cVersion, text *C.char
	rc := C.opt_probe(cPath, &handle, &cVersion, &text)
	msg := C.GoString(text)
	C.free(unsafe.Pointer(text))
	switch {
	case rc == 1 && !filepath.IsAbs(path) && strings.Contains(msg, "No such file"):
		return opened{}, fs.ErrNotExist
	case rc == 1:
		return opened{}, fmt.Errorf("%s", clean(strings.TrimPrefix(msg, path+": ")))
	case rc == 2:
		return opened{}, fmt.Errorf("not onnx runtime: it has no OrtGetApiBase")
	}
	version := C.GoString(cVersion)
	api, err := apiVersion(version)
	if err == nil && api < C.ORT_API_VERSION {
		err = fmt.Errorf("version %s is too old, 1.%d or newer is needed", version, int(C.ORT_API_VERSION))
	}
	if err != nil {
		C.opt_close(handle)
		return opened{}, err
	}
	if filepath.IsAbs(msg) {
		path = msg
	}
	return opened{path: path, version: version, handle: libHandle(handle), cleanup: func() {}}, nil
}

// useAPI directs all further native calls to the library.
func useAPI(h libHandle) error {
	if C.opt_use(unsafe.Pointer(h)) != 0 {
		return fmt.Errorf("it does not offer version %d of the c api", int(C.ORT_API_VERSION))
	}
	return nil
}

// check turns a status into an error and releases it.
func check(s *C.OrtStatus) error {
	if s == nil {
		return nil
	}
	err := errors.New(clean(C.GoString(C.opt_message(s))))
	C.opt_release_status(s)
	return err
}

// availableProviders lists the library's providers under our names.
func availableProviders() ([]string, error) {
	var names **C.char
	var n C.int
	if err := check(C.opt_providers(&names, &n)); err != nil {
		return nil, fmt.Errorf("list of providers: %w", err)
	}
	defer C.opt_release_providers(names, n)
	out := make([]string, 0, int(n))
	for _, p := range unsafe.Slice(names, int(n)) {
		out = append(out, shortProvider(C.GoString(p)))
	}
	return out, nil
}

// registerOps adds a library of custom operators to session options. A file of
// the working folder goes before one of that name on the loader's path, which
// alone would be searched for a name without a slash.
func registerOps(options unsafe.Pointer, library string) error {
	if path, err := filepath.Abs(library); err == nil {
		if _, err := os.Stat(path); err == nil {
			library = path
		}
	}
	cPath := C.CString(library)
	defer C.free(unsafe.Pointer(cPath))
	return check(C.opt_custom_ops(options, cPath))
}

// pointerIn returns the C pointer that a struct of onnxruntime_go keeps in an
// unexported field. The module is pinned to one version, and the tests would
// fail at once if a new one named its fields otherwise.
func pointerIn(structure any, field string) unsafe.Pointer {
	f := reflect.ValueOf(structure).Elem().FieldByName(field)
	if !f.IsValid() || f.Kind() != reflect.Pointer {
		panic("ort: onnxruntime_go has no field " + field)
	}
	return f.UnsafePointer()
}

// pointerTo returns the struct that a struct of onnxruntime_go points to in an
// unexported field, for a further pointerIn.
func pointerTo(structure any, field string) any {
	f := reflect.ValueOf(structure).Elem().FieldByName(field)
	if !f.IsValid() || f.Kind() != reflect.Pointer {
		panic("ort: onnxruntime_go has no field " + field)
	}
	return reflect.NewAt(f.Type().Elem(), f.UnsafePointer()).Interface()
}
