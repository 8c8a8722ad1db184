package autodiff_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// at is an input of a case: its shape, and where its elements lie.
type at struct {
	shape  tensor.Shape
	lo, hi float64
	whole  bool // apart from each other and from whole numbers: no ties, no kinks near
}

func r(s ...int64) at               { return at{shape: s, lo: -1.5, hi: 1.5} }
func pos(s ...int64) at             { return at{shape: s, lo: 0.5, hi: 2} }
func apart(s ...int64) at           { return at{shape: s, whole: true} }
func (a at) within(l, h float64) at { a.lo, a.hi = l, h; return a }

// ruleCase is one operator whose gradients are compared with finite differences.
type ruleCase struct {
	op    string
	f32   bool // the runtime has no kernel for float64
	in    []at
	name  string
	build func(g *Graph, in []string) string
}

// one is a case of one node.
func one(op string, out tensor.Shape, in []at, attrs ...*onnx.Attribute) ruleCase {
	return ruleCase{op: op, in: in, build: func(g *Graph, v []string) string {
		if out == nil {
			out = g.Shape(v[0])
		}
		return g.Op(op, Type{g.Type(v[0]).DType, out}, v, attrs...)
	}}
}

func (c ruleCase) single() ruleCase { c.f32 = true; return c }
func (c ruleCase) called(name string) ruleCase {
	c.name = name
	return c
}

// with adds constant inputs after the ones with gradients.
func (c ruleCase) with(consts ...tensor.Tensor) ruleCase {
	build := c.build
	c.build = func(g *Graph, v []string) string {
		for _, t := range consts {
			v = append(slices.Clone(v), g.Tensor(t))
		}
		return build(g, v)
	}
	return c
}

func ints(v ...int64) tensor.Tensor { return tensor.Of(tensor.Int64, tensor.Shape{int64(len(v))}, v) }

func TestRules(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range cases() {
		tested[c.op] = true
		t.Run(c.title(), func(t *testing.T) { checkCase(t, c) })
	}
	for _, op := range Differentiable() {
		if !tested[op] {
			t.Errorf("the rule of %s has no case", op)
		}
	}
}

// checkCase compares the gradients of Σ out·w, w random, with central differences of
// the fourth order.
func checkCase(t *testing.T, c ruleCase) {
	d := c.draw()
	g, feeds, names, out := d.g, d.feeds, d.names, d.out
	step, tol := 1e-3, 1e-6
	if c.f32 {
		step, tol = 3e-2, 2e-3
	}
	weighted := g.Tensor(d.seed)
	grads, err := g.VectorJacobian(map[string]string{out: weighted}, names)
	if err != nil {
		t.Fatal(err)
	}
	loss := g.Total(g.Mul(out, weighted))
	g.Output("loss", loss)
	for _, v := range names {
		if grads[v] == "" {
			t.Fatalf("no gradient of %s", v)
		}
		if !g.Shape(grads[v]).Equal(g.Shape(v)) {
			t.Fatalf("gradient of %s has shape %v, not %v", v, g.Shape(grads[v]), g.Shape(v))
		}
		g.Output("d."+v, grads[v])
	}
	s := open(t, g)
	got, err := s.Run(feeds)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range names {
		compareNumeric(t, s, feeds, v, floats(got["d."+v]), step, tol)
	}
}

// compareNumeric checks a gradient element by element.
func compareNumeric(t *testing.T, s *ort.Session, feeds map[string]tensor.Tensor, v string, got []float64, step, tol float64) {
	t.Helper()
	scale := 1.0
	for _, x := range got {
		scale = max(scale, math.Abs(x))
	}
	at := func(i int, d float64) float64 {
		old := element(feeds[v], i)
		setElement(feeds[v], i, old+d)
		defer setElement(feeds[v], i, old)
		out, err := s.RunContext(t.Context(), feeds, []string{"loss"})
		if err != nil {
			t.Fatal(err)
		}
		return floats(out["loss"])[0]
	}
	for i := range got {
		want := (8*(at(i, step)-at(i, -step)) - (at(i, 2*step) - at(i, -2*step))) / (12 * step)
		if math.Abs(got[i]-want) > tol*scale {
			t.Fatalf("d%s[%d] = %g, by differences %g", v, i, got[i], want)
		}
	}
}

func open(t *testing.T, g *Graph) *ort.Session {
	t.Helper()
	b, err := g.Model().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return orttest.SessionOf(t, b, ort.Options{Threads: 1})
}

func draw(rnd *rand.Rand, d tensor.DType, a at) tensor.Tensor {
	out, err := tensor.New(d, a.shape)
	if err != nil {
		panic(err)
	}
	order := rnd.Perm(out.Len())
	for i := range out.Len() {
		x := a.lo + (a.hi-a.lo)*rnd.Float64()
		if a.whole { // 0.25 from whole numbers at least, different from each other
			x = float64(order[i]-out.Len()/2) + 0.5 + 0.25*(rnd.Float64()-0.5)
		}
		setElement(out, i, x)
	}
	return out
}

func element(t tensor.Tensor, i int) float64 {
	if t.DType == tensor.Float64 {
		return tensor.As[float64](t.Data)[i]
	}
	return float64(tensor.As[float32](t.Data)[i])
}

func setElement(t tensor.Tensor, i int, x float64) {
	if t.DType == tensor.Float64 {
		tensor.As[float64](t.Data)[i] = x
		return
	}
	tensor.As[float32](t.Data)[i] = float32(x)
}

func floats(t tensor.Tensor) []float64 {
	var out []float64
	for i := range t.Len() {
		out = append(out, element(t, i))
	}
	return out
}
