package quant

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// deriver follows distributions through a graph.
type deriver struct {
	scope *scope
	known map[string]channels
}

// deriveRules is the table of the operators that distributions are followed
// through.
var deriveRules = map[string]func(d *deriver, n *onnx.Node) (channels, bool){
	"BatchNormalization": deriveNorm,
	"Conv":               deriveConv,
	"Gemm":               deriveGemm,
	"Relu":               elementwise(func(n *onnx.Node) func(x float64) float64 { return func(x float64) float64 { return max(x, 0) } }),
	"LeakyRelu": elementwise(func(n *onnx.Node) func(x float64) float64 {
		a := float64(n.AttrFloat("alpha", 0.01))
		return func(x float64) float64 { return max(x, 0) + a*min(x, 0) }
	}),
	"Sigmoid": elementwise(func(n *onnx.Node) func(x float64) float64 { return sigmoid }),
	"Tanh":    elementwise(func(n *onnx.Node) func(x float64) float64 { return math.Tanh }),
	"HardSigmoid": elementwise(func(n *onnx.Node) func(x float64) float64 {
		a, b := float64(n.AttrFloat("alpha", 0.2)), float64(n.AttrFloat("beta", 0.5))
		return func(x float64) float64 { return min(max(a*x+b, 0), 1) }
	}),
	"HardSwish": elementwise(func(n *onnx.Node) func(x float64) float64 {
		return func(x float64) float64 { return x * min(max(x/6+0.5, 0), 1) }
	}),
	"Clip":              deriveClip,
	"Add":               derivePair(func(x, y float64) float64 { return x + y }),
	"Mul":               derivePair(func(x, y float64) float64 { return x * y }),
	"Identity":          deriveSame,
	"Dropout":           deriveSame,
	"MaxPool":           deriveMax,
	"AveragePool":       deriveSame,
	"GlobalAveragePool": deriveSame,
	"Flatten":           deriveFlat,
	"Reshape":           deriveFlat,
	"Concat":            deriveConcat,
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func elementwise(f func(n *onnx.Node) func(x float64) float64) func(d *deriver, n *onnx.Node) (channels, bool) {
	return func(d *deriver, n *onnx.Node) (channels, bool) {
		s, ok := d.known[n.Input(0)]
		if !ok {
			return nil, false
		}
		return s.each(f(n)), true
	}
}

// deriveNorm: normal with the shift as mean and the scale's magnitude as
// deviation, if the statistics are those of the data that comes.
func deriveNorm(d *deriver, n *onnx.Node) (channels, bool) {
	if n.AttrInt("training_mode", 0) != 0 {
		return nil, false
	}
	scale, okScale := d.vector(n.Input(1))
	shift, okShift := d.vector(n.Input(2))
	variance, okVariance := d.vector(n.Input(4))
	if !okScale || !okShift || !okVariance || len(scale) != len(shift) || len(scale) != len(variance) {
		return nil, false
	}
	out := make(channels, len(scale))
	for i := range scale {
		if !(variance[i] >= 0) {
			return nil, false
		}
		out[i] = normal(float64(shift[i]), math.Abs(float64(scale[i])), tail)
	}
	return out, true
}

// vector reads a constant of one dimension.
func (d *deriver) vector(name string) ([]float32, bool) {
	t, _ := d.scope.constant(name)
	if t == nil || len(t.Shape) != 1 {
		return nil, false
	}
	return d.scope.floats(name, int(t.Shape[0]))
}

// constant reads a constant of any shape.
func (d *deriver) constant(name string) (tensor.Shape, []float32, bool) {
	t, _ := d.scope.constant(name)
	if t == nil || t.DType != tensor.Float32 {
		return nil, nil, false
	}
	v, err := t.Value()
	if err != nil {
		return nil, nil, false
	}
	f, err := v.Float32s()
	return t.Shape, f, err == nil
}

// deriveConv: sums of many terms are nearly normal, with Σ w·mean and Σ w²·variance.
func deriveConv(d *deriver, n *onnx.Node) (channels, bool) {
	in, ok := d.known[n.Input(0)]
	shape, w, isConstant := d.constant(n.Input(1))
	if !ok || !isConstant || len(shape) < 3 {
		return nil, false
	}
	group := int(n.AttrInt("group", 1))
	out, perGroup := int(shape[0]), int(shape[1])
	if group < 1 || out%group != 0 || len(in) != group*perGroup || out*perGroup == 0 {
		return nil, false
	}
	taps := len(w) / (out * perGroup)
	return d.sums(n.Input(2), in, out, func(o, j int) (int, []float32) {
		return o/(out/group)*perGroup + j, w[(o*perGroup+j)*taps : (o*perGroup+j+1)*taps]
	}, perGroup)
}

// deriveGemm is deriveConv for matrices.
func deriveGemm(d *deriver, n *onnx.Node) (channels, bool) {
	in, ok := d.known[n.Input(0)]
	shape, w, isConstant := d.constant(n.Input(1))
	if !ok || !isConstant || len(shape) != 2 || n.AttrFloat("alpha", 1) != 1 || n.AttrFloat("beta", 1) != 1 || n.AttrInt("transA", 0) != 0 {
		return nil, false
	}
	k, out := int(shape[0]), int(shape[1])
	at := func(o, j int) int { return j*out + o }
	if transB(n) {
		k, out = out, k
		at = func(o, j int) int { return o*k + j }
	}
	if len(in) != k {
		return nil, false
	}
	return d.sums(n.Input(2), in, out, func(o, j int) (int, []float32) { return j, w[at(o, j) : at(o, j)+1] }, k)
}

// sums returns normal channels for sums of products: of(o, j) names the channel
// and the weights of term j of output o.
func (d *deriver) sums(bias string, in channels, out int, of func(o, j int) (int, []float32), terms int) (channels, bool) {
	b := make([]float32, out)
	if bias != "" {
		var ok bool
		if b, ok = d.vector(bias); !ok || len(b) != out {
			return nil, false
		}
	}
	means, variances := make([]float64, len(in)), make([]float64, len(in))
	for i := range in {
		means[i], variances[i] = in[i].moments()
	}
	s := make(channels, out)
	for o := range out {
		mean, variance := float64(b[o]), 0.0
		for j := range terms {
			c, ws := of(o, j)
			for _, w := range ws {
				mean += float64(w) * means[c]
				variance += float64(w) * float64(w) * variances[c]
			}
		}
		s[o] = normal(mean, math.Sqrt(variance), sumTail)
	}
	return s, true
}

func deriveClip(d *deriver, n *onnx.Node) (channels, bool) {
	s, ok := d.known[n.Input(0)]
	if !ok {
		return nil, false
	}
	low, high := math.Inf(-1), math.Inf(1)
	for i, bound := range []*float64{&low, &high} {
		if name := n.Input(i + 1); name != "" {
			_, v, ok := d.constant(name)
			if !ok || len(v) != 1 {
				return nil, false
			}
			*bound = float64(v[0])
		}
	}
	return s.each(func(x float64) float64 { return min(max(x, low), high) }), true
}

// derivePair: two activations, or one and a constant for each channel or for all.
func derivePair(f func(x, y float64) float64) func(d *deriver, n *onnx.Node) (channels, bool) {
	return func(d *deriver, n *onnx.Node) (channels, bool) {
		if len(n.Inputs) != 2 || n.Inputs[0] == n.Inputs[1] {
			return nil, false
		}
		a, okA := d.known[n.Inputs[0]]
		b, okB := d.known[n.Inputs[1]]
		switch {
		case okA && okB:
			return a.pair(b, f)
		case okA:
			return d.withConstant(a, n.Inputs[1], f)
		case okB:
			return d.withConstant(b, n.Inputs[0], f)
		}
		return nil, false
	}
}

// withConstant combines a channels with [C, 1, 1], [1, C, 1, 1] or one number.
func (d *deriver) withConstant(s channels, name string, f func(x, y float64) float64) (channels, bool) {
	shape, v, ok := d.constant(name)
	if !ok || len(v) != 1 && len(v) != len(s) {
		return nil, false
	}
	if n := len(shape); len(v) > 1 && (n < 3 || shape[n-1] != 1 || shape[n-2] != 1 || shape[n-3] != int64(len(v))) {
		return nil, false
	}
	out := make(channels, len(s))
	for i := range s {
		y := float64(v[i%len(v)])
		out[i] = s[i : i+1].each(func(x float64) float64 { return f(x, y) })[0]
	}
	return out, true
}

func deriveSame(d *deriver, n *onnx.Node) (channels, bool) {
	s, ok := d.known[n.Input(0)]
	return s, ok
}

// deriveMax: neighbours resemble each other, so that the greatest of a window is
// taken to be that of two values.
func deriveMax(d *deriver, n *onnx.Node) (channels, bool) {
	s, ok := d.known[n.Input(0)]
	if !ok {
		return nil, false
	}
	return s.pair(s, func(x, y float64) float64 { return max(x, y) })
}

// deriveFlat: behind a global pooling the channels are all that is left.
func deriveFlat(d *deriver, n *onnx.Node) (channels, bool) {
	p := d.scope.index.Producer(n.Input(0))
	if p == nil || !p.Is("GlobalAveragePool") {
		return nil, false
	}
	s, ok := d.known[n.Input(0)]
	return s, ok
}

func deriveConcat(d *deriver, n *onnx.Node) (channels, bool) {
	if n.AttrInt("axis", 0) != 1 {
		return nil, false
	}
	var out channels
	for _, in := range n.Inputs {
		s, ok := d.known[in]
		if !ok {
			return nil, false
		}
		out = append(out, s...)
	}
	return out, true
}
