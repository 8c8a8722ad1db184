package quant_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

const normChannels = 6

// norm adds a BatchNormalization whose statistics are those of the input that
// the test gives: mean 0 and variance 1.
func (n *net) norm(x string, channels int64, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	vector := func(name string, f func() float32) string {
		v := make([]float32, channels)
		for i := range v {
			v[i] = f()
		}
		return n.tensor(name, tensor.Of(tensor.Float32, tensor.Shape{channels}, v))
	}
	name := func(s string) string { return x + s }
	return n.op("BatchNormalization", []string{x,
		vector(name("_scale"), func() float32 { return float32(0.3 + r.Float64()) }),
		vector(name("_shift"), func() float32 { return float32(r.NormFloat64()) }),
		vector(name("_mean"), func() float32 { return 0 }),
		vector(name("_var"), func() float32 { return 1 })})
}

// TestDerive compares what is derived with what the runtime computes for inputs
// that are normal in every channel.
func TestDerive(t *testing.T) {
	tests := map[string]struct {
		build     func(n *net, a, b string) string
		tolerance float64 // of mean and deviation, in deviations
	}{
		"BatchNormalization": {func(n *net, a, _ string) string { return a }, 0.03},
		"Relu":               {func(n *net, a, _ string) string { return n.op("Relu", []string{a}) }, 0.03},
		"LeakyRelu":          {func(n *net, a, _ string) string { return n.op("LeakyRelu", []string{a}, onnx.FloatAttr("alpha", 0.2)) }, 0.03},
		"Sigmoid":            {func(n *net, a, _ string) string { return n.op("Sigmoid", []string{a}) }, 0.03},
		"Tanh":               {func(n *net, a, _ string) string { return n.op("Tanh", []string{a}) }, 0.03},
		"HardSigmoid":        {func(n *net, a, _ string) string { return n.op("HardSigmoid", []string{a}) }, 0.03},
		"HardSwish":          {func(n *net, a, _ string) string { return n.op("HardSwish", []string{a}) }, 0.03},
		"Clip": {func(n *net, a, _ string) string {
			return n.op("Clip", []string{a, n.floats("low", []float32{0}), n.floats("high", []float32{1})})
		}, 0.05},
		"Add":          {func(n *net, a, b string) string { return n.op("Add", []string{a, b}) }, 0.1},
		"Mul":          {func(n *net, a, b string) string { return n.op("Mul", []string{a, b}) }, 0.15},
		"Add constant": {func(n *net, a, _ string) string { return n.op("Add", []string{a, n.weight("c", normChannels, 1, 1)}) }, 0.03},
		"Mul constant": {func(n *net, a, _ string) string {
			return n.op("Mul", []string{n.weight("c", 1, normChannels, 1, 1), a})
		}, 0.03},
		"Concat": {func(n *net, a, b string) string { return n.op("Concat", []string{a, b}, onnx.IntAttr("axis", 1)) }, 0.03},
		"Conv": {func(n *net, a, _ string) string {
			return n.op("Conv", []string{n.op("Relu", []string{a}), n.weight("w", 5, normChannels, 3, 3), n.weight("bias", 5)})
		}, 0.15},
		"depthwise Conv": {func(n *net, a, _ string) string {
			return n.op("Conv", []string{n.op("Relu", []string{a}), n.weight("w", 2*normChannels, 1, 3, 3), n.weight("bias", 2*normChannels)}, onnx.IntAttr("group", normChannels))
		}, 0.15},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := newNet(17)
			a := n.norm(n.input("x", 1, normChannels, 120, 120), normChannels, 1)
			b := n.norm(n.input("z", 1, normChannels, 120, 120), normChannels, 2)
			y := tt.build(n, a, b)
			m := n.output(y, b)
			source := marshal(t, m)
			derived, err := quant.Derive(parse(t, source))
			if err != nil {
				t.Fatal(err)
			}
			d, ok := derived[y]
			if !ok {
				t.Fatal("nothing was derived")
			}
			r := rand.New(rand.NewPCG(3, 3))
			in := map[string]tensor.Tensor{}
			for _, x := range []string{"x", "z"} {
				v := make([]float32, normChannels*120*120)
				for i := range v {
					v[i] = float32(r.NormFloat64())
				}
				in[x] = tensor.Of(tensor.Float32, tensor.Shape{1, normChannels, 120, 120}, v)
			}
			out, err := session(t, source).Run(in)
			if err != nil {
				t.Fatal(err)
			}
			checkMoments(t, d, out[y], tt.tolerance)
			if o, ok := d.Observe(out[y].Shape); !ok || !slices.Equal(o.Mean, d.Mean) || o.Min > 0 || o.Max < 0 {
				t.Errorf("observation %+v, %v", o, ok)
			}
		})
	}
}

func checkMoments(t *testing.T, d quant.Derived, y tensor.Tensor, tolerance float64) {
	t.Helper()
	v := floats(t, y)
	channels := int(y.Shape[1])
	if len(d.Mean) != channels {
		t.Fatalf("%d channels, want %d", len(d.Mean), channels)
	}
	size := len(v) / channels
	for c := range channels {
		mean, power, outside := 0.0, 0.0, 0
		for _, x := range v[c*size : (c+1)*size] {
			mean += float64(x) / float64(size)
			power += float64(x) * float64(x) / float64(size)
			if float64(x) < d.Low[c]-1e-3 || float64(x) > d.High[c]+1e-3 {
				outside++
			}
		}
		deviation := math.Sqrt(power - mean*mean)
		if got := math.Sqrt(max(d.Power[c]-d.Mean[c]*d.Mean[c], 0)); math.Abs(got-deviation) > tolerance*deviation || math.Abs(d.Mean[c]-mean) > tolerance*deviation {
			t.Errorf("channel %d: mean %.4f ± %.4f, want %.4f ± %.4f", c, d.Mean[c], got, mean, deviation)
		}
		if outside > size/250 {
			t.Errorf("channel %d: %d of %d values outside %.3f … %.3f", c, outside, size, d.Low[c], d.High[c])
		}
	}
}

// TestDeriveUnknown: what does not come from a normalization is not known, nor is
// what follows from parameters that make no sense.
func TestDeriveUnknown(t *testing.T) {
	bad := map[string]func(n *net) string{
		"no normalization": func(n *net) string { return n.op("Relu", []string{n.conv(n.input("x", 1, 4, 8, 8), 4, 4, 3)}) },
		"training": func(n *net) string {
			y := n.norm(n.input("x", 1, 4, 8, 8), 4, 1)
			n.last().SetAttr(onnx.IntAttr("training_mode", 1))
			return y
		},
		"variance": func(n *net) string {
			y := n.norm(n.input("x", 1, 4, 8, 8), 4, 1)
			n.m.Graph.Initializers[3] = onnx.NewTensor("x_var", tensor.Of(tensor.Float32, tensor.Shape{4}, []float32{1, -1, 1, 1}))
			return y
		},
		"NaN": func(n *net) string {
			y := n.norm(n.input("x", 1, 4, 8, 8), 4, 1)
			n.m.Graph.Initializers[0] = onnx.NewTensor("x_scale", tensor.Of(tensor.Float32, tensor.Shape{4}, []float32{1, float32(math.NaN()), 1, 1}))
			return y
		},
		"unknown operator": func(n *net) string { return n.op("Sin", []string{n.norm(n.input("x", 1, 4, 8, 8), 4, 1)}) },
	}
	for name, build := range bad {
		n := newNet(17)
		y := build(n)
		derived, err := quant.Derive(n.output(y))
		if _, ok := derived[y]; ok || err != nil {
			t.Errorf("%s: %v %v", name, derived[y], err)
		}
	}
}

// unbalanced is a chain of convolutions, the second depthwise, with channels whose
// weights differ by up to a thousand; the model computes what it does with even
// ones.
func unbalanced() *onnx.Model {
	n := newNet(17)
	const c, in = 64, 32
	w1, b1, w2 := n.normal(c*in*9, 0.2), n.normal(c, 0.2), n.normal(c*9, 0.3)
	for i := range c {
		f := float32(math.Pow(1000, float64(i)/(c-1)))
		for j := range in * 9 {
			w1[i*in*9+j] *= f
		}
		b1[i] *= f
		for j := range 9 {
			w2[i*9+j] /= f
		}
	}
	x := n.op("Conv", []string{n.input("x", 1, in, 24, 24),
		n.tensor("w1", tensor.Of(tensor.Float32, tensor.Shape{c, in, 3, 3}, w1)), n.tensor("b1", tensor.Of(tensor.Float32, tensor.Shape{c}, b1))})
	x = n.op("Relu", []string{x})
	x = n.op("Conv", []string{x, n.tensor("w2", tensor.Of(tensor.Float32, tensor.Shape{c, 1, 3, 3}, w2)), n.weight("b2", c)}, onnx.IntAttr("group", c))
	x = n.op("Relu", []string{x})
	return n.output(n.op("Conv", []string{x, n.weight("w3", 64, c, 1, 1), n.weight("b3", 64)}))
}

// TestEqualize: the outputs stay what they were, and with one scale for each
// weight the integers come much nearer to them.
func TestEqualize(t *testing.T) {
	source := unbalanced()
	even := parse(t, marshal(t, source))
	divisors, err := quant.Equalize(even)
	if err != nil {
		t.Fatal(err)
	}
	if len(divisors) != 4 {
		t.Errorf("%d values were divided, want 4", len(divisors))
	}
	before, after := session(t, marshal(t, source)), session(t, marshal(t, even))
	_, list := samples(t, before)
	for _, in := range list {
		a, err := before.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := after.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		for name := range a {
			if s := tensor.SQNR(floats(t, a[name]), floats(t, b[name])); s < 100 {
				t.Errorf("output %s: equalized, it differs: %.0f dB", name, s)
			}
		}
	}
	perTensor := func(o *quant.Options) { o.PerTensor = true }
	noise := func(m *onnx.Model) float64 {
		r := apply(t, m, options(t, quant.Static, perTensor))
		sum := 0.0
		for i := range r.outputs {
			for name, a := range r.sources[i] {
				sum -= tensor.SQNR(floats(t, a), floats(t, r.outputs[i][name]))
			}
		}
		return sum / float64(len(r.outputs))
	}
	uneven, balanced := noise(source), noise(even)
	if balanced > uneven-15 || balanced > -20 {
		t.Errorf("noise of %.1f dB, equalized %.1f dB", uneven, balanced)
	}
}

// TestEqualizeLeaves: weights that others use, activations that others see, and
// functions that factors do not pass.
func TestEqualizeLeaves(t *testing.T) {
	tests := map[string]func(n *net, x string) string{
		"sigmoid": func(n *net, x string) string { return n.conv(n.op("Sigmoid", []string{n.conv(x, 4, 4, 1)}), 4, 4, 1) },
		"branch": func(n *net, x string) string {
			y := n.conv(x, 4, 4, 1)
			return n.op("Add", []string{n.conv(y, 4, 4, 1), y})
		},
		"shared weight": func(n *net, x string) string {
			w := n.weight("w", 4, 4, 1, 1)
			return n.op("Conv", []string{n.op("Conv", []string{x, w}), w})
		},
	}
	for name, build := range tests {
		n := newNet(17)
		m := n.output(build(n, n.input("x", 1, 4, 5, 5)))
		before := marshal(t, m)
		if d, err := quant.Equalize(m); err != nil || len(d) > 0 || !bytes.Equal(before, marshal(t, m)) {
			t.Errorf("%s: %v %v", name, d, err)
		}
	}
}
