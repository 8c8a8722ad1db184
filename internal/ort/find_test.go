package ort

import (
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"optim/internal/ort/embedded"
)

// realLibrary is what `make lib` fetched, or what the environment names.
func realLibrary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(LibraryEnv); path != "" {
		return path
	}
	found, err := filepath.Glob("../../lib/libonnxruntime*")
	if err != nil || len(found) == 0 {
		t.Fatalf("no library in lib (%v): run `make lib` first", err)
	}
	abs, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// compile makes a shared library of C source.
func compile(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	src, lib := filepath.Join(dir, "x.c"), filepath.Join(dir, "x.so")
	if err := os.WriteFile(src, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", lib, src).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return lib
}

// fakeRuntime is a library that says it is the given version of ONNX Runtime.
func fakeRuntime(t *testing.T, version string) string {
	return compile(t, `
		static const char *v(void) { return "`+version+`"; }
		static const void *a(unsigned n) { return 0; }
		struct base { const void *(*api)(unsigned); const char *(*version)(void); };
		static const struct base b = { a, v };
		const struct base *OrtGetApiBase(void) { return &b; }`)
}

func TestNamedLibraryThatDoesNotLoad(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, path, want string }{
		{"absent", filepath.Join(dir, "absent.so"), "no such file"},
		{"folder", dir, "not a regular file"},
		{"text", text, "not a shared library"},
		{"program", os.Args[0], "not "},
		{"other machine", otherMachine(t), "built for"},
		{"torn", torn(t), ""},
		{"other library", compile(t, "int x;"), "not onnx runtime"},
		{"old", fakeRuntime(t, "1.16.3"), "version 1.16.3 is too old, 1.24 or newer is needed"},
		{"odd", fakeRuntime(t, "two"), `unknown version "two"`},
	} {
		t.Setenv(LibraryEnv, "")
		_, err := find(Config{Library: c.path})
		if !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--ort-lib") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		t.Setenv(LibraryEnv, c.path)
		if _, err = find(Config{}); !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), LibraryEnv) {
			t.Errorf("%s by environment: %v", c.name, err)
		}
	}
}

// otherMachine is a library for an architecture that is not this one.
func otherMachine(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(compile(t, "int x;"))
	if err != nil {
		t.Fatal(err)
	}
	raw[18], raw[19] = byte(elf.EM_RISCV), 0
	path := filepath.Join(t.TempDir(), "riscv.so")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// torn is the first half of a library, as a broken download leaves it.
func torn(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(compile(t, "int x;"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "torn.so")
	if err := os.WriteFile(path, raw[:len(raw)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNamedLibraryWins: the flag goes before the environment.
func TestNamedLibraryWins(t *testing.T) {
	lib := realLibrary(t)
	t.Setenv(LibraryEnv, filepath.Join(t.TempDir(), "absent.so"))
	got, err := find(Config{Library: lib})
	if err != nil || !sameFile(got.path, lib) || got.version == "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestBesideBinary runs a copy of this test beside copies of the library.
func TestBesideBinary(t *testing.T) {
	if os.Getenv("ORT_TEST_FIND") != "" {
		lib, err := find(Config{})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("found " + lib.path + " found\n")
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("names of the library are linux's")
	}
	real := realLibrary(t)
	for _, place := range []string{"bin/lib/libonnxruntime.so.1", "bin/libonnxruntime.so", "lib/libonnxruntime.so.1.30.0"} {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		exe := filepath.Join(dir, "bin", "test")
		place = filepath.Join(dir, place)
		link(t, os.Args[0], exe)
		link(t, real, place)
		// A library that does not load, further up in the order, is passed by.
		bad := filepath.Join(dir, "bin", "lib", "libonnxruntime.so")
		if err := os.MkdirAll(filepath.Dir(bad), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(bad, []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run", "^TestBesideBinary$")
		cmd.Env = append(os.Environ(), "ORT_TEST_FIND=1", LibraryEnv+"=")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "found "+place+" found") {
			t.Errorf("%s: %v\n%s", place, err, out)
		}
	}
}

// TestNeighbourIsNotTrusted has a library in ../lib of a folder not named bin.
func TestNeighbourIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "download", "test")
	link(t, os.Args[0], exe)
	link(t, realLibrary(t), filepath.Join(dir, "lib", systemNames()[0]))
	cmd := exec.Command(exe, "-test.run", "^TestBesideBinary$")
	cmd.Env = append(os.Environ(), "ORT_TEST_FIND=1", LibraryEnv+"=")
	if out, _ := cmd.CombinedOutput(); strings.Contains(string(out), "found "+dir) {
		t.Errorf("%s", out)
	}
}

// TestNothingIsReported loads the runtime in a process with an empty home and
// temporary folder, runs a model, and looks for what telemetry would leave.
func TestNothingIsReported(t *testing.T) {
	if os.Getenv("ORT_TEST_QUIET") != "" {
		rt, err := Load(Config{})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := rt.OpenBytes([]byte{8, 10}, Options{}); err == nil {
			t.Errorf("a model without a graph opened: %v", s.Inputs())
		}
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestNothingIsReported$")
	// CI would silence the library by itself.
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); name != "CI" && !strings.HasPrefix(name, "ORT_") && !strings.HasPrefix(name, "XDG_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "ORT_TEST_QUIET=1", LibraryEnv+"="+realLibrary(t), "HOME="+dir, "TMPDIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("left %s", e.Name())
	}
}

func TestPresentProviders(t *testing.T) {
	dir := t.TempDir()
	all := []string{"tensorrt", "cuda", "webgpu", "cpu"}
	if got := presentProviders(slices.Clone(all), dir); !slices.Equal(got, []string{"webgpu", "cpu"}) {
		t.Errorf("%v without their libraries", got)
	}
	name := "libonnxruntime_providers_cuda.so"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime_providers_cuda.dylib"
	}
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := presentProviders(slices.Clone(all), dir); !slices.Equal(got, all[1:]) {
		t.Errorf("%v with that of cuda", got)
	}
}

// link makes a copy of a file, a hard link where that is possible.
func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Link(from, to) == nil {
		return
	}
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}

// packed is a small library as a release build embeds it.
func packed(t *testing.T) (embedded.Info, []byte) {
	t.Helper()
	raw, err := os.ReadFile(fakeRuntime(t, "1.99.0"))
	if err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return embedded.Info{
		File: "libfake.so.1", Version: "1.99.0", SHA256: strings.Repeat("ab", 32),
		XXH3: xxh3.Hash(raw), Size: int64(len(raw)),
	}, enc.EncodeAll(raw, nil)
}

func TestEmbeddedIsCachedAndRepaired(t *testing.T) {
	info, compressed := packed(t)
	cache := filepath.Join(t.TempDir(), "new", "cache")
	lib, err := openPacked(info, compressed, cache)
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(cache, "ort-1.99.0-abababababab", "libfake.so.1")
	if lib.path != want || lib.version != "1.99.0" {
		t.Fatalf("%+v, want %s", lib, want)
	}
	before := mtime(t, want)
	if _, err := openPacked(info, compressed, cache); err != nil || mtime(t, want) != before {
		t.Errorf("a whole library was unpacked again, or %v", err)
	}
	raw, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{nil, raw[:len(raw)-1], append([]byte{1}, raw[1:]...)} {
		// A new file: the old one is mapped.
		if err := os.Remove(want); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(want, damaged, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := openPacked(info, compressed, cache); err != nil {
			t.Error(err)
		}
		if intact(want, info) != nil {
			t.Errorf("library damaged to %d bytes was not repaired", len(damaged))
		}
	}
	noLitter(t, filepath.Dir(want))
}

func mtime(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.ModTime().UnixNano()
}

func noLitter(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestEmbeddedByManyAtOnce(t *testing.T) {
	info, compressed := packed(t)
	cache := t.TempDir()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := openPacked(info, compressed, cache); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	noLitter(t, filepath.Join(cache, "ort-1.99.0-abababababab"))
}

// TestEmbeddedWithoutCache has a file where the cache folder should be.
func TestEmbeddedWithoutCache(t *testing.T) {
	info, compressed := packed(t)
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	lib, err := openPacked(info, compressed, blocked)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(lib.path, tmp) {
		t.Errorf("loaded from %s", lib.path)
	}
	lib.cleanup()
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	t.Setenv("TMPDIR", blocked)
	if _, err := openPacked(info, compressed, blocked); err == nil || !strings.Contains(err.Error(), "unpack the library") {
		t.Errorf("no place at all: %v", err)
	}
}

func TestEmbeddedDamaged(t *testing.T) {
	info, compressed := packed(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	wrong := info
	wrong.XXH3++
	short := info
	short.Size--
	for name, c := range map[string]struct {
		info embedded.Info
		data []byte
	}{"hash": {wrong, compressed}, "size": {short, compressed}, "torn": {info, compressed[:len(compressed)/2]}} {
		cache := t.TempDir()
		if _, err := openPacked(c.info, c.data, cache); err == nil {
			t.Errorf("%s: loaded", name)
		}
		noLitter(t, filepath.Join(cache, "ort-1.99.0-abababababab"))
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
