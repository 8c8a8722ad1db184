package calibrate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"optim/internal/calibrate"
	"optim/internal/onnx"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// text is a form of observations that can be compared.
func text(t testing.TB, obs quant.Observations) string {
	t.Helper()
	var b strings.Builder
	for name, o := range obs {
		hist, err := json.Marshal(o.Hist)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %v %v %v %v %v %+v %s\n", name, o.Shape, o.Min, o.Max, o.Power, o.Mean, o.Channels, hist)
	}
	lines := strings.Split(b.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// full is what a run without interruption observes.
func full(t testing.TB, m *onnx.Model, n int, histograms bool) string {
	t.Helper()
	return text(t, run(t, m, randomSet(t, m, n, 6), options(histograms)).Observations)
}

// interrupt stops a run after that many samples.
func interrupt(t testing.TB, m *onnx.Model, n, after int, o calibrate.Options) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o.Progress = func(done int) {
		if done == after {
			cancel()
		}
	}
	if _, err := calibrate.Run(ctx, orttest.Runtime(t), m, randomSet(t, m, n, 6), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want %v", err, context.Canceled)
	}
}

func TestResume(t *testing.T) {
	const n = 11
	for _, histograms := range []bool{false, true} {
		m := small(17)
		want := full(t, m, n, histograms)
		for _, stops := range [][]int{{1}, {5}, {10}, {2, 7}, {3, 4, 9}} {
			o := options(histograms)
			o.Cache = filepath.Join(t.TempDir(), "deep", "state.json")
			for _, stop := range stops {
				interrupt(t, m, n, stop, o)
			}
			r := run(t, m, randomSet(t, m, n, 6), o)
			if got := text(t, r.Observations); got != want {
				t.Errorf("stopped at %v: other observations", stops)
			}
			if r.Samples != n || r.Resumed != stops[len(stops)-1] {
				t.Errorf("stopped at %v: %d samples, %d resumed", stops, r.Samples, r.Resumed)
			}
			again := run(t, m, randomSet(t, m, n, 6), o)
			if again.Resumed != n || text(t, again.Observations) != want {
				t.Errorf("a finished calibration was run again: %d resumed", again.Resumed)
			}
		}
	}
}

// TestStoppedBeforeItBegan leaves nothing that harms.
func TestStoppedBeforeItBegan(t *testing.T) {
	m := small(17)
	o := options(true)
	o.Cache = filepath.Join(t.TempDir(), "state.json")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := calibrate.Run(ctx, orttest.Runtime(t), m, randomSet(t, m, 3, 6), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if r := run(t, m, randomSet(t, m, 3, 6), o); r.Resumed != 0 || text(t, r.Observations) != full(t, m, 3, true) {
		t.Errorf("%d resumed, or other observations", r.Resumed)
	}
}

// TestDamagedCache: whatever lies in the file, the result is that of a run
// without it.
func TestDamagedCache(t *testing.T) {
	const n = 5
	for _, histograms := range []bool{false, true} {
		m := small(17)
		want := full(t, m, n, histograms)
		o := options(histograms)
		o.Cache = filepath.Join(t.TempDir(), "state.json")
		interrupt(t, m, n, 3, o)
		good, err := os.ReadFile(o.Cache)
		if err != nil {
			t.Fatal(err)
		}
		damaged := map[string]string{
			"empty": "", "no JSON": "hello", "null": "null", "list": "[]", "no values": `{"Samples":3}`,
			"null value": `{"Samples":1,"Values":{"x":null}}`, "negative": `{"Samples":-3,"Values":{}}`,
			"done without samples": `{"Done":true,"Values":{}}`,
			"channels":             `{"Samples":1,"Values":{"x":{"Shape":[1],"Count":1,"Min":0,"Max":1,"Low":[1,2],"High":[1]}}}`,
			"shape":                `{"Samples":1,"Values":{"x":{"Shape":[-1,7],"Count":1,"Min":0,"Max":1}}}`,
			"range":                `{"Samples":1,"Values":{"x":{"Shape":[1],"Count":1,"Min":3,"Max":1}}}`,
			"count":                `{"Samples":1,"Values":{"x":{"Shape":[1],"Count":-1,"Min":0,"Max":1}}}`,
			"number":               `{"Samples":1,"Values":{"x":{"Shape":[1],"Count":1,"Min":"zero","Max":1}}}`,
			"half":                 string(good[:len(good)/2]), "all but a byte": string(good[:len(good)-1]),
		}
		for name, content := range damaged {
			if err := os.WriteFile(o.Cache, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			r := run(t, m, randomSet(t, m, n, 6), o)
			if r.Resumed != 0 || r.Samples != n || text(t, r.Observations) != want {
				t.Errorf("%s: %d samples, %d resumed, or other observations", name, r.Samples, r.Resumed)
			}
		}
		if err := errors.Join(os.Remove(o.Cache), syscall.Mkfifo(o.Cache, 0o600)); err != nil {
			t.Fatal(err)
		}
		if r := run(t, m, randomSet(t, m, n, 6), o); r.Resumed != 0 || text(t, r.Observations) != want {
			t.Errorf("a pipe: %d resumed, or other observations", r.Resumed)
		}
		if err := os.WriteFile(o.Cache, good, 0o644); err != nil {
			t.Fatal(err)
		}
		if r := run(t, m, randomSet(t, m, n, 6), o); r.Resumed != 3 {
			t.Errorf("a good cache was not used: %d resumed", r.Resumed)
		}
	}
}

// TestCacheOfInfinities: activations may be infinite, and JSON has no word for
// that.
func TestCacheOfInfinities(t *testing.T) {
	for _, histograms := range []bool{false, true} {
		m := small(17)
		m.Graph.Initializers = append(m.Graph.Initializers, onnx.NewTensor("far", tensor.Of(tensor.Float32, nil, []float32{float32(math.Inf(-1))})))
		m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("Min", "min", []string{"x", "far"}, []string{"low"}))
		m.Graph.Outputs = append(m.Graph.Outputs, &onnx.ValueInfo{Name: "low"})
		o := options(histograms)
		o.Values, o.Channels["low"] = append(o.Values, "low"), -1
		o.Cache = filepath.Join(t.TempDir(), "state.json")
		interrupt(t, m, 4, 2, o)
		first := text(t, run(t, m, randomSet(t, m, 4, 6), o).Observations)
		r := run(t, m, randomSet(t, m, 4, 6), o)
		if r.Resumed != 4 || text(t, r.Observations) != first {
			t.Errorf("%d resumed, or other observations", r.Resumed)
		}
	}
}

// TestTwoAtOnce: runs that share a cache do not disturb each other.
func TestTwoAtOnce(t *testing.T) {
	const n = 6
	cache := filepath.Join(t.TempDir(), "state.json")
	want := full(t, small(17), n, true)
	var wg sync.WaitGroup
	for i := range 4 {
		m := small(17)
		o := options(true)
		o.Cache = cache
		set := randomSet(t, m, n, 6)
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%2 == 1 { // some leave a half-way state instead
				o.Progress = func(done int) {
					if done == 2+i {
						cancel()
					}
				}
			}
			r, err := calibrate.Run(ctx, orttest.Runtime(t), m, set, o)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if err == nil && text(t, r.Observations) != want {
				t.Errorf("run %d: other observations", i)
			}
		})
	}
	wg.Wait()
	m := small(17)
	o := options(true)
	o.Cache = cache
	if text(t, run(t, m, randomSet(t, m, n, 6), o).Observations) != want {
		t.Error("afterwards: other observations")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(cache), ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// TestMemory: the heap does not grow with the number of samples.
func TestMemory(t *testing.T) {
	for _, histograms := range []bool{false, true} {
		grown := map[int]int64{}
		for _, n := range []int{64, 2048} {
			m := small(17)
			set := randomSet(t, m, n, 4)
			before := heap()
			var most int64
			o := options(histograms)
			o.Progress = func(done int) {
				if done == 32 || done == n-1 {
					most = max(most, heap()-before)
				}
			}
			r := run(t, m, set, o)
			grown[n] = most
			runtime.KeepAlive(r)
		}
		if grown[2048] > grown[64]+256<<10 {
			t.Errorf("histograms %v: %d bytes for 64 samples, %d for 2048", histograms, grown[64], grown[2048])
		}
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestCacheThatCannotBeWritten is an error: a long calibration must not be
// lost in silence.
func TestCacheThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m := small(17)
	o := options(false)
	o.Cache = filepath.Join(file, "state.json")
	if _, err := calibrate.Run(context.Background(), orttest.Runtime(t), m, randomSet(t, m, 2, 6), o); !errors.Is(err, calibrate.ErrCache) {
		t.Errorf("got %v", err)
	}
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, age int) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 10), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-time.Duration(age) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	const files = 80
	for i := range files {
		write(fmt.Sprintf("%02d.json", i), i)
	}
	write("other.txt", 1000)
	calibrate.Prune(dir)
	left, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) == 0 || len(left) >= files {
		t.Fatalf("%d of %d files left", len(left), files)
	}
	for i := range files {
		_, err := os.Stat(filepath.Join(dir, fmt.Sprintf("%02d.json", i)))
		if (err == nil) != (i < len(left)) {
			t.Errorf("file %d of age %d hours, %d are kept: %v", i, i, len(left), err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "other.txt")); err != nil {
		t.Error(err)
	}
	calibrate.Prune(filepath.Join(dir, "missing"))
}
