package ort_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// gelu is x·W then the five nodes of an exact GELU, which ONNX Runtime fuses.
func gelu() []byte {
	c := func(name string, v float32) msg {
		return initializer(name, tensor.Of(tensor.Float32, nil, []float32{v}))
	}
	return graph{
		inputs:  []msg{valueInfo("x", tensor.Float32, "n", 4)},
		outputs: []msg{valueInfo("y", tensor.Float32, "n", 4)},
		inits:   []msg{c("sqrt2", 1.41421356), c("one", 1), c("half", 0.5)},
		nodes: []msg{
			node("Div", "div", []string{"x", "sqrt2"}, []string{"a"}),
			node("Erf", "erf", []string{"a"}, []string{"b"}),
			node("Add", "add", []string{"b", "one"}, []string{"c"}),
			node("Mul", "mul", []string{"x", "c"}, []string{"d"}),
			node("Mul", "scale", []string{"d", "half"}, []string{"y"}),
		},
	}.model()
}

func TestProfileCountsFusedKernels(t *testing.T) {
	rt := orttest.Runtime(t)
	in := map[string]tensor.Tensor{"x": matrix(2, 4, func(i int) float32 { return float32(i) })}
	open := func(o ort.Options) (*ort.Session, error) { return rt.OpenBytes(gelu(), o) }
	for _, c := range []struct {
		level ort.GraphOpt
		want  map[string]int
	}{
		{ort.GraphOptOff, map[string]int{"Div": 1, "Erf": 1, "Add": 1, "Mul": 2}},
		{ort.GraphOptBasic, map[string]int{"Gelu": 1}}, // an operator of ONNX since opset 20
		{ort.GraphOptExtended, map[string]int{"Gelu": 1}},
		{ort.GraphOptAll, map[string]int{"Gelu": 1}},
	} {
		nodes, err := ort.Profile(open, ort.Options{GraphOpt: c.level}, in)
		if err != nil {
			t.Fatal(err)
		}
		if got := ort.KernelCounts(nodes); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.level, got, c.want)
		}
		if got := ort.ProviderCounts(nodes); got[ort.CPU] != len(nodes) {
			t.Errorf("%s: providers %v", c.level, got)
		}
		for _, n := range nodes {
			if n.Calls != 1 || n.Total < 0 || n.Name == "" {
				t.Errorf("%s: %+v", c.level, n)
			}
		}
	}
}

func TestEndProfiling(t *testing.T) {
	s := orttest.SessionOf(t, gelu(), ort.Options{})
	if _, err := s.EndProfiling(); err == nil {
		t.Error("a session without profile gave one")
	}
	s = orttest.SessionOf(t, gelu(), ort.Options{ProfilePrefix: filepath.Join(t.TempDir(), "p")})
	x := matrix(1, 4, func(int) float32 { return 1 })
	for range 3 {
		if _, err := s.Run(map[string]tensor.Tensor{"x": x}); err != nil {
			t.Fatal(err)
		}
	}
	file, err := s.EndProfiling()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := ort.ReadProfile(file)
	if err != nil || len(nodes) != 1 || nodes[0].Calls != 3 || nodes[0].Op != "Gelu" {
		t.Errorf("%+v, %v", nodes, err)
	}
	if _, err := s.EndProfiling(); err == nil {
		t.Error("the profile ended twice")
	}
}

func TestSaveOptimized(t *testing.T) {
	path := filepath.Join(t.TempDir(), "optimized.onnx")
	orttest.SessionOf(t, gelu(), ort.Options{SaveOptimized: path, GraphOpt: ort.GraphOptExtended})
	raw, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(raw), "Gelu") {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}

// TestOptionsDoNotChangeResults opens a session with each option in turn.
func TestOptionsDoNotChangeResults(t *testing.T) {
	w := matrix(16, 16, func(i int) float32 { return float32(i%7) - 3 })
	x := matrix(5, 16, func(i int) float32 { return float32(i%5) - 2 })
	var want []float32
	for _, o := range []ort.Options{
		{}, {Threads: 1}, {Threads: 2, InterThreads: 2}, {NoPrepack: true}, {NoSpin: true}, {NoMemPattern: true},
		{NoArena: true}, {Providers: []string{ort.CPU}}, {Entries: map[string]string{"session.set_denormal_as_zero": "1"}},
	} {
		s := orttest.SessionOf(t, product(16, w, false), o)
		out, err := s.Run(map[string]tensor.Tensor{"x": x})
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		got := tensor.As[float32](out["y"].Data)
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) { // small integers: exact in any order
			t.Errorf("%+v: %v, want %v", o, got, want)
		}
	}
}

func TestBadOptions(t *testing.T) {
	rt := orttest.Runtime(t)
	if slices.Contains(rt.Providers(), ort.CUDA) || slices.Contains(rt.Providers(), ort.TensorRT) {
		t.Skip("this library has CUDA or TensorRT")
	}
	for _, c := range []struct {
		o        ort.Options
		want     string
		provider bool
	}{
		{ort.Options{Threads: -1}, "negative number of threads", false},
		{ort.Options{GraphOpt: 9}, "unknown graph optimization 9", false},
		{ort.Options{Providers: []string{ort.CUDA}}, `"cuda": the library`, true},
		{ort.Options{Providers: []string{ort.TensorRT, ort.CPU}}, `"tensorrt": the library`, true},
		{ort.Options{CustomOps: filepath.Join(t.TempDir(), "absent.so")}, "custom operators", false},
		{ort.Options{ProfilePrefix: filepath.Join(t.TempDir(), "no", "p")}, "no such folder", false},
		{ort.Options{SaveOptimized: filepath.Join(t.TempDir(), "no", "m.onnx")}, "open file", false},
	} {
		s, err := rt.OpenBytes(gelu(), c.o)
		if err == nil {
			s.Close()
			t.Errorf("%+v: opened", c.o)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || errors.Is(err, ort.ErrProvider) != c.provider {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

func TestResolveProviders(t *testing.T) {
	rt := orttest.Runtime(t)
	if slices.Contains(rt.Providers(), ort.CUDA) || slices.Contains(rt.Providers(), ort.TensorRT) {
		t.Skip("this library has CUDA or TensorRT")
	}
	for _, c := range []struct {
		list, use, missing []string
	}{
		{nil, []string{"cpu"}, nil},
		{[]string{"cpu"}, []string{"cpu"}, nil},
		{[]string{"auto"}, []string{"cpu"}, nil},
		{[]string{"cuda", "cpu"}, []string{"cpu"}, []string{"cuda"}},
		{[]string{"cpu", "cpu"}, []string{"cpu"}, nil},
	} {
		use, missing, err := rt.ResolveProviders(c.list)
		if err != nil || !slices.Equal(use, c.use) || !slices.EqualFunc(missing, c.missing, func(m ort.Missing, name string) bool { return m.Name == name && m.Why != "" }) {
			t.Errorf("%v: %v, %v, %v", c.list, use, missing, err)
		}
	}
	for _, list := range [][]string{{"cuda"}, {"cpuu", "cpu"}, {"CPU"}, {"cpu", ""}} {
		if _, _, err := rt.ResolveProviders(list); !errors.Is(err, ort.ErrProvider) {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestParseGraphOpt(t *testing.T) {
	for _, g := range []ort.GraphOpt{ort.GraphOptAll, ort.GraphOptOff, ort.GraphOptBasic, ort.GraphOptExtended} {
		if got, err := ort.ParseGraphOpt(g.String()); err != nil || got != g {
			t.Errorf("%s: %v, %v", g, got, err)
		}
	}
	if _, err := ort.ParseGraphOpt("most"); err == nil {
		t.Error(`"most" is taken`)
	}
}

// TestLoadTwice: one runtime per process, whatever is asked for later.
func TestLoadTwice(t *testing.T) {
	rt := orttest.Runtime(t)
	if again, err := ort.Load(ort.Config{Library: orttest.Library(t)}); err != nil || again != rt {
		t.Errorf("%p, %v, want %p", again, err, rt)
	}
	if again, err := ort.Load(ort.Config{}); err != nil || again != rt {
		t.Errorf("%p, %v, want %p", again, err, rt)
	}
	if got := rt.Source(); got != "--ort-lib" {
		t.Errorf("found by %q", got)
	}
	_, err := ort.Load(ort.Config{Library: filepath.Join(t.TempDir(), "other.so")})
	if !errors.Is(err, ort.ErrLibrary) {
		t.Errorf("another library: %v", err)
	}
	if !strings.HasPrefix(rt.Version(), "1.") || !filepath.IsAbs(rt.Library()) || !slices.Contains(rt.Providers(), ort.CPU) {
		t.Errorf("version %q, library %q, providers %v", rt.Version(), rt.Library(), rt.Providers())
	}
}
