package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Optimizers lists the names that Options.Optimizer takes.
var Optimizers = []string{"adamw", "adam", "sgd"}

// chunk is how many elements an optimizer works on at a time: with their moments they
// stay in a processor's cache.
const chunk = 1 << 18

// update adds the nodes that give new weights and moments. All are vectors but for
// numbers, which are those of this step: see optimizer.step.
type update func(g *autodiff.Graph, v vectors) (w string, moments []string)

type vectors struct {
	w, g                     string
	moments                  []string
	rate, decay, kept, small string
	o                        Options
}

var updates = map[string]struct {
	moments int
	update  update
}{
	"adamw": {2, adamw},
	"adam":  {2, adam},
	"sgd":   {1, sgd},
	SignSGD: {0, signSGD},
}

// SignSGD moves every weight by the learning rate against the sign of its gradient
// (Cheng et al., Optimize Weight Rounding via Signed Gradient Descent): for what lies
// within known limits. It is no choice for networks, and not in Optimizers.
const SignSGD = "signsgd"

func signSGD(g *autodiff.Graph, v vectors) (string, []string) {
	return g.Sub(v.w, g.Mul(v.rate, g.Unary("Sign", v.g))), nil
}

// adamw is Loshchilov and Hutter's Decoupled Weight Decay Regularization, with
//
//	w ← w·(1 − lr·λ) − lr·m̂/(√v̂ + ε)
//
// where m̂ and v̂ are the moments of Adam, corrected for their start at 0. They are kept
// without the factors 1 − β, which the learning rate and ε take up: three passes over
// memory less.
func adamw(g *autodiff.Graph, v vectors) (string, []string) {
	step, moments := adamStep(g, v, v.g)
	return g.Sub(g.Mul(v.w, v.kept), step), moments
}

// adam is Kingma and Ba's Adam, with weight decay as part of the gradient.
func adam(g *autodiff.Graph, v vectors) (string, []string) {
	step, moments := adamStep(g, v, g.Add(v.g, g.Mul(v.w, v.decay)))
	return g.Sub(v.w, step), moments
}

// adamStep: M ← β₁·M + g, V ← β₂·V + g², step = rate·M/(√V + small).
func adamStep(g *autodiff.Graph, v vectors, grad string) (string, []string) {
	m := g.Add(g.Scale(v.moments[0], v.o.Beta1), grad)
	s := g.Add(g.Scale(v.moments[1], v.o.Beta2), g.Mul(grad, grad))
	return g.Mul(g.Div(m, g.Add(g.Unary("Sqrt", s), v.small)), v.rate), []string{m, s}
}

// sgd is stochastic gradient descent with momentum: b ← μ·b + g, w ← w − lr·b.
func sgd(g *autodiff.Graph, v vectors) (string, []string) {
	grad := g.Add(v.g, g.Mul(v.w, v.decay))
	b := g.Add(g.Scale(v.moments[0], v.o.Momentum), grad)
	return g.Sub(v.w, g.Mul(v.rate, b)), []string{b}
}

// optimizer changes weights in place. Its graphs are elementwise, and each element is
// written after everything that reads it.
type optimizer struct {
	w       *weights
	o       Options
	moments [][]float32
	numbers map[string][]float32 // of one element each
	session []*ort.Session
	steps   []*ort.Binding // a chunk each
	norms   []*ort.Binding
	squares []float32 // of each chunk of the gradient
	scales  []*ort.Binding
}

func newOptimizer(rt *ort.Runtime, w *weights, o Options) (*optimizer, error) {
	kind, ok := updates[o.Optimizer]
	if !ok {
		return nil, fmt.Errorf("unknown optimizer %q", o.Optimizer)
	}
	p := &optimizer{w: w, o: o, numbers: map[string][]float32{}}
	for _, name := range []string{"rate", "decay", "kept", "none", "one", "small", "factor"} {
		p.numbers[name] = []float32{0}
	}
	p.numbers["decay"][0], p.numbers["one"][0] = float32(o.WeightDecay), 1
	for range kind.moments {
		p.moments = append(p.moments, make([]float32, len(w.value)))
	}
	if err := p.build(rt, kind.update); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// build opens the three graphs (step, norm, scale) and binds each to every chunk. All
// chunks but the last of a group have one size; a session takes any.
func (p *optimizer) build(rt *ort.Runtime, u update) error {
	step, err := p.open(rt, p.stepGraph(u))
	if err != nil {
		return err
	}
	norm, err := p.open(rt, vectorGraph(map[string]bool{"g": true}, func(g *autodiff.Graph) {
		g.Output("square", g.Total(g.Mul("g", "g")))
	}))
	if err != nil {
		return err
	}
	scale, err := p.open(rt, vectorGraph(map[string]bool{"g": true, "factor": false}, func(g *autodiff.Graph) {
		g.Output("scaled", g.Mul("g", "factor"))
	}))
	if err != nil {
		return err
	}
	ranges := p.w.ranges(chunk)
	p.squares = make([]float32, len(ranges))
	for i, r := range ranges {
		if err := p.bind(i, r, step, norm, scale); err != nil {
			return err
		}
	}
	return nil
}

func (p *optimizer) open(rt *ort.Runtime, g *autodiff.Graph) (*ort.Session, error) {
	m := g.Model()
	for _, list := range [][]*onnx.ValueInfo{m.Graph.Inputs, m.Graph.Outputs} {
		for _, v := range list {
			if len(v.Type.Dims) == 1 && v.Type.Dims[0].Value == chunk {
				v.Type.Dims[0] = onnx.Dim{Symbol: "n"}
			}
		}
	}
	b, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	s, err := rt.OpenBytes(b, p.o.Session)
	if err == nil {
		p.session = append(p.session, s)
	}
	return s, err
}

// vectorGraph is a graph over vectors (true) and numbers (false).
func vectorGraph(in map[string]bool, body func(g *autodiff.Graph)) *autodiff.Graph {
	g := autodiff.NewGraph()
	for _, name := range sorted(in) {
		t := autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{1}}
		if in[name] {
			t.Shape = tensor.Shape{chunk}
		}
		g.Input(name, t)
	}
	body(g)
	return g
}

func (p *optimizer) stepGraph(u update) *autodiff.Graph {
	in := map[string]bool{"w": true, "g": true, "rate": false, "decay": false, "kept": false, "small": false}
	v := vectors{w: "w", g: "g", rate: "rate", decay: "decay", kept: "kept", small: "small", o: p.o}
	for i := range p.moments {
		name := fmt.Sprintf("m%d", i)
		in[name] = true
		v.moments = append(v.moments, name)
	}
	return vectorGraph(in, func(g *autodiff.Graph) {
		w, moments := u(g, v)
		g.Output("w.new", w)
		for i, m := range moments {
			g.Output(fmt.Sprintf("m%d.new", i), m)
		}
	})
}

// bind gives the sessions the memory of chunk i, results in the place of what they
// replace.
func (p *optimizer) bind(i int, r [2]int, step, norm, scale *ort.Session) error {
	part := func(b []float32) tensor.Tensor {
		return tensor.Of(tensor.Float32, tensor.Shape{int64(r[1] - r[0])}, b[r[0]:r[1]])
	}
	number := func(name string) tensor.Tensor { return tensor.Of(tensor.Float32, tensor.Shape{1}, p.numbers[name]) }
	decay, kept := "decay", "kept"
	if r[0] >= p.w.decayed {
		decay, kept = "none", "one"
	}
	in := map[string]tensor.Tensor{
		"w": part(p.w.value), "g": part(p.w.grad), "rate": number("rate"), "decay": number(decay), "kept": number(kept), "small": number("small"),
	}
	out := map[string]tensor.Tensor{"w.new": part(p.w.value)}
	for j, m := range p.moments {
		in[fmt.Sprintf("m%d", j)], out[fmt.Sprintf("m%d.new", j)] = part(m), part(m)
	}
	needed := map[string]bool{}
	for _, info := range step.Inputs() {
		needed[info.Name] = true
	}
	for name := range in { // those that the rule reads
		if !needed[name] {
			delete(in, name)
		}
	}
	a, err := step.Bind(in, out)
	if err != nil {
		return err
	}
	p.steps = append(p.steps, a)
	square := map[string]tensor.Tensor{"square": tensor.Of(tensor.Float32, tensor.Shape{}, p.squares[i:i+1])}
	b, err := norm.Bind(map[string]tensor.Tensor{"g": part(p.w.grad)}, square)
	if err != nil {
		return err
	}
	p.norms = append(p.norms, b)
	c, err := scale.Bind(map[string]tensor.Tensor{"g": part(p.w.grad), "factor": number("factor")}, map[string]tensor.Tensor{"scaled": part(p.w.grad)})
	p.scales = append(p.scales, c)
	return err
}

// step applies the gradient, as update number t (from 1) at that learning rate.
func (p *optimizer) step(ctx context.Context, t int, rate float64) error {
	p.numbers["kept"][0] = float32(1 - rate*p.o.WeightDecay)
	if strings.HasPrefix(p.o.Optimizer, "adam") {
		first := (1 - p.o.Beta1) / (1 - math.Pow(p.o.Beta1, float64(t)))
		second := math.Sqrt((1 - p.o.Beta2) / (1 - math.Pow(p.o.Beta2, float64(t))))
		rate *= first / second
		p.numbers["small"][0] = float32(p.o.Epsilon / second)
	}
	p.numbers["rate"][0] = float32(rate)
	return runAll(ctx, p.steps)
}

// norm returns the length of the whole gradient.
func (p *optimizer) norm(ctx context.Context) (float64, error) {
	if err := runAll(ctx, p.norms); err != nil {
		return 0, err
	}
	sum := 0.0
	for _, s := range p.squares {
		sum += float64(s)
	}
	return math.Sqrt(sum), nil
}

// scale multiplies the gradient.
func (p *optimizer) scale(ctx context.Context, f float64) error {
	p.numbers["factor"][0] = float32(f)
	return runAll(ctx, p.scales)
}

func runAll(ctx context.Context, list []*ort.Binding) error {
	for _, b := range list {
		if err := b.RunContext(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *optimizer) close() {
	for _, b := range slices.Concat(p.steps, p.norms, p.scales) {
		if b != nil {
			b.Close()
		}
	}
	for _, s := range p.session {
		s.Close()
	}
}
