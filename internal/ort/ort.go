package ort

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"
)

// Config says where the library is to be looked for.
type Config struct {
	Library  string // file named by the user; empty: search
	CacheDir string // where an embedded library is unpacked; empty: the user's cache folder
	Verbose  bool   // let ONNX Runtime write its warnings to standard error
}

// Runtime is the loaded library. There is one per process, as ONNX Runtime has
// one environment per process; its methods may be called concurrently.
type Runtime struct {
	version   string
	library   string
	source    string
	providers []string

	mu       sync.Mutex
	sessions map[*Session]struct{}

	tries struct { // what Usable found
		sync.Mutex
		found map[string]error
	}
}

// process holds the one Runtime. The library is never unloaded: its threads
// and the providers' static state do not survive that.
var process struct {
	sync.Mutex
	rt *Runtime
}

// Load finds the library and loads it. The first call decides which one; later
// calls return the same Runtime, and fail when they name another file. Errors
// satisfy errors.Is(err, ErrLibrary).
func Load(c Config) (*Runtime, error) {
	process.Lock()
	defer process.Unlock()
	named, from := explicit(c)
	if rt := process.rt; rt != nil {
		if named != "" && !sameFile(named, rt.library) {
			return nil, fmt.Errorf("%w: %s %q: this process already uses %q", ErrLibrary, from, named, rt.library)
		}
		return rt, nil
	}
	if err := silence(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLibrary, err)
	}
	lib, err := find(c)
	if err != nil {
		return nil, err
	}
	defer lib.cleanup()
	rt, err := start(lib, c.Verbose)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrLibrary, lib.path, err)
	}
	process.rt = rt
	return rt, nil
}

// telemetryOff are the variables that stop ONNX Runtime from reporting its use.
// Official builds since 1.29 do so by default, on Linux and macOS too: they
// write a device id and a database below the user's cache folder and logs into
// the temporary one, and send what they gather to their makers. The C API's
// DisableTelemetryEvents comes too late for all of that; a variable that is set
// before the environment is made does not (microsoft/onnxruntime#27379, #29843).
var telemetryOff = []string{"ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"}

// silence keeps the library from reporting anything to anybody. With cgo, the
// C side sees what os.Setenv sets.
func silence() error {
	for _, name := range telemetryOff {
		if err := os.Setenv(name, "1"); err != nil {
			return err
		}
	}
	return nil
}

// start makes the environment of an opened library.
func start(lib opened, verbose bool) (*Runtime, error) {
	level := onnx.WithLogLevelFatal()
	if verbose {
		level = onnx.WithLogLevelWarning()
	}
	onnx.SetSharedLibraryPath(lib.path)
	if err := onnx.InitializeEnvironment(level); err != nil {
		return nil, wrapNative(err)
	}
	if err := useAPI(lib.handle); err != nil {
		return nil, err
	}
	// For builds that do not know the variables of silence.
	if err := onnx.DisableTelemetry(); err != nil {
		return nil, wrapNative(err)
	}
	providers, err := availableProviders()
	if err != nil {
		return nil, err
	}
	rt := &Runtime{
		version:   lib.version,
		library:   lib.path,
		source:    lib.source,
		providers: presentProviders(providers, filepath.Dir(lib.path)),
		sessions:  map[*Session]struct{}{},
	}
	rt.tries.found = map[string]error{}
	return rt, nil
}

// Version returns the library's version, "1.30.0" for example.
func (r *Runtime) Version() string { return r.version }

// Library returns the path of the loaded library.
func (r *Runtime) Library() string { return r.library }

// Source tells how the library was found: "--ort-lib" or OPTIM_ORT_LIB where the
// user named it, else one of the constants Source….
func (r *Runtime) Source() string { return r.source }

// Providers returns the execution providers that the library has, by the names
// that Options takes ("cpu", "cuda", "tensorrt"), in the library's order of
// preference. That a provider is listed does not mean that its device or driver
// is there.
func (r *Runtime) Providers() []string { return slices.Clone(r.providers) }

// Close closes the sessions that are still open. The library stays loaded, and
// a later Load returns the same Runtime.
func (r *Runtime) Close() error {
	r.mu.Lock()
	open := make([]*Session, 0, len(r.sessions))
	for s := range r.sessions {
		open = append(open, s)
	}
	r.mu.Unlock()
	var first error
	for _, s := range open {
		if err := s.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// apiVersion reads the number of the C API that a release has: 30 of "1.30.0".
func apiVersion(version string) (int, error) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 || parts[0] != "1" {
		return 0, fmt.Errorf("unknown version %q", version)
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, fmt.Errorf("unknown version %q", version)
	}
	return n, nil
}

// sameFile reports whether two paths name one file.
func sameFile(a, b string) bool {
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	if errA != nil || errB != nil {
		return filepath.Clean(a) == filepath.Clean(b)
	}
	return os.SameFile(ia, ib)
}
