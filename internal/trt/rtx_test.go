//go:build cgo && trt

package trt

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// rtx opens the library that OPTIM_TRT_LIB names.
func rtx(t *testing.T) Lib {
	t.Helper()
	dir := os.Getenv("OPTIM_TRT_LIB")
	if dir == "" {
		t.Skip("OPTIM_TRT_LIB names no folder with TensorRT's libraries: see make trt-deps")
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if l.Info().Flavour != RTX {
		t.Skip("these tests are for TensorRT-RTX, which needs no GPU")
	}
	return l
}

// saved writes a graph as a model.
func saved(t *testing.T, opset int64, g *onnx.Graph) string {
	t.Helper()
	m := onnxtest.Model(opset, g)
	m.Opsets = append(m.Opsets, onnx.Opset{Domain: "com.example", Version: 1})
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// product is x [n, 16] times w [16, 32].
func product(dims ...int64) *onnx.Graph {
	r := rand.New(rand.NewPCG(1, 1))
	return &onnx.Graph{
		Name: "g", Inputs: []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, dims...)}, Outputs: []*onnx.ValueInfo{onnxtest.Value("y", tensor.Float32, dims[0], 32)},
		Initializers: []*onnx.Tensor{onnxtest.Random(r, "w", -1, 1, 16, 32)},
		Nodes:        []*onnx.Node{onnx.NewNode("MatMul", "fc1", []string{"x", "w"}, []string{"y"})},
	}
}

func options() *BuildOptions { return &BuildOptions{Workspace: 1 << 30, OptLevel: DefaultOptLevel} }

func batches(low, opt, high int64) []Profile {
	return []Profile{{"x": {Min: []int64{low, 16}, Opt: []int64{opt, 16}, Max: []int64{high, 16}}}}
}

// alike: TensorRT-RTX 1.7 numbers some of its names in the order of addresses, which differs
// from run to run; nothing else may.
func alike(a, b []byte) bool {
	other := 0
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			other++
		}
	}
	return len(a) == len(b) && other < len(a)/100
}

// TestBuild: the plan says what it is, twice the same bytes, also from several callers at
// once, and one profile more adds to it.
func TestBuild(t *testing.T) {
	l := rtx(t)
	file := saved(t, 17, product(-1, 16))
	build := func(profiles []Profile) []byte {
		o := options()
		o.Profiles = profiles
		p, err := l.Build(context.Background(), file, o, Logger{})
		if err != nil {
			t.Error(err)
			return nil
		}
		defer p.Close()
		if p.Network.Types["float32"] == 0 || len(p.Network.Inputs) != 1 || p.Network.Inputs[0].Name != "x" {
			t.Errorf("network %+v", p.Network)
		}
		return bytes.Clone(p.Data)
	}
	first := build(batches(1, 4, 32))
	h, err := ParseHeader(first)
	if err != nil || h.Flavour != RTX || h.Size != uint64(len(first)) || h.Fits(l.Info(), false) != nil {
		t.Fatalf("%+v, %v", h, err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if again := build(batches(1, 4, 32)); !alike(again, first) {
				t.Error("the same model gives other bytes")
			}
		})
	}
	wg.Wait()
	if two := build(append(batches(1, 4, 32), batches(33, 64, 128)...)); len(two) <= len(first) {
		t.Errorf("two profiles take %d bytes, one %d", len(two), len(first))
	}
}

// TestCancel: a build ends when its context does.
func TestCancel(t *testing.T) {
	l := rtx(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	phases := 0
	_, err := l.Build(ctx, saved(t, 17, product(4, 16)), options(), Logger{Progress: func(string, int, int) { phases++; cancel() }})
	if !errors.Is(err, ErrCanceled) || phases == 0 {
		t.Errorf("%v after %d steps", err, phases)
	}
}

// TestLoadWithoutDriver: a plan needs a driver.
func TestLoadWithoutDriver(t *testing.T) {
	l := rtx(t)
	p, err := l.Build(context.Background(), saved(t, 17, product(4, 16)), options(), Logger{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	e, err := l.Load(p.Data)
	if err == nil {
		defer e.Close()
		if len(e.Tensors()) != 2 {
			t.Errorf("tensors %v", e.Tensors())
		}
		return
	}
	if !errors.Is(err, ErrDriver) || !strings.Contains(err.Error(), "cudaError 35") {
		t.Error(err)
	}
	if _, err := l.Load([]byte("no plan at all")); err == nil {
		t.Error("nonsense is loaded")
	}
}

// TestRefused: what TensorRT takes no part in, with its own words.
func TestRefused(t *testing.T) {
	l := rtx(t)
	scalar := func(name string, d tensor.DType, data ...byte) *onnx.Tensor {
		return onnx.NewTensor(name, tensor.Tensor{DType: d, Data: data})
	}
	scale := onnx.NewTensor("s", tensor.Of(tensor.Float32, nil, []float32{0.1}))
	with := func(change func(g *onnx.Graph)) *onnx.Graph {
		g := product(4, 16)
		change(g)
		return g
	}
	quantized := func(zero *onnx.Tensor) *onnx.Graph {
		return with(func(g *onnx.Graph) {
			g.Initializers = append(g.Initializers, scale, zero)
			g.Nodes = []*onnx.Node{
				onnx.NewNode("QuantizeLinear", "q", []string{"x", "s", "z"}, []string{"xq"}), onnx.NewNode("DequantizeLinear", "dq", []string{"xq", "s", "z"}, []string{"xd"}),
				onnx.NewNode("MatMul", "fc1", []string{"xd", "w"}, []string{"y"}),
			}
		})
	}
	for name, c := range map[string]struct {
		g      *onnx.Graph
		change func(o *BuildOptions)
		want   string
		node   string
	}{
		"types": {g: with(func(g *onnx.Graph) {
			g.Initializers[0] = onnx.NewTensor("w", tensor.Tensor{DType: tensor.Float16, Shape: tensor.Shape{16, 32}, Data: make([]byte, 1024)})
		}), want: "must have same input types"},
		"zero point": {g: quantized(scalar("z", tensor.Uint8, 128)), want: "zero point", node: "q"},
		"dynamic INT8": {g: with(func(g *onnx.Graph) {
			g.Outputs = []*onnx.ValueInfo{onnxtest.Value("q", tensor.Uint8, 4, 16)}
			g.Initializers = nil
			g.Nodes = []*onnx.Node{onnx.NewNode("DynamicQuantizeLinear", "dyn", []string{"x"}, []string{"q", "s", "z"})}
		}), want: "DynamicQuantizeLinear", node: "dyn"},
		"unknown operator": {g: with(func(g *onnx.Graph) {
			n := onnx.NewNode("MyOp", "odd", []string{"x"}, []string{"y"})
			n.Domain = "com.example"
			g.Nodes, g.Initializers = []*onnx.Node{n}, nil
		}), want: "Plugin not found", node: "odd"},
		"workspace":  {g: with(func(*onnx.Graph) {}), change: func(o *BuildOptions) { o.Workspace = 1 }, want: "workspace"},
		"Turing":     {g: with(func(*onnx.Graph) {}), change: func(o *BuildOptions) { o.Capabilities = []int{75} }, want: "FP32 GEMM is not supported"},
		"refit":      {g: with(func(*onnx.Graph) {}), change: func(o *BuildOptions) { o.Refit = true }, want: "MyelinCheckException"},
		"no profile": {g: product(-1, 16), want: "no optimization profile has been defined"},
		"plugins":    {g: with(func(*onnx.Graph) {}), change: func(o *BuildOptions) { o.Plugins = []string{"/nowhere/lib.so"} }, want: "plugin library /nowhere/lib.so"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			if c.change != nil {
				c.change(o)
			}
			p, err := l.Build(context.Background(), saved(t, 17, c.g), o, Logger{})
			if err == nil {
				p.Close()
				t.Fatal("it was built")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			var parse *ParseError
			if c.node != "" && (!errors.As(err, &parse) || len(parse.Nodes) == 0 || parse.Nodes[0].Name != c.node || parse.Hint() == "") {
				t.Errorf("nodes of %v", err)
			}
		})
	}
	if _, err := l.Build(context.Background(), "nothing.onnx", options(), Logger{}); err == nil {
		t.Error("a file that is not there is built")
	}
}
