package ort

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"optim/internal/ort/embedded"
)

// LibraryEnv is the environment variable that names the library.
const LibraryEnv = "OPTIM_ORT_LIB"

// Where a library that nobody named was found.
const (
	SourceBeside   = "beside the binary"
	SourceSystem   = "on the system's loader path"
	SourceEmbedded = "built in, unpacked when needed"
)

// opened is a library that was loaded and found fit.
type opened struct {
	path    string
	version string
	source  string
	handle  libHandle
	cleanup func() // removes what need not stay once the library is loaded
}

// explicit returns the library that the user named, and by which means.
func explicit(c Config) (path, from string) {
	if c.Library != "" {
		return c.Library, "--ort-lib"
	}
	if v := os.Getenv(LibraryEnv); v != "" {
		return v, LibraryEnv
	}
	return "", ""
}

// find opens the first fit library. One that the user named is the only
// candidate; otherwise the places are tried in turn, and the error tells of all.
func find(c Config) (opened, error) {
	if path, from := explicit(c); path != "" {
		lib, err := openLibrary(path)
		if err != nil {
			return opened{}, fmt.Errorf("%w: %s %q: %w", ErrLibrary, from, path, err)
		}
		lib.source = from
		return lib, nil
	}
	var tried []string
	for _, path := range besideBinary() {
		lib, err := openLibrary(path)
		if err == nil {
			lib.source = SourceBeside
			return lib, nil
		}
		tried = append(tried, fmt.Sprintf("%q: %v", path, err))
	}
	for _, name := range systemNames() {
		lib, err := probe(name)
		if err == nil {
			lib.source = SourceSystem
			return lib, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			tried = append(tried, fmt.Sprintf("%q: %v", name, err))
		}
	}
	if embedded.Present() {
		lib, err := openEmbedded(c.CacheDir)
		if err == nil {
			lib.source = SourceEmbedded
			return lib, nil
		}
		tried = append(tried, err.Error())
	}
	if len(tried) == 0 {
		return opened{}, fmt.Errorf("%w: no library beside the binary, none on the system's loader path, none built in", ErrLibrary)
	}
	return opened{}, fmt.Errorf("%w: %s", ErrLibrary, strings.Join(tried, "; "))
}

// systemNames are the names the system's loader is asked for.
func systemNames() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libonnxruntime.1.dylib", "libonnxruntime.dylib"}
	}
	return []string{"libonnxruntime.so.1", "libonnxruntime.so"}
}

// besideBinary lists the libraries in lib/ next to the running binary, in the
// binary's own folder, and, where that is named bin, in ../lib. A binary in a
// folder of another name, say one in /tmp, must not trust its folder's
// neighbours.
func besideBinary() []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	dir := filepath.Dir(exe)
	places := []string{filepath.Join(dir, "lib"), dir}
	if filepath.Base(dir) == "bin" {
		places = append(places, filepath.Join(filepath.Dir(dir), "lib"))
	}
	var out []string
	for _, d := range places {
		out = append(out, librariesIn(d)...)
	}
	return out
}

// librariesIn lists the files in dir that are named like the library, the ones
// with the plain names of the loader first, then the newest version.
func librariesIn(dir string) []string {
	var out []string
	for _, name := range systemNames() {
		if regular(filepath.Join(dir, name)) == nil {
			out = append(out, filepath.Join(dir, name))
		}
	}
	pattern := "libonnxruntime.so.*"
	if runtime.GOOS == "darwin" {
		pattern = "libonnxruntime.*.dylib"
	}
	// The pattern is a constant; a folder with a bracket in its name only makes
	// the glob find nothing.
	more, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return out
	}
	slices.Sort(more)
	slices.Reverse(more)
	for _, path := range more {
		if regular(path) == nil && !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}

// openLibrary checks the file at path, so that the common mistakes get a clear
// message, and loads it.
func openLibrary(path string) (opened, error) {
	if err := regular(path); err != nil {
		return opened{}, err
	}
	if runtime.GOOS == "linux" {
		if err := checkELF(path); err != nil {
			return opened{}, err
		}
	}
	// An absolute path: the loader searches its own folders for a bare name.
	abs, err := filepath.Abs(path)
	if err != nil {
		return opened{}, err
	}
	return probe(abs)
}

// regular returns an error unless path is a regular file.
func regular(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			return pe.Err
		}
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	return nil
}

// machines gives the ELF machine of each architecture that ONNX Runtime has.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkELF returns an error unless the file is a shared library for this
// architecture.
func checkELF(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return errors.New("not a shared library")
	}
	defer f.Close()
	if f.Type != elf.ET_DYN {
		return errors.New("not a shared library")
	}
	if want, ok := machines[runtime.GOARCH]; ok && f.Machine != want {
		return fmt.Errorf("built for %s, this program for %s", f.Machine, want)
	}
	return nil
}
