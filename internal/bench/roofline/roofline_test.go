package roofline

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"optim/internal/host"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

func TestFloor(t *testing.T) {
	p := Peaks{FP32: 100e9, INT8: 400e9, Bandwidth: 20e9, Cache: 32 << 20}
	for name, c := range map[string]struct {
		p     Peaks
		cost  inspect.Cost
		bytes int64
		want  time.Duration
	}{
		"float":                   {p, inspect.Cost{Float: 50e6}, 0, time.Millisecond},
		"integer":                 {p, inspect.Cost{Integer: 200e6}, 0, time.Millisecond},
		"both":                    {p, inspect.Cost{Float: 50e6, Integer: 200e6}, 0, 2 * time.Millisecond},
		"memory":                  {p, inspect.Cost{Float: 50e6}, 200e6, 10 * time.Millisecond},
		"compute above memory":    {p, inspect.Cost{Float: 5e9}, 200e6, 100 * time.Millisecond},
		"weights in the cache":    {p, inspect.Cost{Float: 50e6}, 32 << 20, time.Millisecond},
		"cache not known":         {Peaks{FP32: 100e9, Bandwidth: 20e9}, inspect.Cost{}, 20e6, time.Millisecond},
		"nothing":                 {p, inspect.Cost{}, 0, 0},
		"no peak of integers":     {Peaks{FP32: 100e9}, inspect.Cost{Float: 50e6, Integer: 1e12}, 1 << 40, time.Millisecond},
		"more than can be waited": {Peaks{FP32: 1e-9}, inspect.Cost{Float: 1 << 62}, 0, maxSeconds * time.Second},
	} {
		got := c.p.Floor(c.cost, c.bytes)
		if d := got - c.want; d < -2 || d > 2 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if share := c.p.Share(c.cost, c.bytes, 2*c.want); c.want > 0 && math.Abs(share-0.5) > 1e-3 {
			t.Errorf("%s: share %g", name, share)
		}
	}
	if p.Share(inspect.Cost{Float: 1}, 0, 0) != 0 {
		t.Error("a share without a time")
	}
}

func TestMatrixBytes(t *testing.T) {
	little := int64(100 << 20)
	for name, c := range map[string]struct {
		cache int64
		facts host.Facts
		want  int64
	}{
		"usual":              {8 << 20, host.Facts{Memory: 16 << 30, Available: 8 << 30}, 64 << 20},
		"cache not known":    {0, host.Facts{Memory: 16 << 30}, 64 << 20},
		"large cache":        {32 << 20, host.Facts{Memory: 16 << 30}, 192 << 20},
		"larger cache":       {384 << 20, host.Facts{Memory: 64 << 30}, 256 << 20},
		"memory nearly full": {32 << 20, host.Facts{Memory: 16 << 30, Available: 200 << 20}, 50 << 20},
		"container":          {32 << 20, host.Facts{Memory: 16 << 30, Container: &host.Limits{Memory: &little}}, 25 << 20},
		"next to nothing":    {32 << 20, host.Facts{Memory: 1 << 20}, 4 << 20},
	} {
		if got := matrixBytes(c.cache, c.facts); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// numbers reads a tensor as float64.
func numbers(t *testing.T, x tensor.Tensor) []float64 {
	t.Helper()
	v, err := tensor.Convert(x, tensor.Float64)
	if err != nil {
		t.Fatal(err)
	}
	return tensor.As[float64](v.Data)
}

// TestGraphs compares the products with sums by hand, and looks at the kernels:
// one that counts, with its weight packed as in a real model.
func TestGraphs(t *testing.T) {
	const columns = 96
	for name, c := range map[string]struct {
		graph  func() ([]byte, error)
		in     map[string]tensor.Tensor
		zero   float64 // of x
		scale  float64
		kernel string
		inputs int // that the kernel reads, but for packed ones
	}{
		"float":   {floatProduct, map[string]tensor.Tensor{"x": filled(tensor.Float32, 3, side)}, 0, 1, "MatMul", 1},
		"integer": {integerProduct, map[string]tensor.Tensor{"x": filled(tensor.Uint8, 3, side)}, 128, 1.0 / 64, "MatMulIntegerToFloat", 4},
		"vector": {func() ([]byte, error) { return vectorProduct(columns) },
			map[string]tensor.Tensor{"x": filled(tensor.Float32, 1, side), "w": filled(tensor.Float32, side, columns)}, 0, 1, "MatMul", 2},
	} {
		b, err := c.graph()
		if err != nil {
			t.Fatal(err)
		}
		m, err := onnx.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		out, err := orttest.SessionOf(t, b, ort.Options{Threads: 1}).Run(c.in)
		if err != nil {
			t.Fatal(err)
		}
		w, given := c.in["w"]
		if !given {
			if w, err = m.Graph.Initializer("w").Value(); err != nil {
				t.Fatal(err)
			}
		}
		x, v, y := numbers(t, c.in["x"]), numbers(t, w), numbers(t, out["y"])
		n := int(w.Shape[1])
		for i := range y {
			sum, scale := 0.0, 0.0
			for k := range side {
				product := c.scale * (x[i/n*side+k] - c.zero) * v[k*n+i%n]
				sum, scale = sum+product, scale+math.Abs(product)
			}
			if math.Abs(y[i]-sum) > 1e-5*scale {
				t.Fatalf("%s: element %d is %g, want %g", name, i, y[i], sum)
			}
		}
		nodes, err := ort.Profile(func(o ort.Options) (*ort.Session, error) { return orttest.Runtime(t).OpenBytes(b, o) }, ort.Options{Threads: 1}, c.in)
		if err != nil || len(nodes) != 1 || nodes[0].Op != c.kernel || len(nodes[0].Inputs) != c.inputs {
			t.Errorf("%s: kernels %+v, %v", name, nodes, err)
		}
		onnxtest.Reparse(t, m)
	}
}

func TestProbe(t *testing.T) {
	for _, threads := range []int{1, 2} {
		p, err := Probe(context.Background(), orttest.Runtime(t), ort.Options{Threads: threads, Providers: []string{"no such"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d threads: %.1f GFLOP/s, %.1f GOP/s, %.1f GB/s, cache %d MiB", threads, p.FP32/1e9, p.INT8/1e9, p.Bandwidth/1e9, p.Cache>>20)
		for _, v := range []float64{p.FP32, p.INT8, p.Bandwidth} {
			if !(v > 0) || math.IsInf(v, 0) {
				t.Errorf("%d threads: %+v", threads, p)
			}
		}
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if p, err := Probe(ended, orttest.Runtime(t), ort.Options{}); !errors.Is(err, context.Canceled) || p != (Peaks{}) {
		t.Errorf("cancelled: %+v, %v", p, err)
	}
}
