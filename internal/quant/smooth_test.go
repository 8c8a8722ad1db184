package quant

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/calib"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// activations are rows of channels, some of which are outliers.
type activations struct {
	x       []float32 // [rows, k]
	rows, k int
}

func outliers(r *rand.Rand, rows, k int, size float64) activations {
	a := activations{x: random(r, rows*k), rows: rows, k: k}
	for i := range rows {
		for j := 0; j < k; j += 16 {
			a.x[i*k+j] *= float32(size)
		}
	}
	return a
}

// observe does what calibration does, by definition.
func (a activations) observe(histogram bool) *Observation {
	o := &Observation{Shape: tensor.Shape{int64(a.rows), int64(a.k)}}
	c := &Channels{Min: make([]float32, a.k), Max: make([]float32, a.k), Square: make([]float64, a.k)}
	o.Mean = make([]float64, a.k)
	for i, x := range a.x {
		j := i % a.k
		o.Min, o.Max = min(o.Min, x), max(o.Max, x)
		c.Min[j], c.Max[j] = min(c.Min[j], x), max(c.Max[j], x)
		c.Square[j] += float64(x) * float64(x) / float64(a.rows)
		o.Mean[j] += float64(x) / float64(a.rows)
		o.Power += float64(x) * float64(x) / float64(len(a.x))
	}
	o.Channels = c
	if histogram {
		o.Hist = calib.New(0)
		o.Hist.Add(a.x)
	}
	return o
}

// multiply returns X·W in float64.
func (a activations) multiply(w []float32, n int) []float32 {
	out := make([]float32, a.rows*n)
	for i := range a.rows {
		for c := range n {
			sum := 0.0
			for j := range a.k {
				sum += float64(a.x[i*a.k+j]) * float64(w[j*n+c])
			}
			out[i*n+c] = float32(sum)
		}
	}
	return out
}

// rounded returns X as its code restores it, after division by s.
func (a activations) rounded(c codes, s []float32) activations {
	out := activations{x: make([]float32, len(a.x)), rows: a.rows, k: a.k}
	for i, x := range a.x {
		q := math.RoundToEven(float64(x/s[i%a.k]/c.scale)) + float64(c.zero)
		out.x[i] = c.scale * float32(max(codeMin, min(codeMax, q))-float64(c.zero))
	}
	return out
}

// productPass has one product over x, with a weight as stored.
func productPass(t *testing.T, o *Observation, w []float32, k, n int, turned bool, smooth float64) (*staticPass, *unit) {
	t.Helper()
	dims, node := tensor.Shape{int64(k), int64(n)}, onnx.NewNode("Gemm", "p", []string{"x", "w"}, []string{"y"})
	if turned {
		flat := make([]float32, len(w))
		for j := range k {
			for c := range n {
				flat[c*k+j] = w[j*n+c]
			}
		}
		w, dims = flat, tensor.Shape{int64(n), int64(k)}
		node.SetAttr(onnx.IntAttr("transB", 1))
	}
	g := &onnx.Graph{
		Nodes: []*onnx.Node{node}, Initializers: []*onnx.Tensor{onnx.NewTensor("w", tensor.Of(tensor.Float32, dims, w))},
		Inputs: []*onnx.ValueInfo{{Name: "x"}}, Outputs: []*onnx.ValueInfo{{Name: "y"}},
	}
	target, err := ParseTarget("vnni")
	if err != nil {
		t.Fatal(err)
	}
	opt := &Options{Bits: 8, Smooth: smooth, Calibrator: AutoCalibrator, Target: target}
	q := newPass(&onnx.Model{Graph: g}, opt, &Plan{})
	p := &staticPass{pass: q, s: scopes(g)[0], obs: Observations{"x": o}, codes: map[string]codes{}}
	p.units = q.units(p.s)
	if err := p.encode(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	return p, p.units[0]
}

// TestSmoothing: with outlier channels the search divides, the product stays
// what it was, and the quantized product comes nearer to it.
func TestSmoothing(t *testing.T) {
	const rows, k, n = 64, 64, 48
	for _, histogram := range []bool{false, true} {
		for _, turned := range []bool{false, true} {
			r := rand.New(rand.NewPCG(5, 5))
			a, w := outliers(r, rows, k, 40), random(r, k*n)
			p, u := productPass(t, a.observe(histogram), w, k, n, turned, SmoothAuto)
			if err := p.chooseSmoothing(context.Background(), 2); err != nil {
				t.Fatal(err)
			}
			sm := p.smooth["x"]
			if sm == nil {
				t.Fatal("nothing was smoothed")
			}
			l := layout{axis: 1, dtype: tensor.Int8, max: 127, factor: 1}
			if turned {
				l.axis, l.turned = 0, true
			}
			want := a.multiply(w, n)
			err := func(code codes, s []float32, sm *smoothing) float64 {
				q := made(t, stored[float32](t, u.weight.tensor), u.weight.tensor.Shape, l, sm)
				ints, scales := stored[int8](t, q.data), stored[float32](t, q.scale)
				restored := make([]float32, k*n)
				for j := range k {
					for c := range n {
						at := j*n + c
						if turned {
							at = c*k + j
						}
						restored[j*n+c] = float32(ints[at]) * scales[c]
					}
				}
				return tensor.MSE(want, a.rounded(code, s).multiply(restored, n))
			}
			plain, smooth := err(p.codes["x"], ones(k), nil), err(sm.code, sm.factor, sm)
			if smooth > 0.8*plain {
				t.Errorf("histogram %v, turned %v: error %g with smoothing, %g without", histogram, turned, smooth, plain)
			}
			// The search promises an error; it must be of the right size.
			ws := []*channelWeights{weightsOf(t, p, u)}
			for _, c := range []struct{ promised, real float64 }{
				{p.obs["x"].noise(ones(k), p.codes["x"], ws) / n, plain}, {p.obs["x"].noise(sm.factor, sm.code, ws) / n, smooth},
			} {
				if ratio := c.promised / c.real; ratio < 0.5 || ratio > 2 {
					t.Errorf("expected error %g, real error %g", c.promised, c.real)
				}
			}
		}
	}
}

func weightsOf(t *testing.T, p *staticPass, u *unit) *channelWeights {
	t.Helper()
	w, err := p.readWeights(u)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestSmoothedProduct: (X/s)·(s·W) is X·W.
func TestSmoothedProduct(t *testing.T) {
	const rows, k, n = 8, 32, 16
	r := rand.New(rand.NewPCG(6, 6))
	a, w := outliers(r, rows, k, 40), random(r, k*n)
	p, u := productPass(t, a.observe(false), w, k, n, false, 0.5)
	if err := p.chooseSmoothing(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	sm := p.smooth["x"]
	divided := activations{x: make([]float32, len(a.x)), rows: rows, k: k}
	for i, x := range a.x {
		divided.x[i] = x / sm.factor[i%k]
	}
	got := divided.multiply(sm.multiply(w, false), n)
	if e := tensor.SQNR(a.multiply(w, n), got); e < 110 {
		t.Errorf("%g dB", e)
	}
	cw := weightsOf(t, p, u)
	for c, top := range cw.columnMax(sm.factor) {
		want := float32(0)
		for j := range k {
			want = max(want, float32(math.Abs(float64(w[j*n+c]*sm.factor[j]))))
		}
		if top != want {
			t.Errorf("column %d: maximum %g, want %g", c, top, want)
		}
	}
}

// TestNoSmoothing: without outliers, without statistics, or with a shared
// weight, nothing is divided.
func TestNoSmoothing(t *testing.T) {
	const rows, k, n = 64, 32, 16
	r := rand.New(rand.NewPCG(7, 7))
	even := outliers(r, rows, k, 1)
	w := random(r, k*n)
	check := func(name string, p *staticPass) {
		t.Helper()
		if err := p.chooseSmoothing(context.Background(), 2); err != nil {
			t.Fatal(err)
		}
		if len(p.smooth) != 0 {
			t.Errorf("%s: smoothed", name)
		}
	}
	p, _ := productPass(t, even.observe(false), w, k, n, false, SmoothAuto)
	check("no outliers", p)
	far := outliers(r, rows, k, 100)
	p, _ = productPass(t, far.observe(false), w, k, n, false, SmoothOff)
	check("switched off", p)
	o := far.observe(false)
	o.Channels = nil
	p, _ = productPass(t, o, w, k, n, false, SmoothAuto)
	check("no statistics", p)
	for _, op := range []string{"Transpose", "Gather", "MatMul", "Abs"} {
		p, _ = productPass(t, far.observe(false), w, k, n, false, SmoothAuto)
		g := p.s.graph
		g.Nodes = append(g.Nodes, onnx.NewNode(op, "other", []string{"w"}, []string{"z"}))
		p.s.index = onnx.NewIndex(g)
		check("shared with "+op, p)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		broken := slices.Clone(w)
		broken[len(broken)/2] = float32(bad)
		for _, alpha := range []float64{SmoothAuto, 0.5} {
			p, _ = productPass(t, far.observe(false), broken, k, n, false, alpha)
			check(fmt.Sprintf("a weight of %g", bad), p)
		}
	}
	huge := slices.Clone(w)
	for i := range huge {
		huge[i] = math.MaxFloat32 // the factors end at 1e-5, and X/s beyond float32
	}
	o = even.observe(false)
	o.Max, o.Channels.Max[0] = 1e37, 1e37
	p, _ = productPass(t, o, huge, k, n, false, 0.1)
	check("X/s overflows", p)
	p, _ = productPass(t, far.observe(false), w, k, n, false, SmoothAuto)
	p.units = append(p.units, &unit{node: onnx.NewNode("Conv", "", nil, nil), role: compute, inputs: []string{"i"}, outputs: []string{"x"}})
	check("made by an integer unit", p)
}
