package quant_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"optim/internal/calib"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// mutator damages the graph of a model in ways that a checker of values and
// sizes lets pass: what is wrong is only what the operators mean.
type mutator struct {
	*rand.Rand
	g *onnx.Graph
}

// nastyInts are dimensions, axes, sizes and counts that break careless
// arithmetic.
var nastyInts = []int64{0, 1, -1, 2, -2, 3, 7, 8, 1 << 31, 1 << 40, math.MaxInt64, math.MinInt64}

// nastyFloats are values that break careless scales.
var nastyFloats = []float32{0, 1, -1, 1e-45, 1e-38, math.MaxFloat32, -math.MaxFloat32,
	float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}

// mutatedOps are the operators that quantization, folding and inspection look
// into.
var mutatedOps = []string{"MatMul", "Gemm", "Conv", "ConvTranspose", "Gather", "LSTM", "GRU", "Attention", "Transpose",
	"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Identity", "Add", "Mul", "Div", "Sub", "Pow", "Sqrt", "Relu",
	"Clip", "Concat", "Split", "Slice", "Pad", "MaxPool", "AveragePool", "GlobalAveragePool", "Softmax", "Erf", "Tanh",
	"HardSigmoid", "HardSwish", "BatchNormalization", "LayerNormalization", "ReduceMean", "Constant", "ConstantOfShape",
	"Shape", "Expand", "Where", "If", "Loop", "Resize", "Upsample", "Dropout", "Sum", "Max", "Einsum"}

func pick[T any](m *mutator, list []T) (v T) {
	if len(list) > 0 {
		v = list[m.IntN(len(list))]
	}
	return v
}

// value returns the name of some value of the graph, or of none.
func (m *mutator) value() string {
	switch n := pick(m, m.g.Nodes); m.IntN(4) {
	case 0:
		return ""
	case 1:
		if t := pick(m, m.g.Initializers); t != nil {
			return t.Name
		}
	case 2:
		return pick(m, n.Outputs)
	}
	return pick(m, m.g.Inputs).Name
}

func (m *mutator) ints() []int64 {
	v := make([]int64, m.IntN(6))
	for i := range v {
		v[i] = pick(m, nastyInts)
	}
	return v
}

// mutate makes one change.
func (m *mutator) mutate() {
	n := pick(m, m.g.Nodes)
	switch m.IntN(9) {
	case 0:
		n.OpType = pick(m, mutatedOps)
	case 1:
		m.inputs(n)
	case 2:
		switch i := m.IntN(3); {
		case i == 0 && len(n.Outputs) > 0:
			n.Outputs = n.Outputs[:len(n.Outputs)-1]
		case i == 1:
			n.Outputs = append(n.Outputs, fmt.Sprintf("more%d", m.Uint32()))
		case i == 2:
			n.Outputs = append([]string{""}, n.Outputs...)
		}
	case 3, 4:
		m.attribute(n)
	case 5, 6:
		m.initializer()
	case 7:
		m.border()
	case 8: // another node of the same kind beside it
		twin := *n
		twin.Attrs = slices.Clone(n.Attrs)
		twin.Outputs = []string{fmt.Sprintf("twin%d", m.Uint32())}
		m.g.Nodes = append(m.g.Nodes, &twin)
		m.g.Outputs = append(m.g.Outputs, &onnx.ValueInfo{Name: twin.Outputs[0]})
	}
}

func (m *mutator) inputs(n *onnx.Node) {
	n.Inputs = slices.Clone(n.Inputs)
	switch i := m.IntN(len(n.Inputs) + 1); {
	case i == len(n.Inputs):
		n.Inputs = append(n.Inputs, m.value())
	case m.IntN(3) == 0:
		n.Inputs = n.Inputs[:i]
	default:
		n.Inputs[i] = m.value()
	}
}

func (m *mutator) attribute(n *onnx.Node) {
	names := []string{"axis", "axes", "perm", "group", "transA", "transB", "alpha", "beta", "kernel_shape", "strides", "pads",
		"dilations", "auto_pad", "to", "value", "hidden_size", "num_heads", "epsilon", "keepdims", "allowzero", "direction"}
	for _, a := range n.Attrs {
		names = append(names, a.Name, a.Name)
	}
	switch name := pick(m, names); m.IntN(7) {
	case 0, 1:
		n.SetAttr(onnx.IntAttr(name, pick(m, nastyInts)))
	case 2, 3:
		n.SetAttr(onnx.IntListAttr(name, m.ints()...))
	case 4:
		n.SetAttr(onnx.FloatAttr(name, pick(m, nastyFloats)))
	case 5:
		n.SetAttr(onnx.TensorAttr(name, m.tensor("")))
	default:
		n.RemoveAttr(name)
	}
}

// tensor makes a small one of any type and shape.
func (m *mutator) tensor(name string) *onnx.Tensor {
	s := make(tensor.Shape, m.IntN(5))
	for i := range s {
		s[i] = int64(m.IntN(4))
	}
	v := make([]float32, tensor.Tensor{Shape: s}.Len())
	for i := range v {
		v[i] = pick(m, nastyFloats)
	}
	t, err := tensor.Convert(tensor.Of(tensor.Float32, s, v), pick(m, []tensor.DType{
		tensor.Float32, tensor.Float32, tensor.Float32, tensor.Float16, tensor.BFloat16, tensor.Float64, tensor.Int64, tensor.Int32, tensor.Bool, tensor.Uint8}))
	if err != nil {
		panic(err)
	}
	return onnx.NewTensor(name, t)
}

// initializer gives a weight another shape, other values or another place.
func (m *mutator) initializer() {
	i := m.IntN(len(m.g.Initializers))
	t := m.g.Initializers[i]
	switch m.IntN(6) {
	case 0:
		t.Shape = slices.Clone(t.Shape)
		m.Shuffle(len(t.Shape), func(a, b int) { t.Shape[a], t.Shape[b] = t.Shape[b], t.Shape[a] })
	case 1:
		n, _ := t.Shape.Elements()
		t.Shape = pick(m, []tensor.Shape{{n}, {1, n}, {n, 1}, {1, 1, n}, {n, 1, 1, 1}, {1, n, 1, 1, 1}})
	case 2:
		m.g.Initializers[i] = m.tensor(t.Name)
	case 3:
		m.fill(i)
	case 4: // an input with a default
		m.g.Inputs = append(m.g.Inputs, &onnx.ValueInfo{Name: t.Name, Type: onnx.TensorType(t.DType, t.Shape...)})
	case 5: // an output of the graph
		m.g.Outputs = append(m.g.Outputs, &onnx.ValueInfo{Name: t.Name})
	}
}

// fill writes one value into all or one of a weight's elements.
func (m *mutator) fill(i int) {
	old := m.g.Initializers[i]
	if old.DType != tensor.Float32 {
		return
	}
	t, err := old.Value()
	if err != nil {
		return
	}
	v := slices.Clone(tensor.As[float32](t.Data))
	x, all := pick(m, nastyFloats), m.IntN(2) == 0
	for j := range v {
		if all || j == len(v)/2 {
			v[j] = x
		}
	}
	m.g.Initializers[i] = onnx.NewTensor(old.Name, tensor.Of(tensor.Float32, t.Shape, v))
}

// border changes what the graph says of its inputs, outputs and values.
func (m *mutator) border() {
	types := []*onnx.Type{nil, {}, {DType: tensor.Float32}, onnx.TensorType(tensor.Float16, 1), onnx.TensorType(tensor.Float32, m.ints()...),
		onnx.TensorType(tensor.String, 2), {Other: []byte{0x22, 0}}}
	switch v := m.value(); {
	case m.IntN(3) == 0:
		pick(m, m.g.Inputs).Type = pick(m, types)
	case v != "" && m.IntN(2) == 0:
		m.g.Outputs = append(m.g.Outputs, &onnx.ValueInfo{Name: v, Type: pick(m, types)})
	case v != "":
		m.g.ValueInfo = append(m.g.ValueInfo, &onnx.ValueInfo{Name: v, Type: pick(m, types)})
	}
}

// observations are as hostile as runs of a hostile model could make them.
func (m *mutator) observations(g *onnx.Model, o *quant.Options) quant.Observations {
	values, channels := quant.Activations(g, o)
	obs := quant.Observations{}
	for _, name := range values {
		if m.IntN(20) == 0 {
			continue
		}
		s := make(tensor.Shape, m.IntN(6))
		for i := range s {
			s[i] = int64(m.IntN(5))
		}
		h := calib.New(0)
		v := make([]float32, 1+m.IntN(50))
		for i := range v {
			v[i] = float32(m.NormFloat64())
		}
		if m.IntN(3) == 0 {
			v[0] = pick(m, nastyFloats)
		}
		h.Add(v)
		a := &quant.Observation{Shape: s, Min: h.Min, Max: h.Max, Power: m.Float64()}
		if o.Calibrator.Histograms() {
			a.Hist = h
		}
		if _, ok := channels[name]; ok && len(s) > 0 {
			n := int(s[len(s)-1])
			a.Mean = make([]float64, n)
			a.Channels = &quant.Channels{Min: make([]float32, n), Max: make([]float32, n), Square: make([]float64, n)}
		}
		obs[name] = a
	}
	return obs
}

// survive runs everything but the runtime over a model and reports a panic.
func (m *mutator) survive(b []byte, o *quant.Options) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	g, err := onnx.Parse(b)
	if err != nil {
		return nil
	}
	if _, err := inspect.Model(g, inspect.Options{Nodes: true, Weights: true}); err != nil {
		return nil
	}
	if _, err := quant.Prepare(g, &quant.Options{}); err != nil {
		return nil
	}
	var obs quant.Observations
	if o.Method == quant.Static {
		obs = m.observations(g, o)
	}
	if _, err := quant.Quantize(context.Background(), g, o, obs, 1); err != nil {
		return nil
	}
	out, err := g.Marshal()
	if err != nil {
		return nil
	}
	if _, err := onnx.Parse(out); err != nil {
		return fmt.Errorf("the result cannot be read: %w", err)
	}
	return nil
}

// TestMutatedModels damages real models and quantizes them by every method:
// an error is fine, a panic, a result that cannot be read or a run without end
// is not.
func TestMutatedModels(t *testing.T) {
	const rounds = 300 // a second; more find more, but seldom
	for _, name := range []string{"digits-mlp/digits-mlp", "mnist-cnn/mnist-cnn-bn", "tinygpt-s/tinygpt-s", "resnet-tiny/resnet-tiny-bn"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			path := filepath.Join(orttest.Root(t), "testdata/models", name+".onnx")
			passed := 0
			for round := range rounds {
				m := &mutator{Rand: rand.New(rand.NewPCG(5, uint64(round)))}
				b, ok := m.damaged(t, path)
				if !ok {
					continue
				}
				passed++
				o := options(t, pick(m, []quant.Method{quant.Dynamic, quant.Static, quant.Static, quant.WeightOnly}), func(o *quant.Options) {
					o.PerTensor, o.Symmetric = m.IntN(4) == 0, m.IntN(4) == 0
					o.Calibrator = pick(m, quant.Calibrators)
					o.Form = pick(m, quant.Forms)
				})
				start := time.Now()
				if err := m.survive(b, o); err != nil {
					t.Errorf("round %d, %s: %v", round, o.Method, err)
				}
				if d := time.Since(start); d > 20*time.Second {
					t.Errorf("round %d, %s: took %v", round, o.Method, d)
				}
			}
			if passed < rounds/4 {
				t.Errorf("only %d of %d damaged models can be read: the damage is too crude", passed, rounds)
			}
		})
	}
}

// damaged returns a model with one to four changes that can still be read.
func (m *mutator) damaged(t *testing.T, path string) ([]byte, bool) {
	t.Helper()
	source, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	m.g = source.Graph
	for range 1 + m.IntN(4) {
		m.mutate()
	}
	if m.IntN(10) == 0 {
		source.SetOpset("", 1+m.Int64N(27))
	}
	b, err := source.Marshal()
	if err != nil {
		return nil, false
	}
	_, err = onnx.Parse(b)
	return b, err == nil
}
