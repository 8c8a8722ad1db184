package quant

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// equalizeRounds bounds the passes over all pairs; a chain of three is solved by
// solving its pairs in turn.
const equalizeRounds = 20

// Equalize scales the channels between convolutions such that the weights on both
// sides have equal ranges in each channel (cross-layer equalization, Nagel et
// al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
// 2019, section 4.1):
//
//	s_i = √(r1_i / r2_i),  W1[i] / s_i,  b1[i] / s_i,  W2[:, i] · s_i
//
// with r1 and r2 the greatest magnitudes. Relu and LeakyRelu between them let
// positive factors through, so the model computes what it did. It is of use where
// one scale serves a whole weight, and depthwise convolutions with channels of
// very different ranges would lose all but the greatest. It returns what
// the values between were divided by, by name.
func Equalize(m *onnx.Model) (map[string][]float64, error) {
	s := scopes(m.Graph)[0]
	var pairs []*layerPair
	for _, n := range m.Graph.Nodes {
		if p := s.layerPair(n); p != nil {
			pairs = append(pairs, p)
		}
	}
	for range equalizeRounds {
		moved := 0.0
		for _, p := range pairs {
			moved = max(moved, p.balance())
		}
		if moved < 1e-3 {
			break
		}
	}
	divisors := map[string][]float64{}
	for _, p := range pairs {
		for _, v := range p.between {
			divisors[v] = p.factor
		}
	}
	for _, c := range convolutionsOf(pairs) {
		c.store()
	}
	return divisors, nil
}

// convolution is a Conv whose weight and bias are its own.
type convolution struct {
	node   *onnx.Node
	w, b   *onnx.Tensor // b nil: none
	v, bv  []float64
	groups int
	graph  *onnx.Graph
}

// layerPair is a convolution whose output only another one sees.
type layerPair struct {
	first, second *convolution
	between       []string // values whose channels are scaled
	factor        []float64
}

// layerPair returns the pair that begins with a node; nil: it begins none.
func (s *scope) layerPair(n *onnx.Node) *layerPair {
	first := s.convolution(n)
	if first == nil {
		return nil
	}
	p := &layerPair{first: first, between: []string{n.Outputs[0]}}
	next := s.index.SoleConsumer(n.Outputs[0])
	for next != nil && next.Is("Relu", "LeakyRelu") {
		p.between = append(p.between, next.Outputs[0])
		next = s.index.SoleConsumer(next.Outputs[0])
	}
	if next == nil || !next.Is("Conv") || next.Inputs[0] != p.between[len(p.between)-1] {
		return nil
	}
	if p.second = s.convolution(next); p.second == nil {
		return nil
	}
	channels := int(first.w.Shape[0])
	if int(p.second.w.Shape[1])*p.second.groups != channels {
		return nil
	}
	p.factor = make([]float64, channels)
	for i := range p.factor {
		p.factor[i] = 1
	}
	return p
}

// convolution reads a Conv's weight and bias; once for each node, so that pairs
// that share one work on the same numbers.
func (s *scope) convolution(n *onnx.Node) *convolution {
	if !n.Is("Conv") || incomplete(n) {
		return nil
	}
	if c := s.read[n]; c != nil {
		return c
	}
	c := &convolution{node: n, groups: int(n.AttrInt("group", 1)), graph: s.graph}
	if c.w, c.v = s.ownFloats(n.Inputs[1]); c.w == nil || len(c.w.Shape) < 3 || c.groups < 1 {
		return nil
	}
	if n.Input(2) != "" {
		if c.b, c.bv = s.ownFloats(n.Inputs[2]); c.b == nil || len(c.bv) != int(c.w.Shape[0]) {
			return nil
		}
	}
	if s.read == nil {
		s.read = map[*onnx.Node]*convolution{}
	}
	s.read[n] = c
	return c
}

// ownFloats reads a constant that no other node uses.
func (s *scope) ownFloats(name string) (*onnx.Tensor, []float64) {
	t, home := s.constant(name)
	if t == nil || t.DType != tensor.Float32 || home != s || len(s.index.Consumers(name)) != 1 || s.index.IsOutput(name) {
		return nil, nil
	}
	v, err := t.Value()
	if err != nil {
		return nil, nil
	}
	f, err := v.Float32s()
	if err != nil || tensor.FirstNonFinite(f) >= 0 {
		return nil, nil
	}
	wide := make([]float64, len(f))
	for i, x := range f {
		wide[i] = float64(x)
	}
	return t, wide
}

// balance makes the ranges of all channels equal, and returns by how much the
// greatest factor differs from 1.
func (p *layerPair) balance() float64 {
	moved := 0.0
	for i := range p.factor {
		r1, r2 := p.first.range1(i), p.second.range2(i)
		if !(r1 > 0) || !(r2 > 0) {
			continue
		}
		s := math.Sqrt(r1 / r2)
		if s < 1e-6 || s > 1e6 {
			continue
		}
		p.first.scaleOutput(i, 1/s)
		p.second.scaleInput(i, s)
		p.factor[i] *= s
		moved = max(moved, math.Abs(s-1))
	}
	return moved
}

// outputs gives f the weights of output channel i.
func (c *convolution) outputs(i int, f func(x *float64)) {
	n := len(c.v) / int(c.w.Shape[0])
	for j := range n {
		f(&c.v[i*n+j])
	}
}

// inputs gives f the weights that input channel i meets.
func (c *convolution) inputs(i int, f func(x *float64)) {
	out, in := int(c.w.Shape[0]), int(c.w.Shape[1])
	taps := len(c.v) / (out * in)
	perGroup := out / c.groups
	for o := i / in * perGroup; o < (i/in+1)*perGroup; o++ {
		for t := range taps {
			f(&c.v[(o*in+i%in)*taps+t])
		}
	}
}

func (c *convolution) range1(i int) (r float64) {
	c.outputs(i, func(x *float64) { r = max(r, math.Abs(*x)) })
	return r
}

func (c *convolution) range2(i int) (r float64) {
	c.inputs(i, func(x *float64) { r = max(r, math.Abs(*x)) })
	return r
}

func (c *convolution) scaleOutput(i int, s float64) {
	c.outputs(i, func(x *float64) { *x *= s })
	if c.b != nil {
		c.bv[i] *= s
	}
}

func (c *convolution) scaleInput(i int, s float64) { c.inputs(i, func(x *float64) { *x *= s }) }

// convolutionsOf lists the convolutions of pairs, each once.
func convolutionsOf(pairs []*layerPair) []*convolution {
	var out []*convolution
	seen := map[*convolution]bool{}
	for _, p := range pairs {
		for _, c := range []*convolution{p.first, p.second} {
			if !seen[c] {
				seen[c] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// store puts the scaled numbers in the place of the constants.
func (c *convolution) store() {
	replace := func(t *onnx.Tensor, v []float64) {
		f := make([]float32, len(v))
		for i, x := range v {
			f[i] = float32(x)
		}
		for i, old := range c.graph.Initializers {
			if old == t {
				c.graph.Initializers[i] = onnx.NewTensor(t.Name, tensor.Of(tensor.Float32, t.Shape.Clone(), f))
			}
		}
	}
	replace(c.w, c.v)
	if c.b != nil {
		replace(c.b, c.bv)
	}
}
