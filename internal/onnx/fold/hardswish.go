package fold

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// HardSwish replaces the four operators that exporters write for hard-swish by
// the two that compute the same in half the time, and returns how often:
//
//	Add(x, 3) → Clip(·, 0, 6) → Mul(·, x) → Div(·, 6)   becomes   Mul(x, HardSigmoid(x; 1/6, 1/2))
//
// Multiplying by 1/6 instead of dividing is taken as well. Run it with opset 11
// or later, where Clip has inputs.
func HardSwish(m *onnx.Model) int {
	names := m.NewNamer()
	n := 0
	m.WalkGraphs(func(g *onnx.Graph, _ string) {
		h := hardSwish{index: onnx.NewIndex(g), gone: map[*onnx.Node]bool{}}
		for _, node := range g.Nodes {
			if h.replace(node, names) {
				n++
			}
		}
		dropNodes(g, h.gone)
	})
	return n
}

// hardSwish is the pass over one graph.
type hardSwish struct {
	index *onnx.Index
	gone  map[*onnx.Node]bool
}

// replace replaces the pattern that begins with that Add.
func (h *hardSwish) replace(add *onnx.Node, names *onnx.Namer) bool {
	x, c, ok := h.factor(add)
	if !add.Is("Add") || !ok || c != 3 {
		return false
	}
	clip := h.next(add, "Clip")
	if clip == nil || len(clip.Inputs) != 3 || clip.Inputs[0] != add.Outputs[0] ||
		!h.is(clip.Inputs[1], 0) || !h.is(clip.Inputs[2], 6) {
		return false
	}
	mul := h.next(clip, "Mul")
	if mul == nil || len(mul.Inputs) != 2 || count(mul.Inputs, x) != 1 || count(mul.Inputs, clip.Outputs[0]) != 1 {
		return false
	}
	last := h.next(mul, "Div", "Mul")
	if last == nil {
		return false
	}
	in, c, ok := h.factor(last)
	if !ok || in != mul.Outputs[0] || last.Is("Div") && (c != 6 || last.Inputs[0] != in) ||
		last.Is("Mul") && math.Abs(float64(c)-1.0/6) > 1e-7 {
		return false
	}
	// The first two make way for HardSigmoid; the product takes the last name.
	add.OpType, add.Inputs = "HardSigmoid", []string{x}
	add.SetAttr(onnx.FloatAttr("alpha", 1.0/6))
	add.SetAttr(onnx.FloatAttr("beta", 0.5))
	add.Outputs = []string{names.Fresh(clip.Outputs[0] + "_gate")}
	mul.Inputs = []string{x, add.Outputs[0]}
	mul.Outputs = []string{last.Outputs[0]}
	h.gone[clip], h.gone[last] = true, true
	return true
}

// next returns the only reader of a node's output if it has one of these
// operators.
func (h *hardSwish) next(n *onnx.Node, ops ...string) *onnx.Node {
	r := h.index.SoleConsumer(n.Output(0))
	if r == nil || h.gone[r] || !r.Is(ops...) {
		return nil
	}
	return r
}

// factor splits a node of two inputs, one of which is a constant number.
func (h *hardSwish) factor(n *onnx.Node) (x string, c float32, ok bool) {
	if len(n.Inputs) != 2 {
		return "", 0, false
	}
	for i, in := range n.Inputs {
		if c, ok := h.number(in); ok && n.Inputs[1-i] != "" {
			return n.Inputs[1-i], c, true
		}
	}
	return "", 0, false
}

func (h *hardSwish) is(value string, want float32) bool {
	c, ok := h.number(value)
	return ok && c == want
}

// number reads a float32 initializer of one element that adds no axes.
func (h *hardSwish) number(value string) (float32, bool) {
	t := h.index.Initializer(value)
	if t == nil || t.DType != tensor.Float32 || len(t.Shape) > 1 || t.Elements() != 1 {
		return 0, false
	}
	v, err := t.Value()
	if err != nil {
		return 0, false
	}
	f, err := v.Float32s()
	if err != nil {
		return 0, false
	}
	return f[0], true
}
