package sequential

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

var quiet = ort.Options{Threads: 1, NoSpin: true}

func int4(method quant.Method) *quant.Options {
	return &quant.Options{Format: quant.Int4, Method: method, Bits: 4, BlockSize: 32, Embeddings: true}
}

// gpt opens tinygpt-s, prepared, with n windows of text.
func gpt(t testing.TB, n int) (*onnx.Model, *dataset.Set, []quant.Product) {
	t.Helper()
	m, err := onnx.Open("../../../testdata/models/tinygpt-s/tinygpt-s.onnx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return prepared(t, m, "../../../testdata/text/valid.txt", dataset.Options{
		Samples: n, Tokenizer: "../../../testdata/models/tinygpt/tokenizer.json",
	})
}

func prepared(t testing.TB, m *onnx.Model, data string, o dataset.Options) (*onnx.Model, *dataset.Set, []quant.Product) {
	t.Helper()
	if _, err := quant.Prepare(m, int4(quant.GPTQ)); err != nil {
		t.Fatal(err)
	}
	info, err := calibrate.Describe(orttest.Runtime(t), m, quiet)
	if err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(data, info, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return m, set, quant.Products(m, int4(quant.GPTQ))
}

// perceptron is x → MatMul → Tanh → If (of the same shape) → MatMul, whose
// branches take a value from outside.
func perceptron(t testing.TB) *onnx.Model {
	r := rand.New(rand.NewPCG(1, 1))
	weight := func(name string, rows, cols int64) *onnx.Tensor {
		v := make([]float32, rows*cols)
		for i := range v {
			v[i] = float32(r.NormFloat64()) / 6
		}
		return onnx.NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape{rows, cols}, v))
	}
	value := func(name string, dims ...int64) *onnx.ValueInfo {
		return &onnx.ValueInfo{Name: name, Type: onnx.TensorType(tensor.Float32, dims...)}
	}
	branch := func(op string) *onnx.Graph {
		return &onnx.Graph{Name: op, Nodes: []*onnx.Node{onnx.NewNode(op, op, []string{"h"}, []string{op + "_y"})}, Outputs: []*onnx.ValueInfo{value(op+"_y", -1, 64)}}
	}
	g := &onnx.Graph{
		Name: "g", Inputs: []*onnx.ValueInfo{value("x", -1, 48)}, Outputs: []*onnx.ValueInfo{value("y", -1, 40), value("h", -1, 64)},
		Initializers: []*onnx.Tensor{weight("a", 48, 64), weight("b", 64, 40), onnx.NewTensor("zero", tensor.Of(tensor.Float32, nil, []float32{0}))},
		Nodes: []*onnx.Node{
			onnx.NewNode("MatMul", "first", []string{"x", "a"}, []string{"p"}),
			onnx.NewNode("Tanh", "tanh", []string{"p"}, []string{"h"}),
			onnx.NewNode("ReduceMean", "mean", []string{"h"}, []string{"m"}, onnx.IntAttr("keepdims", 0)),
			onnx.NewNode("Greater", "greater", []string{"m", "zero"}, []string{"yes"}),
			onnx.NewNode("If", "if", []string{"yes"}, []string{"c"}, onnx.GraphAttr("then_branch", branch("Neg")), onnx.GraphAttr("else_branch", branch("Abs"))),
			onnx.NewNode("MatMul", "second", []string{"c", "b"}, []string{"y"}),
		},
	}
	m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: g}
	file := filepath.Join(t.TempDir(), "m.onnx")
	if _, err := m.WriteFile(file, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// watched solves without rounding anything, and gives f every stage's Hessian.
func watched(t *testing.T, m *onnx.Model, set *dataset.Set, products []quant.Product, budget int64, f func(st stage, h *Hessian)) {
	t.Helper()
	e, err := newEngine(context.Background(), orttest.Runtime(t), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	graph := *m.Graph
	s := &solver{
		Options: Options{Session: quiet}, rt: orttest.Runtime(t), model: *m, cuts: newCuts(&graph, products), engine: e,
		result: &Result{Solutions: quant.Solutions{}, store: newStore(budget)},
		decide: func(_ context.Context, st stage, h *Hessian) error {
			f(st, h)
			return nil
		},
	}
	defer s.result.Close()
	if err := s.read(set); err != nil {
		t.Fatal(err)
	}
	for i := range s.cuts.stages {
		if err := s.stage(context.Background(), i); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPieces: run in pieces, from memory or from a file, every product sees what
// it sees in the whole model.
func TestPieces(t *testing.T) {
	for name, open := range map[string]func() (*onnx.Model, *dataset.Set, []quant.Product){
		"gpt": func() (*onnx.Model, *dataset.Set, []quant.Product) { return gpt(t, 2) },
		"perceptron": func() (*onnx.Model, *dataset.Set, []quant.Product) {
			return prepared(t, perceptron(t), dataset.Random, dataset.Options{Samples: 5, Shapes: map[string]tensor.Shape{"x": {3, 48}}})
		},
	} {
		for _, budget := range []int64{0, 1 << 30} {
			t.Run(name, func(t *testing.T) {
				m, set, products := open()
				seen := inputs(t, m, set, products)
				if err := set.Rewind(); err != nil {
					t.Fatal(err)
				}
				stages := 0
				watched(t, m, set, products, budget, func(st stage, h *Hessian) {
					stages++
					want := bruteForce(seen[st.input], h.K)
					for i := range h.K {
						for j := i; j < h.K; j++ {
							tolerance := 1e-4 * math.Sqrt(want[i*h.K+i]*want[j*h.K+j])
							if d := math.Abs(float64(h.H[i*h.K+j]) - want[i*h.K+j]); d > tolerance+1e-6 {
								t.Fatalf("%s: element %d, %d is %g, want %g", st.input, i, j, h.H[i*h.K+j], want[i*h.K+j])
							}
						}
					}
				})
				if stages != len(seen) {
					t.Errorf("%d stages, want %d", stages, len(seen))
				}
			})
		}
	}
}

// inputs runs the whole model and returns the rows of all products' inputs.
func inputs(t *testing.T, m *onnx.Model, set *dataset.Set, products []quant.Product) map[string][]float32 {
	t.Helper()
	whole := *m
	graph := *m.Graph
	graph.Outputs = nil
	whole.Graph = &graph
	out := map[string][]float32{}
	given := map[string]bool{}
	for _, v := range graph.Inputs {
		given[v.Name] = true
	}
	for _, p := range products {
		if _, ok := out[p.Input]; !ok && !given[p.Input] {
			graph.Outputs = append(graph.Outputs, &onnx.ValueInfo{Name: p.Input})
		}
		out[p.Input] = nil
	}
	s, err := calibrate.Open(orttest.Runtime(t), &whole, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for {
		sample, err := set.Next()
		if err != nil {
			return out
		}
		values, err := s.Run(sample.Inputs)
		if err != nil {
			t.Fatal(err)
		}
		for name := range out {
			x, ok := values[name]
			if !ok {
				x = sample.Inputs[name]
			}
			v, err := x.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			out[name] = append(out[name], v...)
		}
	}
}

func bruteForce(rows []float32, k int) []float64 {
	h := make([]float64, k*k)
	for at := 0; at < len(rows); at += k {
		for i := range k {
			for j := i; j < k; j++ {
				h[i*k+j] += float64(rows[at+i]) * float64(rows[at+j])
			}
		}
	}
	return h
}

// TestHessianBlocks: widths around a block's, more rows than wait, and rows that
// are masked.
func TestHessianBlocks(t *testing.T) {
	e, err := newEngine(context.Background(), orttest.Runtime(t), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	r := rand.New(rand.NewPCG(2, 2))
	for _, k := range []int{1, 7, blockColumns - 1, blockColumns, blockColumns + 1} {
		h := newHessian(e, k)
		var kept []float32
		for range 2 {
			const rows = 9
			x, mask := make([]float32, rows*k), make([]bool, rows)
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			for i := range mask {
				if mask[i] = r.IntN(3) > 0; mask[i] {
					kept = append(kept, x[i*k:(i+1)*k]...)
				}
			}
			if err := h.add(tensor.Of(tensor.Float32, tensor.Shape{1, rows, int64(k)}, x), mask); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.flush(); err != nil {
			t.Fatal(err)
		}
		h.mirror()
		want := bruteForce(kept, k)
		for i := range k {
			for j := i; j < k; j++ {
				if math.Abs(float64(h.H[i*k+j])-want[i*k+j]) > 1e-4 || h.H[j*k+i] != h.H[i*k+j] {
					t.Fatalf("k %d: element %d, %d is %g and %g, want %g", k, i, j, h.H[i*k+j], h.H[j*k+i], want[i*k+j])
				}
			}
		}
		if h.Rows != len(kept)/k {
			t.Errorf("%d rows, want %d", h.Rows, len(kept)/k)
		}
	}
}

// TestMatMul compares the runtime's products with plain ones.
func TestMatMul(t *testing.T) {
	e, err := newEngine(context.Background(), orttest.Runtime(t), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	r := rand.New(rand.NewPCG(3, 3))
	const m, k, n, ldc = 5, 33, 17, 20
	for _, turned := range []bool{false, true} {
		a, b := make([]float32, m*k), make([]float32, k*n)
		for _, v := range [][]float32{a, b} {
			for i := range v {
				v[i] = float32(r.NormFloat64())
			}
		}
		c := make([]float32, m*ldc)
		e.matMul(c, ldc, a, b, m, k, n, turned, -1)
		for i := range m {
			for j := range n {
				sum := 0.0
				for p := range k {
					y := b[p*n+j]
					if turned {
						y = b[j*k+p]
					}
					sum -= float64(a[i*k+p]) * float64(y)
				}
				if math.Abs(sum-float64(c[i*ldc+j])) > 1e-5 {
					t.Fatalf("turned %v: element %d, %d is %g, want %g", turned, i, j, c[i*ldc+j], sum)
				}
			}
		}
	}
}

// TestSolve: the methods that use data leave the outputs nearer to the float
// model's than rounding to nearest does.
func TestSolve(t *testing.T) {
	loss := func(method quant.Method, o *quant.Options) float64 {
		m, set, products := gpt(t, 12)
		held := gptSample(t)
		if method != quant.RTN {
			r, err := Solve(context.Background(), orttest.Runtime(t), m, set, products, Options{Method: method, Session: quiet, Budget: 1 << 16})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			o.Solutions = r.Solutions
		}
		before := logits(t, m, held)
		if _, err := quant.Quantize(context.Background(), m, o, nil, 1); err != nil {
			t.Fatal(err)
		}
		return -tensor.SQNR(before, logits(t, m, held))
	}
	plain := int4(quant.RTN)
	plain.PlainScales = true
	rtn := loss(quant.RTN, plain)
	for _, method := range []quant.Method{quant.GPTQ, quant.AWQ, quant.Auto} {
		o := int4(method)
		if method == quant.Auto {
			o.Method = quant.GPTQ
		}
		if got := loss(method, o); got > rtn-0.5 {
			t.Errorf("%s: %.2f dB of noise, rounding to nearest %.2f", method, got, rtn)
		}
	}
}

// gptSample is a window that calibration has not seen.
func gptSample(t *testing.T) map[string]tensor.Tensor {
	_, set, _ := gpt(t, 14)
	for range 13 {
		if _, err := set.Next(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := set.Next()
	if err != nil {
		t.Fatal(err)
	}
	return s.Inputs
}

func logits(t *testing.T, m *onnx.Model, in map[string]tensor.Tensor) []float32 {
	t.Helper()
	s, err := calibrate.Open(orttest.Runtime(t), m, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	v, err := out[s.Outputs()[0].Name].Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBadData: constant inputs are rounded all the same; inputs that are all 0, and
// activations that are no numbers, are errors that name them.
func TestBadData(t *testing.T) {
	solve := func(x float32) error {
		m, set, products := prepared(t, perceptron(t), constant(t, x), dataset.Options{})
		r, err := Solve(context.Background(), orttest.Runtime(t), m, set, products, Options{Method: quant.GPTQ, Session: quiet})
		if err == nil {
			r.Close()
			if len(r.Solutions) != 2 || len(r.Notes) == 0 {
				t.Errorf("%d solutions, notes %q", len(r.Solutions), r.Notes)
			}
		}
		return err
	}
	if err := solve(0.5); err != nil {
		t.Errorf("constant inputs: %v", err)
	}
	if err := solve(0); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("inputs of 0: %v", err)
	}
	h := newHessian(nil, 2)
	err := h.add(tensor.Of(tensor.Float32, tensor.Shape{1, 2}, []float32{1, float32(math.NaN())}), nil)
	if err == nil || !strings.Contains(err.Error(), "NaN at element 1") {
		t.Errorf("an activation that is NaN: %v", err)
	}
	if err := h.add(tensor.Of(tensor.Float32, tensor.Shape{1, 3}, []float32{1, 2, 3}), nil); err == nil {
		t.Error("rows of another width")
	}
}

// constant is a file with three samples of equal numbers.
func constant(t *testing.T, x float32) string {
	t.Helper()
	v := make([]float32, 3*48)
	for i := range v {
		v[i] = x
	}
	head := "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 48), }"
	for (10+len(head)+1)%64 != 0 {
		head += " "
	}
	head += "\n"
	file := filepath.Join(t.TempDir(), "x.npy")
	b := slices.Concat([]byte("\x93NUMPY\x01\x00"), []byte{byte(len(head)), byte(len(head) >> 8)}, []byte(head), tensor.AsBytes(v))
	if err := os.WriteFile(file, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCancelled: a run that is stopped leaves no file.
func TestCancelled(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	m, set, products := gpt(t, 3)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Solve(ctx, orttest.Runtime(t), m, set, products, Options{Method: quant.GPTQ, Session: quiet, Budget: 1, Progress: func(done, _ int) {
		if done == 5 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestStore: what is put is got, in memory or not, and room is used again.
func TestStore(t *testing.T) {
	s := newStore(100)
	defer s.close()
	put := func(key string, n int, v byte) {
		b := make([]byte, n)
		for i := range b {
			b[i] = v
		}
		if err := s.put(key, tensor.Of(tensor.Uint8, tensor.Shape{int64(n)}, b)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(key string, n int, v byte) {
		x, err := s.get(key)
		if err != nil || len(x.Data) != n || x.Data[0] != v || x.Data[n-1] != v {
			t.Fatalf("%s: %v %v", key, x, err)
		}
	}
	put("a", 80, 1)
	put("b", 80, 2)
	put("c", 80, 3)
	check("a", 80, 1)
	check("b", 80, 2)
	s.drop("b")
	put("d", 80, 4)
	check("c", 80, 3)
	check("d", 80, 4)
	if s.end != 160 {
		t.Errorf("the file has %d bytes, want 160", s.end)
	}
	put("a", 80, 5)
	check("a", 80, 5)
	if _, err := s.get("b"); err == nil {
		t.Error("got what was dropped")
	}
}
