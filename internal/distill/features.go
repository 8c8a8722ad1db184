package distill

import (
	"fmt"
	"slices"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/prune"
	"optim/internal/tensor"
)

// features are the inner values of a network that a student can be compared by.
type features struct {
	attention []string // probabilities [batch, heads, queries, keys], in order
	hidden    []string // after each layer, [batch, positions, width]
	maps      []string // of images, [batch, channels, height, width], one for each size
}

// find looks for them in a frozen graph; m is the model that it was made of.
func find(g *autodiff.Graph, m *onnx.Model) features {
	var f features
	bySize := map[[2]int64]string{}
	var sizes [][2]int64
	for _, n := range g.Nodes() {
		v := n.Output(0)
		if !g.Has(v) {
			continue
		}
		s := g.Shape(v)
		if len(s) != 4 {
			continue
		}
		switch {
		case n.Is("Softmax"):
			f.attention = append(f.attention, v)
		case n.Is("Relu", "Add", "Clip", "HardSwish", "LeakyRelu", "Elu", "Gelu", "Mul") && s[2] > 1 && s[3] > 1:
			size := [2]int64{s[2], s[3]}
			if bySize[size] == "" {
				sizes = append(sizes, size)
			}
			bySize[size] = v
		}
	}
	if len(f.attention) == 0 {
		for _, size := range sizes {
			f.maps = append(f.maps, bySize[size])
		}
	}
	for _, l := range prune.Layers(m.Graph) {
		if g.Has(l.End) && len(g.Shape(l.End)) == 3 {
			f.hidden = append(f.hidden, l.End)
		}
	}
	if len(f.hidden) == 0 { // a single layer repeats nothing
		for _, v := range slices.Backward(prune.Cuts(m.Graph)) {
			if g.Has(v) && len(g.Shape(v)) == 3 && !isOutput(m, v) {
				f.hidden = []string{v}
				break
			}
		}
	}
	return f
}

func isOutput(m *onnx.Model, v string) bool {
	return slices.ContainsFunc(m.Graph.Outputs, func(o *onnx.ValueInfo) bool { return o.Name == v })
}

// layerOf gives the teacher's layer for layer i of n: evenly spread, the last for the
// last, as in Patient Knowledge Distillation (Sun et al.).
func layerOf(i, n, teacher int) int { return (i+1)*teacher/n - 1 }

// twin is a value of the student and the one of the teacher that it is to be like.
type twin struct{ student, teacher string }

// twins pairs layers. Where a layer keeps its name, it is the same layer.
func twins(student, teacher []string) []twin {
	var out []twin
	for i, v := range student {
		j := slices.Index(teacher, v)
		if j < 0 {
			j = layerOf(i, len(student), len(teacher))
		}
		if j >= 0 {
			out = append(out, twin{v, teacher[j]})
		}
	}
	return out
}

// mapTwins pairs feature maps of equal size.
func mapTwins(s, t *autodiff.Graph, student, teacher []string) []twin {
	var out []twin
	for _, a := range student {
		for _, b := range teacher {
			if s.Shape(a)[2:].Equal(t.Shape(b)[2:]) {
				out = append(out, twin{a, b})
			}
		}
	}
	return out
}

// target is the output that a student learns from its teacher.
type target struct {
	student, teacher string
	classes          bool // logits of classes; else numbers
}

// match finds the output that both have: by its name, or the only one of each.
func match(sg, tg *autodiff.Graph, student, teacher *onnx.Model, classes bool) (target, error) {
	a, b := realOutputs(sg, student), realOutputs(tg, teacher)
	if len(a) == 0 || len(b) == 0 {
		return target{}, fmt.Errorf("teacher and student need outputs of real numbers")
	}
	name, other := a[0], b[0]
	for _, v := range a {
		if slices.Contains(b, v) {
			name, other = v, v
			break
		}
	}
	if name != other && (len(a) > 1 || len(b) > 1) {
		return target{}, fmt.Errorf("no output has the same name: the student has %q, the teacher %q", a, b)
	}
	ss, ts := sg.Shape(name), tg.Shape(other)
	if !ss.Equal(ts) {
		if len(ss) == len(ts) && len(ss) > 0 && ss[:len(ss)-1].Equal(ts[:len(ts)-1]) {
			return target{}, fmt.Errorf("output %q has %d classes or features in the student and %d in the teacher", name, ss[len(ss)-1], ts[len(ts)-1])
		}
		return target{}, fmt.Errorf("output %q is %v in the student and %v in the teacher", name, ss, ts)
	}
	t := target{student: name, teacher: other, classes: classes}
	t.student, t.classes = logits(sg, name, t.classes)
	t.teacher, _ = logits(tg, other, t.classes)
	return t, nil
}

func realOutputs(g *autodiff.Graph, m *onnx.Model) []string {
	var out []string
	for _, o := range m.Graph.Outputs {
		if g.Has(o.Name) && g.Type(o.Name).DType == tensor.Float32 && len(g.Shape(o.Name)) > 1 {
			out = append(out, o.Name)
		}
	}
	return out
}

// logits returns what a final Softmax over the last axis normalizes, in place of
// probabilities. Over another axis they are numbers like others.
func logits(g *autodiff.Graph, v string, classes bool) (string, bool) {
	for _, n := range g.Nodes() {
		if n.Output(0) != v || !n.Is("Softmax", "LogSoftmax") {
			continue
		}
		if axis := n.AttrInt("axis", -1); axis == -1 || axis == int64(len(g.Shape(v)))-1 {
			return n.Input(0), true
		}
		return v, false
	}
	return v, classes
}
