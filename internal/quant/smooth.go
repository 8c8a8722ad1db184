package quant

import (
	"context"
	"maps"
	"math"
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// SmoothQuant (Xiao et al. 2023): a product X·W equals (X/s)·(s·W) for any
// factor per input channel. With
//
//	s_j = max|X_j|^alpha / max|W_j|^(1-alpha)
//
// the outliers of a few activation channels move into the weights, which have
// a scale per column to take them.
type smoothing struct {
	factor []float32 // s, one per input channel
	code   codes     // of X/s
}

// smoothGain is the factor by which smoothing must lower the expected noise of
// the products, 2 dB, to be worth the multiplication that it costs.
const smoothGain = 0.63

// alphas is the grid that is searched for each activation.
var alphas = []float64{0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9}

// chooseSmoothing decides for every activation that only products read whether
// and how it is smoothed.
func (p *staticPass) chooseSmoothing(ctx context.Context, workers int) error {
	p.smooth = map[string]*smoothing{}
	if p.o.Smooth == SmoothOff {
		return nil
	}
	groups := map[string][]*unit{}
	for _, u := range p.units {
		if u.role == compute && floatOutput(u.node) {
			groups[u.inputs[0]] = append(groups[u.inputs[0]], u)
		}
	}
	values := slices.DeleteFunc(slices.Sorted(maps.Keys(groups)), func(v string) bool { return !p.canSmooth(v, groups[v]) })
	found := make([]*smoothing, len(values))
	err := parallel(ctx, workers, len(values), func(i int) (err error) {
		found[i], err = p.search(values[i], groups[values[i]])
		return err
	})
	for i, v := range values {
		if found[i] != nil {
			p.smooth[v] = found[i]
		}
	}
	return err
}

// canSmooth: the channels were observed, and neither another integer unit nor
// a shared weight would see the factors; nor are the integers made by the unit
// before, which knows nothing of them.
func (p *staticPass) canSmooth(v string, group []*unit) bool {
	o := p.obs[v]
	if o == nil || o.Channels == nil || !o.finite() {
		return false
	}
	for _, u := range p.units {
		if slices.Contains(u.inputs, v) && u.role != floatOnly && !slices.Contains(group, u) {
			return false
		}
		if slices.Contains(u.outputs, v) && u.joins() {
			return false
		}
	}
	return !slices.ContainsFunc(group, func(u *unit) bool {
		k := u.weight.tensor.Elements() / u.channels()
		return u.weight.usedOutside(group) || int(k) != len(o.Channels.Max)
	})
}

// usedOutside reports whether other nodes use a weight, too: it would be stored
// twice, with the factors and without.
func (o operand) usedOutside(group []*unit) bool {
	return slices.ContainsFunc(o.scope.index.Consumers(o.tensor.Name), func(n *onnx.Node) bool {
		return !slices.ContainsFunc(group, func(u *unit) bool { return u.node == n })
	})
}

// search compares the expected noise of the products for all alphas with that
// of no smoothing.
func (p *staticPass) search(v string, group []*unit) (*smoothing, error) {
	o := p.obs[v]
	ws := make([]*channelWeights, len(group))
	for i, u := range group {
		var err error
		if ws[i], err = p.readWeights(u); err != nil {
			return nil, err
		}
		defer u.weight.tensor.Release()
	}
	plain := ones(len(o.Channels.Max))
	best, bound := (*smoothing)(nil), smoothGain*o.noise(plain, p.codes[v], ws)
	grid := alphas
	if p.o.Smooth != SmoothAuto {
		grid, bound = []float64{p.o.Smooth}, math.Inf(1)
	}
	for _, alpha := range grid {
		sm := o.smoothed(alpha, ws, p.o.Symmetric)
		if sm == nil {
			continue
		}
		if e := o.noise(sm.factor, sm.code, ws); e < bound {
			best, bound = sm, e
		}
	}
	return best, nil
}

func ones(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

// smoothed returns the factors for one alpha, and the code of X/s from the
// observed extremes of its channels; nil where X/s leaves float32, or the
// weights hold what is no number (which fitting them reports).
func (o *Observation) smoothed(alpha float64, ws []*channelWeights, symmetric bool) *smoothing {
	c := o.Channels
	sm := &smoothing{factor: make([]float32, len(c.Max))}
	var lo, hi float32
	for j := range sm.factor {
		x := math.Max(float64(c.Max[j]), -float64(c.Min[j]))
		w := 0.0
		for _, cw := range ws {
			w = math.Max(w, float64(cw.rowMax[j]))
		}
		s := math.Pow(math.Max(x, 1e-5), alpha) / math.Pow(math.Max(w, 1e-5), 1-alpha)
		sm.factor[j] = float32(math.Max(s, 1e-5))
		lo, hi = min(lo, c.Min[j]/sm.factor[j]), max(hi, c.Max[j]/sm.factor[j])
	}
	if lo-lo != 0 || hi-hi != 0 {
		return nil
	}
	scale, zero := tensor.ChooseAffine(lo, hi, tensor.Uint8, codeMin, codeMax, symmetric && lo < 0)
	sm.code = codes{scale, zero, roundingSQNR(c.power(sm.factor)/float64(len(sm.factor)), scale)}
	return sm
}

// power is the sum over the channels of the mean squares of X/s.
func (c *Channels) power(s []float32) float64 {
	sum := 0.0
	for j, f := range s {
		sum += c.Square[j] / float64(f) / float64(f)
	}
	return sum
}

// noise is the expected squared error of the products per run position: from
// rounding X/s, which every column of s·W sees, and from rounding s·W with one
// scale per column, which every channel of X/s sees.
func (o *Observation) noise(s []float32, c codes, ws []*channelWeights) float64 {
	input := roundingNoise(c.scale)
	if o.Hist != nil && s[0] == 1 { // the plain code may clip
		input = o.Hist.Noise(c.scale, c.zero, codeMin, codeMax)
	}
	total, power := 0.0, o.Channels.power(s)
	for _, w := range ws {
		for j := range s {
			total += input * float64(s[j]) * float64(s[j]) * w.rowSquare[j]
		}
		for _, top := range w.columnMax(s) {
			step := float64(top) / w.limit
			total += power * step * step / 12
		}
	}
	return total
}

// channelWeights are the values of a weight seen as [inputs, outputs].
type channelWeights struct {
	v          []float32
	k, n       int
	turned     bool    // stored as [outputs, inputs]
	limit      float64 // greatest magnitude of its integers
	perTensor  bool    // one scale for all columns
	rowMax     []float32
	rowSquare  []float64
	columnTops []float32
}

// readWeights reads a unit's weight and its statistics per input channel.
func (p *staticPass) readWeights(u *unit) (*channelWeights, error) {
	t, err := u.weight.tensor.Value()
	if err != nil {
		return nil, err
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	n := int(u.channels())
	w := &channelWeights{v: v, n: n, k: len(v) / n, turned: u.turned(), limit: float64(p.weightMax()), perTensor: p.o.PerTensor}
	axis := 0
	if w.turned {
		axis = 1
	}
	w.rowMax = tensor.AbsMaxAxis(v, u.weight.tensor.Shape, axis)
	_, w.rowSquare = tensor.NormsAxis(v, u.weight.tensor.Shape, axis)
	for j, norm := range w.rowSquare {
		w.rowSquare[j] = norm * norm
	}
	return w, nil
}

// columnMax returns what decides the scale of every output n: max|s_j·W_jn|,
// over all n where there is one scale.
func (w *channelWeights) columnMax(s []float32) []float32 {
	tops := w.eachColumn(s)
	if w.perTensor {
		all := slices.Max(tops)
		for i := range tops {
			tops[i] = all
		}
	}
	return tops
}

func (w *channelWeights) eachColumn(s []float32) []float32 {
	if w.columnTops == nil {
		w.columnTops = make([]float32, w.n)
	}
	clear(w.columnTops)
	if w.turned {
		for n := range w.n {
			top := float32(0)
			for j, x := range w.v[n*w.k : (n+1)*w.k] {
				top = max(top, x*s[j], -x*s[j])
			}
			w.columnTops[n] = top
		}
		return w.columnTops
	}
	for j, f := range s {
		row := w.v[j*w.n : (j+1)*w.n]
		for n, x := range row {
			w.columnTops[n] = max(w.columnTops[n], x*f, -x*f)
		}
	}
	return w.columnTops
}

// divide emits X/s.
func (p *staticPass) divide(v string, sm *smoothing) (*onnx.Node, string) {
	inverse := make([]float32, len(sm.factor))
	for j, s := range sm.factor {
		inverse[j] = 1 / s
	}
	name, out := p.namer.Fresh(v+"_smoothing"), p.namer.Fresh(v+"_smoothed")
	p.s.graph.Initializers = append(p.s.graph.Initializers,
		onnx.NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape{int64(len(inverse))}, inverse)))
	return onnx.NewNode("Mul", p.namer.Fresh(v+"_smooth"), []string{v, name}, []string{out}), out
}
