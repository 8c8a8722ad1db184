package ort_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

const (
	bigWidth  = 1984
	bigLayers = 20 // 315 MB of weights
)

// bigModel is a chain of products whose weights lie in a sparse file in dir.
func bigModel(t testing.TB, dir string) (model []byte, file string) {
	t.Helper()
	const size = bigWidth * bigWidth * 4
	file = filepath.Join(dir, "big.data")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size * bigLayers); err != nil {
		t.Fatal(err)
	}
	// One weight that is not zero, so that the result tells that it was read.
	one := tensor.AsBytes([]float32{1})
	for i := range bigLayers {
		if _, err := f.WriteAt(one, int64(i)*size); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g := graph{
		inputs:  []msg{valueInfo("v0", tensor.Float32, "n", bigWidth)},
		outputs: []msg{valueInfo(fmt.Sprint("v", bigLayers), tensor.Float32, "n", bigWidth)},
	}
	for i := range bigLayers {
		w := fmt.Sprint("w", i)
		g.inits = append(g.inits, external(w, tensor.Float32, tensor.Shape{bigWidth, bigWidth}, "big.data",
			strconv.Itoa(i*size), strconv.Itoa(size)))
		g.nodes = append(g.nodes, node("MatMul", "m"+w, []string{fmt.Sprint("v", i), w}, []string{fmt.Sprint("v", i+1)}))
	}
	return g.model(), file
}

func openBig(t testing.TB, dir string) (*ort.Session, string) {
	model, file := bigModel(t, dir)
	return orttest.SessionOf(t, model, ort.Options{ExternalFolder: dir, NoPrepack: true}), file
}

func runBig(t testing.TB, s *ort.Session, rows int) {
	x := matrix(rows, bigWidth, func(int) float32 { return 3 })
	out, err := s.Run(map[string]tensor.Tensor{"v0": x})
	if err != nil {
		t.Fatal(err)
	}
	y := tensor.As[float32](out[fmt.Sprint("v", bigLayers)].Data)
	if y[0] != 3 || y[1] != 0 {
		t.Fatalf("result begins %v", y[:2])
	}
}

// residentOf returns the resident bytes of the mappings of one file.
func residentOf(t *testing.T, file string) (resident int) {
	raw, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	mine := false
	for _, line := range strings.Split(string(raw), "\n") {
		if f := strings.Fields(line); len(f) >= 5 && strings.Contains(f[0], "-") {
			mine = strings.HasSuffix(line, file)
		} else if mine && len(f) == 3 && f[0] == "Rss:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			resident += n << 10
		}
	}
	return resident
}

// TestReleasePages shows that pages go and that results stay.
func TestReleasePages(t *testing.T) {
	dir := t.TempDir()
	s, file := openBig(t, dir)
	runBig(t, s, 4)
	const size = bigWidth * bigWidth * 4 * bigLayers
	if got := residentOf(t, file); got < size {
		t.Fatalf("%d bytes resident after a run, the file has %d: this test tests nothing", got, size)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if got := ort.ReleasePages(link); got < size {
		t.Errorf("%d bytes released, want at least %d", got, size)
	}
	if got := residentOf(t, file); got > size/100 {
		t.Errorf("%d bytes resident after their release", got)
	}
	runBig(t, s, 4)
}

// TestReleasePagesLeavesWrites maps a file itself and writes into the mapping.
func TestReleasePagesLeavesWrites(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	mem[5000] = 7
	if got := ort.ReleasePages(file); got != 0 || mem[5000] != 7 {
		t.Errorf("released %d bytes; the written byte is %d", got, mem[5000])
	}
	if got := ort.ReleasePages(filepath.Join(t.TempDir(), "absent")); got != 0 {
		t.Errorf("released %d bytes of no file", got)
	}
}

// TestPeakStaysLow compares the peak of two child processes that run the model,
// one of them under KeepResidentLow.
func TestPeakStaysLow(t *testing.T) {
	if mode := os.Getenv("ORT_TEST_PEAK"); mode != "" {
		peakChild(t, mode)
		return
	}
	lib := orttest.Library(t)
	peak := map[string]int{}
	// A machine that is busy with other things may not let the releaser run in
	// time: one of a few tries has to stay low.
	for _, mode := range []string{"high", "low", "low", "low", "low"} {
		if n, tried := peak[mode]; tried && n <= 200_000 {
			break
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestPeakStaysLow$", "-test.v")
		cmd.Env = append(os.Environ(), "ORT_TEST_PEAK="+mode, ort.LibraryEnv+"="+lib)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, rest, _ := bytes.Cut(out, []byte("grew by "))
		n := 0
		if _, err := fmt.Sscan(string(rest), &n); err != nil {
			t.Fatalf("no figure in %q", out)
		}
		peak[mode] = n
	}
	t.Logf("peak grew by %d kB, under KeepResidentLow by %d kB", peak["high"], peak["low"])
	if peak["high"] < 300_000 {
		t.Errorf("peak grew by only %d kB without help: this test tests nothing", peak["high"])
	}
	if peak["low"] > 200_000 {
		t.Errorf("peak grew by %d kB under KeepResidentLow", peak["low"])
	}
}

func peakChild(t *testing.T, mode string) {
	s, file := openBig(t, t.TempDir())
	before := highWater(t)
	var paths []string
	if mode == "low" {
		paths = []string{file}
	}
	err := ort.KeepResidentLow(paths, func() error {
		runBig(t, s, 128) // slow enough for several passes
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("grew by %d \n", highWater(t)-before)
}

// highWater returns VmHWM in kB.
func highWater(t *testing.T) int {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	n := 0
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
