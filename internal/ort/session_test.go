package ort_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// identityTypes are the element types that Identity takes in this runtime.
var identityTypes = []tensor.DType{
	tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16, tensor.Bool,
	tensor.Uint8, tensor.Int8, tensor.Uint16, tensor.Int16, tensor.Uint32, tensor.Int32,
	tensor.Uint64, tensor.Int64, tensor.F8E4M3FN, tensor.F8E4M3FNUZ, tensor.F8E5M2, tensor.F8E5M2FNUZ,
}

// TestElementTypes sends every element type through, with dynamic shapes, also
// without elements, of one, and of an odd number.
func TestElementTypes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, d := range identityTypes {
		t.Run(d.String(), func(t *testing.T) {
			s := orttest.SessionOf(t, identity(d, "n", "m"), ort.Options{})
			for _, shape := range []tensor.Shape{{0, 3}, {1, 1}, {3, 5}, {64, 33}} {
				x, err := tensor.New(d, shape)
				if err != nil {
					t.Fatal(err)
				}
				fill(rng, x)
				out, err := s.Run(map[string]tensor.Tensor{"x": x})
				if err != nil {
					t.Fatalf("shape %v: %v", shape, err)
				}
				same(t, out["y"], x)
			}
		})
	}
}

// fill sets random bits; a bool is 0 or 1.
func fill(rng *rand.Rand, x tensor.Tensor) {
	for i := range x.Data {
		x.Data[i] = byte(rng.Uint32())
		if x.DType == tensor.Bool {
			x.Data[i] &= 1
		}
	}
}

// TestPackedInput gives 4-bit integers, which no Identity takes, also an odd
// number of them.
func TestPackedInput(t *testing.T) {
	for _, c := range []struct {
		d    tensor.DType
		want []float32
	}{{tensor.Int4, []float32{1, -2, 7}}, {tensor.Uint4, []float32{1, 14, 7}}} {
		model := graph{
			inputs:  []msg{valueInfo("x", c.d, "n")},
			outputs: []msg{valueInfo("y", tensor.Float32, "n")},
			nodes:   []msg{node("DequantizeLinear", "dq", []string{"x", "s"}, []string{"y"})},
			inits:   []msg{initializer("s", tensor.Of(tensor.Float32, nil, []float32{1}))},
		}.model()
		s := orttest.SessionOf(t, model, ort.Options{})
		x := tensor.Tensor{DType: c.d, Shape: tensor.Shape{3}, Data: []byte{0xe1, 0x07}}
		out, err := s.Run(map[string]tensor.Tensor{"x": x})
		if err != nil {
			t.Fatalf("%s: %v", c.d, err)
		}
		if got := tensor.As[float32](out["y"].Data); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.d, got, c.want)
		}
	}
}

func same(t *testing.T, got, want tensor.Tensor) {
	t.Helper()
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) {
		t.Fatalf("got %s%s, want %s%s", got.DType, got.Shape, want.DType, want.Shape)
	}
	if !bytes.Equal(got.Data, want.Data) || !slices.Equal(got.Strings, want.Strings) {
		t.Fatalf("%s%s came back changed", got.DType, got.Shape)
	}
}

func TestScalarsAndStrings(t *testing.T) {
	s := orttest.SessionOf(t, identity(tensor.Float16), ort.Options{})
	x := tensor.Tensor{DType: tensor.Float16, Shape: tensor.Shape{}, Data: []byte{1, 60}}
	out, err := s.Run(map[string]tensor.Tensor{"x": x})
	if err != nil {
		t.Fatal(err)
	}
	same(t, out["y"], x)

	s = orttest.SessionOf(t, identity(tensor.String, "n", 2), ort.Options{})
	for _, list := range [][]string{{}, {"", ""}, {"a\x00b", "ü", "", strings.Repeat("long ", 100)}} {
		x := tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{int64(len(list) / 2), 2}, Strings: list}
		out, err := s.Run(map[string]tensor.Tensor{"x": x})
		if err != nil {
			t.Fatal(err)
		}
		same(t, out["y"], x)
	}
}

// TestCastToHalf computes results of types that onnxruntime_go reads wrongly.
func TestCastToHalf(t *testing.T) {
	for _, c := range []struct {
		to   tensor.DType
		want []byte // of 1 and -2
	}{
		{tensor.Float16, []byte{0, 0x3c, 0, 0xc0}},
		{tensor.BFloat16, []byte{0x80, 0x3f, 0, 0xc0}},
		{tensor.F8E4M3FN, []byte{0x38, 0xc0}},
		{tensor.F8E5M2, []byte{0x3c, 0xc0}},
		{tensor.Int4, []byte{0xe1}},
	} {
		model := graph{
			inputs:  []msg{valueInfo("x", tensor.Float32, "n")},
			outputs: []msg{valueInfo("y", c.to, "n")},
			nodes:   []msg{node("Cast", "cast", []string{"x"}, []string{"y"}, intAttr("to", int64(c.to)))},
		}.model()
		s := orttest.SessionOf(t, model, ort.Options{})
		out, err := s.Run(map[string]tensor.Tensor{"x": vector(1, -2)})
		if err != nil {
			t.Fatalf("%s: %v", c.to, err)
		}
		if !bytes.Equal(out["y"].Data, c.want) {
			t.Errorf("%s: % x, want % x", c.to, out["y"].Data, c.want)
		}
	}
}

func vector(v ...float32) tensor.Tensor {
	return tensor.Of(tensor.Float32, tensor.Shape{int64(len(v))}, v)
}

func matrix(rows, cols int, f func(i int) float32) tensor.Tensor {
	v := make([]float32, rows*cols)
	for i := range v {
		v[i] = f(i)
	}
	return tensor.Of(tensor.Float32, tensor.Shape{int64(rows), int64(cols)}, v)
}

func TestInfo(t *testing.T) {
	w := matrix(3, 3, func(i int) float32 { return float32(i) })
	s := orttest.SessionOf(t, product(3, w, true), ort.Options{})
	in, out, over := s.Inputs(), s.Outputs(), s.Overridable()
	if len(in) != 1 || len(out) != 1 || len(over) != 1 {
		t.Fatalf("%d inputs, %d outputs, %d overridable", len(in), len(out), len(over))
	}
	if got := in[0].String(); in[0].Name != "x" || got != "float32[rows x 3]" {
		t.Errorf("input %q %s", in[0].Name, got)
	}
	if over[0].Name != "W" || !over[0].Optional || in[0].Optional {
		t.Errorf("overridable %+v", over[0])
	}
	// The optional input may be given, and replaces the value in the model.
	x := matrix(1, 3, func(i int) float32 { return 1 })
	zero := matrix(3, 3, func(int) float32 { return 0 })
	for _, c := range []struct {
		in   map[string]tensor.Tensor
		want []float32
	}{
		{map[string]tensor.Tensor{"x": x}, []float32{9, 12, 15}},
		{map[string]tensor.Tensor{"x": x, "W": zero}, []float32{0, 0, 0}},
	} {
		out, err := s.Run(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := tensor.As[float32](out["y"].Data); !slices.Equal(got, c.want) {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
}

func TestWrongInputs(t *testing.T) {
	s := orttest.SessionOf(t, product(2, matrix(2, 2, func(int) float32 { return 1 }), false), ort.Options{})
	good := matrix(1, 2, func(int) float32 { return 1 })
	for _, c := range []struct {
		name, want string
		in         map[string]tensor.Tensor
		out        []string
	}{
		{"missing", `input "x" is missing (float32[rows x 2])`, nil, nil},
		{"unknown", `no input "z" (the model has "x")`, map[string]tensor.Tensor{"x": good, "z": good}, nil},
		{"type", `input "x": element type int64, but the model wants float32[rows x 2]`,
			map[string]tensor.Tensor{"x": tensor.Of(tensor.Int64, tensor.Shape{1, 2}, []int64{1, 2})}, nil},
		{"rank", `input "x": shape [2], but the model wants`, map[string]tensor.Tensor{"x": vector(1, 2)}, nil},
		{"dim", `input "x": shape [1x3], but`, map[string]tensor.Tensor{"x": matrix(1, 3, func(int) float32 { return 1 })}, nil},
		{"short", `input "x": 4 bytes of data, but float32 [1x2] takes 8`,
			map[string]tensor.Tensor{"x": {DType: tensor.Float32, Shape: tensor.Shape{1, 2}, Data: make([]byte, 4)}}, nil},
		{"output", `no output "q" (the model has "y")`, map[string]tensor.Tensor{"x": good}, []string{"q"}},
		{"twice", `output "y" is asked for twice`, map[string]tensor.Tensor{"x": good}, []string{"y", "y"}},
		{"none", `no outputs to compute`, map[string]tensor.Tensor{"x": good}, []string{}},
	} {
		_, err := s.RunContext(t.Context(), c.in, c.out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	b := orttest.SessionOf(t, identity(tensor.Bool, 2), ort.Options{})
	_, err := b.Run(map[string]tensor.Tensor{"x": {DType: tensor.Bool, Shape: tensor.Shape{2}, Data: []byte{1, 2}}})
	if err == nil || !strings.Contains(err.Error(), "is no bool") {
		t.Errorf("byte 2 as bool: %v", err)
	}
}

// TestUnalignedInput gives data as a view into a mapped file might lie.
func TestUnalignedInput(t *testing.T) {
	s := orttest.SessionOf(t, identity(tensor.Float64, "n"), ort.Options{})
	for off := range 8 {
		buf := make([]byte, 8*5+8)
		fill(rand.New(rand.NewPCG(3, 4)), tensor.Tensor{Data: buf})
		x := tensor.Tensor{DType: tensor.Float64, Shape: tensor.Shape{5}, Data: buf[off : off+40]}
		out, err := s.Run(map[string]tensor.Tensor{"x": x})
		if err != nil {
			t.Fatal(err)
		}
		same(t, out["y"], x)
	}
}

// TestResultsSurviveCollection keeps results while the collector runs and the
// session that made them is closed.
func TestResultsSurviveCollection(t *testing.T) {
	s := orttest.SessionOf(t, identity(tensor.Float32, "n", 8), ort.Options{})
	var kept []tensor.Tensor
	for i := range 50 {
		x := matrix(64, 8, func(int) float32 { return float32(i) })
		out, err := s.Run(map[string]tensor.Tensor{"x": x})
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, out["y"])
		runtime.GC()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	for i, y := range kept {
		for _, v := range tensor.As[float32](y.Data) {
			if v != float32(i) {
				t.Fatalf("result %d holds %v", i, v)
			}
		}
	}
}

func TestCloseIsIdempotentAndFinal(t *testing.T) {
	s := orttest.SessionOf(t, identity(tensor.Float32, "n"), ort.Options{})
	in := map[string]tensor.Tensor{"x": vector(1)}
	b, err := s.Bind(in, map[string]tensor.Tensor{"y": {}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	b.Close()
	if _, err := s.Run(in); !errors.Is(err, ort.ErrClosed) {
		t.Errorf("run after close: %v", err)
	}
	if _, err := s.Bind(in, map[string]tensor.Tensor{"y": {}}); !errors.Is(err, ort.ErrClosed) {
		t.Errorf("bind after close: %v", err)
	}
	if err := b.Run(); !errors.Is(err, ort.ErrClosed) {
		t.Errorf("bound run after close: %v", err)
	}
}

// TestConcurrent runs several sessions from several goroutines, and closes them
// while runs are under way.
func TestConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := range 4 {
				s, err := orttest.Runtime(t).OpenBytes(identity(tensor.Float32, "n"), ort.Options{Threads: 1})
				if err != nil {
					t.Error(err)
					return
				}
				var runs sync.WaitGroup
				for r := range 3 {
					runs.Go(func() { runUntilClosed(t, s, float32(100*g+10*i+r)) })
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				runs.Wait()
			}
		})
	}
	wg.Wait()
}

func runUntilClosed(t *testing.T, s *ort.Session, v float32) {
	for {
		out, err := s.Run(map[string]tensor.Tensor{"x": vector(v, v+1)})
		if errors.Is(err, ort.ErrClosed) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		if got := tensor.As[float32](out["y"].Data); got[0] != v || got[1] != v+1 {
			t.Errorf("got %v, want %v", got, v)
			return
		}
	}
}

func TestContext(t *testing.T) {
	s := orttest.SessionOf(t, identity(tensor.Float32, "n"), ort.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	in := map[string]tensor.Tensor{"x": vector(1)}
	if _, err := s.RunContext(ctx, in, nil); err != nil {
		t.Fatalf("context that has not ended: %v", err)
	}
	cancel()
	if _, err := s.RunContext(ctx, in, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

// TestStopLoading ends the optimization of a graph that takes the runtime many
// seconds, and does not hinder loading that is not stopped.
func TestStopLoading(t *testing.T) {
	g := graph{inputs: []msg{valueInfo("v0", tensor.Float32, 4)}, outputs: []msg{valueInfo("v8000", tensor.Float32, 4)}}
	for i := range 8000 {
		g.nodes = append(g.nodes, node("Add", fmt.Sprint("n", i), []string{fmt.Sprint("v", i), "v0"}, []string{fmt.Sprint("v", i+1)}))
	}
	stop := make(chan struct{})
	orttest.SessionOf(t, identity(tensor.Float32, "n"), ort.Options{Stop: stop})
	start := time.Now()
	time.AfterFunc(200*time.Millisecond, func() { close(stop) })
	_, err := orttest.Runtime(t).OpenBytes(g.model(), ort.Options{Stop: stop})
	if d := time.Since(start); !errors.Is(err, context.Canceled) || d > 5*time.Second {
		t.Errorf("%v after %v", err, d)
	}
}

// TestCancelLongRun ends a run of minutes from another goroutine.
func TestCancelLongRun(t *testing.T) {
	g := graph{
		inputs:  []msg{valueInfo("v0", tensor.Float32, 512, 512)},
		outputs: []msg{valueInfo("v4000", tensor.Float32, 512, 512)},
	}
	for i := range 4000 {
		g.nodes = append(g.nodes, node("MatMul", fmt.Sprint("n", i),
			[]string{fmt.Sprint("v", i), "v0"}, []string{fmt.Sprint("v", i+1)}))
	}
	s := orttest.SessionOf(t, g.model(), ort.Options{GraphOpt: ort.GraphOptOff})
	ctx, cancel := context.WithCancel(context.Background())
	x := matrix(512, 512, func(i int) float32 { return 0 })
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := s.RunContext(ctx, map[string]tensor.Tensor{"v0": x}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}
