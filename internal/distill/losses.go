package distill

import (
	"fmt"
	"math"
	"math/rand/v2"

	"optim/internal/autodiff"
	"optim/internal/tensor"
	"optim/internal/train"
)

// Names of the parts of the loss.
const (
	KD        = "kd"
	Task      = "task"
	Attention = "attention"
	Hidden    = "hidden"
)

// objective builds the loss of a student on its frozen graph:
//
//	α·T²·KL(teacher ‖ student) + (1 − α)·task + β·attention + γ·hidden
//
// Teacher's values are inputs of the graph.
type objective struct {
	o       Options
	g       *autodiff.Graph
	labels  string // "" where there are none
	counted string
	wants   []string // values of the teacher, each an input of g
	logits  string   // of the inputs: what the divergence reads, of which the greatest tell most
	extra   []train.Weight
	parts   map[string]string
}

// wanted makes a value of the teacher, of that type, an input of the graph.
func (b *objective) wanted(v string, t autodiff.Type) string {
	name := teacherInput(v)
	if !b.g.Has(name) {
		b.wants = append(b.wants, v)
		b.g.Input(name, t)
	}
	return name
}

func teacherInput(v string) string { return "teacher " + v }

// total adds all parts and returns their weighted sum.
func (b *objective) total(t target, teacher *autodiff.Graph, own, others features) (string, error) {
	weights := map[string]float64{KD: b.o.Alpha, Task: 1 - b.o.Alpha, Attention: b.o.Beta, Hidden: b.o.Gamma}
	if weights[KD] > 0 {
		b.parts[KD] = b.soft(t, teacher)
	}
	if weights[Task] > 0 {
		b.parts[Task] = train.CrossEntropy(b.g, t.student, b.labels)
	}
	if weights[Attention] > 0 {
		v, err := b.attention(teacher, own, others)
		if err != nil {
			return "", err
		}
		b.parts[Attention] = v
	}
	if weights[Hidden] > 0 {
		v, err := b.hidden(teacher, own, others)
		if err != nil {
			return "", err
		}
		b.parts[Hidden] = v
	}
	sum := ""
	for _, name := range []string{KD, Task, Attention, Hidden} {
		v := b.parts[name]
		if v == "" {
			continue
		}
		if v = b.g.Scale(v, weights[name]); sum != "" {
			v = b.g.Add(sum, v)
		}
		sum = v
	}
	return sum, nil
}

// values compares the values that were named, by the mean of squares.
func (b *objective) values(teacher *autodiff.Graph) (string, error) {
	var list []string
	for _, v := range b.o.Values {
		if !b.g.Has(v) || !teacher.Has(v) {
			return "", fmt.Errorf("no value %q in both networks", v)
		}
		counted := b.counted
		s := b.g.Shape(v)
		if c := b.g.Shape(counted); len(s) != len(c)+1 || !s[:len(c)].Equal(c) {
			counted = ""
		}
		list = append(list, train.SquaredError(b.g, v, b.wanted(v, teacher.Type(v)), counted))
	}
	b.parts[Hidden] = b.mean(list)
	return b.parts[Hidden], nil
}

// soft compares the main output: as distributions, or as numbers.
func (b *objective) soft(t target, teacher *autodiff.Graph) string {
	theirs := b.wanted(t.teacher, teacher.Type(t.teacher))
	if t.classes {
		b.logits = theirs
		return train.Divergence(b.g, t.student, theirs, b.rows(t.student), b.o.Temperature)
	}
	counted := b.counted
	if s := b.g.Shape(t.student); len(s) != 3 {
		counted = ""
	}
	return train.SquaredError(b.g, t.student, theirs, counted)
}

// rows is which rows of logits count: positions of texts, or all samples.
func (b *objective) rows(logits string) string {
	s := b.g.Shape(logits)
	if c := b.g.Shape(b.counted); len(s) == 3 && c.Equal(s[:2]) {
		return b.counted
	}
	n := b.g.Type(logits).Elements() / s[len(s)-1]
	all := make([]byte, n)
	for i := range all {
		all[i] = 1
	}
	return b.g.Tensor(tensor.Tensor{DType: tensor.Bool, Shape: tensor.Shape{n}, Data: all})
}

// attention compares probabilities of attention, heads by heads or, where their number
// differs, the mean of all; networks for images their maps of activation.
func (b *objective) attention(teacher *autodiff.Graph, own, others features) (string, error) {
	if len(own.attention) == 0 || len(others.attention) == 0 {
		return b.activation(teacher, own, others)
	}
	var list []string
	for _, p := range twins(own.attention, others.attention) {
		ours, theirs := p.student, b.wanted(p.teacher, teacher.Type(p.teacher))
		s, t := b.g.Shape(ours), b.g.Shape(theirs)
		if !s[2:].Equal(t[2:]) {
			return "", fmt.Errorf("attention %q is %v, the teacher's %v", ours, s, t)
		}
		if s[1] != t[1] {
			ours, theirs = b.g.Mean(ours, 1), b.g.Mean(theirs, 1)
		}
		list = append(list, train.SquaredError(b.g, ours, theirs, b.queries(b.g.Shape(ours))))
	}
	return b.mean(list), nil
}

// queries is which rows of attention [batch, heads, queries, keys] count.
func (b *objective) queries(s tensor.Shape) string {
	c := b.g.Shape(b.counted)
	if len(c) != 2 || c[1] != s[2] {
		return ""
	}
	return b.g.Expand(b.g.Reshape(b.counted, s[0], 1, s[2]), tensor.Shape{s[0], s[1], s[2]})
}

// activation is attention transfer for convolutions: half the squared distance of the
// normalized means of squares over channels (Zagoruyko and Komodakis, Paying More
// Attention to Attention).
func (b *objective) activation(teacher *autodiff.Graph, own, others features) (string, error) {
	pairs := mapTwins(b.g, teacher, own.maps, others.maps)
	if len(pairs) == 0 {
		return "", fmt.Errorf("teacher and student have neither attention nor feature maps of the same size to compare (--beta)")
	}
	var list []string
	for _, p := range pairs {
		a, t := b.energy(p.student), b.energy(b.wanted(p.teacher, teacher.Type(p.teacher)))
		d := b.g.Sub(a, t)
		list = append(list, b.g.Scale(b.g.Total(b.g.Mul(d, d)), 0.5/float64(b.g.Shape(a)[0])))
	}
	return b.mean(list), nil
}

// energy adds the mean of squares over channels, each sample's of length 1.
func (b *objective) energy(v string) string {
	g, s := b.g, b.g.Shape(v)
	e := g.Reshape(g.Mean(g.Mul(v, v), 1), s[0], s[2]*s[3])
	return g.Div(e, g.Unary("Sqrt", g.Offset(g.Sum(g.Mul(e, e), 1), 1e-12)))
}

// hidden compares what layers give, through a learned matrix where widths differ: one
// for each pair of layers (Romero et al., FitNets; Jiao et al., TinyBERT).
func (b *objective) hidden(teacher *autodiff.Graph, own, others features) (string, error) {
	pairs := twins(own.hidden, others.hidden)
	if len(pairs) == 0 {
		pairs = mapTwins(b.g, teacher, own.maps, others.maps)
	}
	if len(pairs) == 0 {
		return "", fmt.Errorf("teacher and student have no layers to compare (--gamma)")
	}
	rnd := rand.New(rand.NewPCG(b.o.Seed, 1))
	var list []string
	for i, p := range pairs {
		ours, theirs := b.flat(p.student), b.flat(b.wanted(p.teacher, teacher.Type(p.teacher)))
		from, to := b.g.Shape(ours)[1], b.g.Shape(theirs)[1]
		if from != to {
			ours = b.project(fmt.Sprintf("projection %d", i), ours, from, to, rnd)
		}
		counted := b.counted
		if b.g.Type(counted).Elements() != b.g.Shape(ours)[0] {
			counted = ""
		}
		list = append(list, train.SquaredError(b.g, ours, theirs, counted))
	}
	return b.mean(list), nil
}

// project adds x·W with a trained W that begins small and random.
func (b *objective) project(name string, x string, from, to int64, rnd *rand.Rand) string {
	first := make([]float32, from*to)
	for i := range first {
		first[i] = float32(rnd.NormFloat64() / math.Sqrt(float64(from)))
	}
	shape := tensor.Shape{from, to}
	b.g.Input(name, autodiff.Type{DType: tensor.Float32, Shape: shape})
	b.extra = append(b.extra, train.Weight{Name: name, Shape: shape, First: first, Decay: true})
	rows := tensor.Shape{b.g.Shape(x)[0], to}
	return b.g.Op("MatMul", autodiff.Type{DType: tensor.Float32, Shape: rows}, []string{x, name})
}

// flat adds a value as rows of features: [batch, positions, width] or [batch, channels,
// height, width].
func (b *objective) flat(v string) string {
	s := b.g.Shape(v)
	if len(s) == 4 {
		v = b.g.Transpose(v, 0, 2, 3, 1)
		return b.g.Reshape(v, s[0]*s[2]*s[3], s[1])
	}
	return b.g.Reshape(v, s[0]*s[1], s[2])
}

func (b *objective) mean(list []string) string {
	sum := list[0]
	for _, v := range list[1:] {
		sum = b.g.Add(sum, v)
	}
	return b.g.Scale(sum, 1/float64(len(list)))
}
