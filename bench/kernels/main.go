// Command kernels times what quantize writes for stacks of matrix products, to
// see that each format runs in the fast path of its kernel:
//
//	go run ./bench/kernels [-width 768] [-inner 3072] [-layers 6] [-rows 1,16,128]
//
// Every format is timed against the float stack with the same rows, A B B A in
// one process with idle threads asleep; the figure is the ratio of medians with
// its 95 % interval. MatMulNBits in its unpacked path would show 0.02 × with one
// row where the packed one shows more than 2 ×.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// formats are what is timed.
var formats = []struct {
	name string
	o    quant.Options
}{
	{"int8 dynamic", quant.Options{Format: quant.Int8, Method: quant.Dynamic, Bits: 8}},
	{"int8 weight-only b128", quant.Options{Format: quant.Int8, Method: quant.WeightOnly, Bits: 8, BlockSize: 128}},
	{"int4 b32", quant.Options{Format: quant.Int4, Method: quant.RTN, Bits: 4, BlockSize: 32}},
	{"int4 b64", quant.Options{Format: quant.Int4, Method: quant.RTN, Bits: 4, BlockSize: 64}},
	{"int4 b128", quant.Options{Format: quant.Int4, Method: quant.RTN, Bits: 4, BlockSize: 128}},
	{"int4 b128 symmetric", quant.Options{Format: quant.Int4, Method: quant.RTN, Bits: 4, BlockSize: 128, Symmetric: true}},
	{"int4 b128 fp32", quant.Options{Format: quant.Int4, Method: quant.RTN, Bits: 4, BlockSize: 128, Compute: quant.ComputeFP32}},
	{"int4 b128 qdq", quant.Options{Format: quant.Int4, Method: quant.RTN, Bits: 4, BlockSize: 128, Form: quant.QDQ}},
	{"int4, 3 bits b64", quant.Options{Format: quant.Int4, Method: quant.RTN, Bits: 3, BlockSize: 64}},
	{"int4, 2 bits b64", quant.Options{Format: quant.Int4, Method: quant.RTN, Bits: 2, BlockSize: 64}},
	{"nf4 b64", quant.Options{Format: quant.NF4, Method: quant.RTN, DoubleQuant: true}},
	{"fp16", quant.Options{Format: quant.FP16, Method: quant.Convert}},
}

type stack struct{ width, inner, layers int64 }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func run() error {
	var s stack
	flag.Int64Var(&s.width, "width", 768, "columns of the input")
	flag.Int64Var(&s.inner, "inner", 3072, "columns between the products of a layer")
	flag.Int64Var(&s.layers, "layers", 6, "layers of two products")
	rows := flag.String("rows", "1,16,128", "rows of the input, one or several")
	lib := flag.String("ort-lib", os.Getenv("OPTIM_ORT_LIB"), "ONNX Runtime's library")
	seconds := flag.Float64("seconds", 3, "time for each comparison")
	flag.Parse()
	rt, err := ort.Load(ort.Config{Library: *lib})
	if err != nil {
		return err
	}
	defer rt.Close()
	fmt.Printf("%d layers of %d × %d × %d, ONNX Runtime %s\n", s.layers, s.width, s.inner, s.width, rt.Version())
	for _, text := range strings.Split(*rows, ",") {
		m, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		for _, f := range formats {
			if err := s.time(rt, f.name, f.o, m, time.Duration(*seconds*float64(time.Second))); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	return nil
}

// time compares one format with the float stack for inputs of m rows.
func (s stack) time(rt *ort.Runtime, name string, o quant.Options, m int64, most time.Duration) error {
	target, err := quant.ParseTarget("host")
	if err != nil {
		return err
	}
	o.Target = target
	changed := s.model()
	if _, err := quant.Prepare(changed, &o); err != nil {
		return err
	}
	if _, err := quant.Quantize(context.Background(), changed, &o, nil, 2); err != nil {
		return err
	}
	before, err := s.bound(rt, s.model(), m)
	if err != nil {
		return err
	}
	after, err := s.bound(rt, changed, m)
	if err != nil {
		return err
	}
	c, err := measure.Interleave(context.Background(), before, after, measure.Options{Budget: most})
	if err != nil {
		return err
	}
	fmt.Printf("M=%-4d %-24s %8.3f ms  %5.2f × (%.2f … %.2f)\n", m, name, 1e3*c.MedianB().Seconds(), c.Speedup, c.Low, c.High)
	return nil
}

// bound opens a model and returns a run of it with bound tensors.
func (s stack) bound(rt *ort.Runtime, m *onnx.Model, rows int64) (func() error, error) {
	b, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	session, err := rt.OpenBytes(b, ort.Options{NoSpin: true})
	if err != nil {
		return nil, err
	}
	v := make([]float32, rows*s.width)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	shape := tensor.Shape{rows, s.width}
	in := map[string]tensor.Tensor{"x": tensor.Of(tensor.Float32, shape, v)}
	out := map[string]tensor.Tensor{session.Outputs()[0].Name: tensor.Of(tensor.Float32, shape, make([]float32, rows*s.width))}
	binding, err := session.Bind(in, out)
	if err != nil {
		return nil, err
	}
	return binding.Run, nil
}

// model is the float stack: products with Tanh between them, so that numbers
// stay where they are.
func (s stack) model() *onnx.Model {
	rng := rand.New(rand.NewPCG(1, 1))
	g := &onnx.Graph{Name: "stack"}
	value := func(name string) *onnx.ValueInfo {
		return &onnx.ValueInfo{Name: name, Type: onnx.TensorType(tensor.Float32, -1, s.width)}
	}
	g.Inputs = []*onnx.ValueInfo{value("x")}
	from := "x"
	for i := range 2 * s.layers {
		k, n := s.width, s.inner
		if i%2 == 1 {
			k, n = n, k
		}
		w := make([]float32, k*n)
		for j := range w {
			w[j] = float32(rng.NormFloat64()) / 32
		}
		name, h, y := fmt.Sprintf("w%d", i), fmt.Sprintf("h%d", i), fmt.Sprintf("y%d", i)
		g.Initializers = append(g.Initializers, onnx.NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape{k, n}, w)))
		g.Nodes = append(g.Nodes, onnx.NewNode("MatMul", h, []string{from, name}, []string{h}), onnx.NewNode("Tanh", y, []string{h}, []string{y}))
		from = y
	}
	g.Outputs = []*onnx.ValueInfo{value(from)}
	return &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: g}
}
