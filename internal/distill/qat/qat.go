// Package qat trains a network for the integers that it is going to have
// (quantization-aware training: Jacob et al., Quantization and Training of Neural
// Networks for Efficient Integer-Arithmetic-Only Inference). It begins with what
// calibration or rounding decided, puts the same rounding into the training graph, and
// learns weights and scales. The quantizer then places the result like any other.
package qat

import (
	"context"
	"slices"

	"optim/internal/autodiff"
	"optim/internal/distill"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
	"optim/internal/rounding"
	"optim/internal/tensor"
	"optim/internal/train"
)

// Result is what was learned, beside the weights, which are in the model.
type Result struct {
	Codes     map[string]quant.Code
	Scales    map[string][]float32
	Solutions quant.Solutions
	Outcome   *train.Outcome
}

type gridOf = rounding.Grid

// job is one training.
type job struct {
	q        *quant.Options
	plan     *quant.Plan // of the model quantized without training
	products []quant.Product
	grids    map[string]gridOf // of products, by weight
	only     map[string]bool   // weights to be looked at; nil: all
	faker    *faker
	weights  map[string]tensor.Tensor
}

// Train trains m, a prepared float model, for what the plan says of it: the one that
// quant.Quantize made of a copy. float is the model as it was, which teaches where the
// data has no labels. Weights in 4 bits are those that quant.Products lists.
func Train(ctx context.Context, rt *ort.Runtime, float, m *onnx.Model, q *quant.Options, plan *quant.Plan, rows *train.Rows, o distill.Options) (*Result, error) {
	j := &job{q: q, plan: plan, grids: map[string]gridOf{}}
	if q.Format == quant.Int4 {
		if err := j.fit(m); err != nil {
			return nil, err
		}
	}
	o.Rewrite, o.Learned = j.rewrite, func(w map[string]tensor.Tensor) { j.weights = w }
	out, err := distill.Run(ctx, rt, float, m, rows, o)
	if err != nil {
		return &Result{Outcome: out}, err
	}
	return j.result(m, out)
}

// fit finds the grids that products in blocks begin with.
func (j *job) fit(m *onnx.Model) error {
	for _, p := range quant.Products(m, j.q) {
		w, err := p.Rows()
		if err != nil {
			return err
		}
		g, err := p.Scheme.Fit(w, p.K, nil)
		if err != nil {
			return err
		}
		j.products = append(j.products, p)
		j.grids[p.Weight.Name] = g
	}
	return nil
}

// rewrite puts the rounding into the training graph.
func (j *job) rewrite(g *autodiff.Graph) ([]train.Weight, error) {
	j.faker = &faker{g: g}
	j.place(g)
	for _, v := range sorted(j.plan.Codes) {
		if g.Has(v) {
			j.activation(g, v)
		}
	}
	return j.faker.more, nil
}

// place rounds the weights.
func (j *job) place(g *autodiff.Graph) {
	wanted := func(name string) bool { return g.Has(name) && (j.only == nil || j.only[name]) }
	for _, w := range j.plan.Grids {
		if wanted(w.Weight) && !j.isProduct(w.Weight) {
			j.weight(g, w)
		}
	}
	for _, p := range j.products {
		if wanted(p.Weight.Name) {
			j.product(g, p)
		}
	}
}

func (j *job) isProduct(weight string) bool { return j.grids[weight].Scales != nil }

// weight rounds a weight with a scale for each index of an axis.
func (j *job) weight(g *autodiff.Graph, w quant.WeightGrid) {
	shape := tensor.Shape{}
	for axis, n := range g.Shape(w.Weight) {
		if axis != w.Axis {
			n = 1
		}
		shape = append(shape, n)
	}
	r := grid{name: thetaOf("weight", w.Weight), of: w.Weight, first: w.Scales, shape: shape, zero: []float32{0}, lo: -float64(w.Max), hi: float64(w.Max)}
	g.Intercept(w.Weight, autodiff.All, func(v string) string { return j.faker.round(v, r) })
}

// product rounds a weight in blocks.
func (j *job) product(g *autodiff.Graph, p quant.Product) {
	from := j.grids[p.Weight.Name]
	zero := make([]float32, len(from.Zeros))
	for i, z := range from.Zeros {
		zero[i] = float32(z)
	}
	r := grid{name: thetaOf("block", p.Weight.Name), of: p.Weight.Name, first: from.Scales, zero: zero, lo: 0, hi: float64(int(1)<<p.Scheme.Bits - 1)}
	g.Intercept(p.Weight.Name, autodiff.All, func(v string) string { return j.faker.rows(v, r, p.N, p.K, p.Scheme.Block, p.Turned) })
}

// activation rounds a value to the bits of its code, for those who read its integers: all, if an
// integer unit makes it, else integer units alone.
func (j *job) activation(g *autodiff.Graph, v string) {
	users := map[string]bool{}
	made := false
	for _, u := range j.plan.Integer {
		made = made || slices.Contains(u.Outputs, v)
		if slices.Contains(u.Inputs, v) {
			users[u.Node] = true
		}
	}
	uses := autodiff.All
	if !made && len(users) > 0 { // without units, products alone have changed, and read it
		uses = func(n *onnx.Node) bool { return users[n.Name] }
	}
	c := j.plan.Codes[v]
	r := grid{name: thetaOf("activation", v), first: []float32{c.Scale}, shape: tensor.Shape{1}, zero: []float32{float32(c.Zero)}, lo: 0, hi: float64(c.Max)}
	g.Intercept(v, uses, func(v string) string { return j.faker.round(v, r) })
}

// result reads what was learned.
func (j *job) result(m *onnx.Model, out *train.Outcome) (*Result, error) {
	r := &Result{Outcome: out, Codes: map[string]quant.Code{}, Scales: map[string][]float32{}, Solutions: quant.Solutions{}}
	for v, c := range j.plan.Codes {
		if theta, ok := j.weights[thetaOf("activation", v)]; ok {
			c.Scale = learned([]float32{c.Scale}, theta)[0]
		}
		r.Codes[v] = c
	}
	for _, w := range j.plan.Grids {
		if theta, ok := j.weights[thetaOf("weight", w.Weight)]; ok {
			r.Scales[w.Weight] = learned(w.Scales, theta)
		}
	}
	for _, p := range j.products {
		g := j.grids[p.Weight.Name]
		theta, ok := j.weights[thetaOf("block", p.Weight.Name)]
		if !ok {
			continue
		}
		g.Scales = learned(g.Scales, theta)
		p.Weight = m.Graph.Initializer(p.Weight.Name)
		w, err := p.Rows()
		if err != nil {
			return nil, err
		}
		codes := make([]byte, len(w))
		g.Round(codes, w)
		r.Solutions[p.Weight.Name] = &quant.Solution{Method: quant.QAT, Grid: g, Codes: func(dst []byte) error { copy(dst, codes); return nil }}
	}
	return r, nil
}
