package quant

import (
	"context"
	"fmt"
	"slices"

	"optim/internal/onnx"
	"optim/internal/onnx/infer"
	"optim/internal/tensor"
)

// storedLeast is the number of elements from which a constant of a node in
// float is stored in half precision, behind a Cast.
const storedLeast = 1024

// halfPass converts a model to FP16 or BF16. Every float value may have a twin
// in half precision; a value keeps its name in float, so that nodes in float,
// bodies and outputs need no change.
type halfPass struct {
	model  *onnx.Model
	o      *Options
	plan   *Plan
	half   tensor.DType
	facts  *infer.Scope
	names  *onnx.Namer
	index  *onnx.Index
	types  map[string]tensor.DType // what facts do not know
	chosen map[*onnx.Node]bool     // runs in half precision
	twins  map[string]string       // names of values in half precision, by that in float
	order  []string                // keys of twins as they came
	made   map[string]bool         // the twin is what a node computes
	counts []*halfCount
}

// half converts a prepared model in place. FP16 runs in half precision what is
// safe there; of BF16 processors have no kernels, so that weights are stored in
// it and computed with in float32, which loads everywhere.
func half(ctx context.Context, m *onnx.Model, o *Options, plan *Plan, workers int) error {
	if err := m.Graph.Sort(); err != nil {
		return err
	}
	h := &halfPass{model: m, o: o, plan: plan, half: tensor.Float16, facts: infer.Model(m), names: m.NewNamer(),
		types: map[string]tensor.DType{}, chosen: map[*onnx.Node]bool{}, twins: map[string]string{}, made: map[string]bool{}}
	if o.Format == BF16 {
		h.half = tensor.BFloat16
	}
	if o.HalfIO {
		h.openInterface()
	}
	h.index = onnx.NewIndex(m.Graph)
	if h.half == tensor.Float16 || o.Form == TensorRT {
		h.chooseHalf()
		h.rewriteNodes()
	}
	h.castTwins()
	m.Graph.RemoveDead()
	h.store()
	if err := m.Graph.Sort(); err != nil {
		return err
	}
	if err := parallel(ctx, workers, len(h.counts), func(i int) error { return h.counts[i].count(h.half) }); err != nil {
		return err
	}
	plan.Notes = append(plan.Notes, h.notes()...)
	return nil
}

// openInterface gives the float inputs and outputs of the model the type of the
// result. Within the graph their values in float get other names.
func (h *halfPass) openInterface() {
	g := h.model.Graph
	inputs := map[string]bool{}
	for _, v := range g.Inputs {
		inputs[v.Name] = true
		if v.Type == nil || v.Type.DType != tensor.Float32 || g.IsBound(v.Name) || isOutput(g, v.Name) {
			continue
		}
		inner := h.names.Fresh(v.Name + "_float")
		g.RenameUses(v.Name, inner)
		h.open(v, inner)
	}
	for _, v := range g.Outputs {
		if v.Type == nil || v.Type.DType != tensor.Float32 || inputs[v.Name] || g.IsBound(v.Name) {
			continue
		}
		inner := h.names.Fresh(v.Name + "_float")
		g.RenameUses(v.Name, inner)
		for _, n := range g.Nodes {
			for i, out := range n.Outputs {
				if out == v.Name {
					n.Outputs[i] = inner
				}
			}
		}
		h.open(v, inner)
	}
}

// open makes v the twin of a value in float.
func (h *halfPass) open(v *onnx.ValueInfo, inner string) {
	v.Type.DType = h.half
	g := h.model.Graph
	g.ValueInfo = slices.DeleteFunc(g.ValueInfo, func(i *onnx.ValueInfo) bool { return i.Name == v.Name })
	h.types[inner] = tensor.Float32
	h.twins[inner], h.order = v.Name, append(h.order, inner)
}

func isOutput(g *onnx.Graph, name string) bool {
	return slices.ContainsFunc(g.Outputs, func(v *onnx.ValueInfo) bool { return v.Name == name })
}

// twin is the name of a value in half precision.
func (h *halfPass) twin(v string) string {
	t, ok := h.twins[v]
	if !ok {
		t = h.names.Fresh(v + "_half")
		h.twins[v], h.order = t, append(h.order, v)
	}
	return t
}

// rewriteNodes lets the chosen nodes take and give twins. A cast that serves
// them alone gives a twin, and one that takes what they give takes the twin.
func (h *halfPass) rewriteNodes() {
	for _, n := range h.model.Graph.Nodes {
		switch {
		case h.chosen[n]:
			before, after := h.bytes(n)
			for _, i := range floatInputs(n) {
				n.Inputs[i] = h.twin(n.Inputs[i])
			}
			for i, v := range n.Outputs {
				if v != "" && h.typeOf(v) != tensor.Int8 && h.typeOf(v) != tensor.F8E4M3FN {
					n.Outputs[i] = h.twin(v)
					h.made[v] = true
				}
			}
			h.plan.change(Change{Node: h.label(n), Op: n.OpType, Action: string(Convert), Format: string(h.o.Format),
				BytesBefore: before, BytesAfter: after})
		case n.Is("Cast") && h.servesHalf(n):
			n.SetAttr(onnx.IntAttr("to", int64(h.half)))
			h.made[n.Outputs[0]] = true
			n.Outputs[0] = h.twin(n.Outputs[0])
		}
	}
	for _, n := range h.model.Graph.Nodes {
		if n.Is("Cast", "Shape", "Size") && len(n.Inputs) == 1 && h.made[n.Inputs[0]] {
			n.Inputs[0] = h.twins[n.Inputs[0]]
		}
	}
}

// servesHalf reports whether a cast to float feeds chosen nodes alone. From
// double to half there would be one rounding less than before.
func (h *halfPass) servesHalf(n *onnx.Node) bool {
	out := n.Output(0)
	if tensor.DType(n.AttrInt("to", 0)) != tensor.Float32 || h.index.IsOutput(out) || h.typeOf(n.Input(0)) == tensor.Undefined {
		return false
	}
	users := h.index.Consumers(out)
	return len(users) > 0 && !slices.ContainsFunc(users, func(u *onnx.Node) bool { return !h.chosen[u] })
}

// bytes is the size of the constants of a node, in float and in half.
func (h *halfPass) bytes(n *onnx.Node) (before, after int64) {
	for _, i := range floatInputs(n) {
		if t := h.facts.Const(n.Inputs[i]); t != nil && t.DType == tensor.Float32 {
			before += t.Size()
		}
	}
	return before, before / 2
}

func (h *halfPass) label(n *onnx.Node) string { return (&scope{}).label(n) }

// castTwins joins every value with its twin: a constant is converted, a twin
// that a node computes is cast for those that need it in float, and the other
// way round. Casts that nobody needs are dead.
func (h *halfPass) castTwins() {
	g := h.model.Graph
	for _, v := range h.order {
		twin := h.twins[v]
		from, to, d := v, twin, h.half
		t := h.index.Initializer(v)
		switch {
		case t != nil && t.DType == tensor.Float32 && h.facts.Const(v) == t:
			g.Initializers = append(g.Initializers, h.convert(t, twin))
			continue
		case h.made[v] || h.index.IsInput(twin):
			from, to, d = twin, v, tensor.Float32
		}
		g.Nodes = append(g.Nodes, h.cast(from, to, d))
	}
}

func (h *halfPass) cast(from, to string, d tensor.DType) *onnx.Node {
	return onnx.NewNode("Cast", h.names.Fresh(to+"_cast"), []string{from}, []string{to}, onnx.IntAttr("to", int64(d)))
}

// store keeps the great constants that are still in float in half precision,
// behind a cast that the runtime does once, when it loads the model.
func (h *halfPass) store() {
	h.model.WalkGraphs(func(g *onnx.Graph, path string) {
		index := onnx.NewIndex(g)
		var casts []*onnx.Node
		for i, t := range g.Initializers {
			if t.DType != tensor.Float32 || t.Elements() < storedLeast || index.IsInput(t.Name) || index.IsOutput(t.Name) || h.kept(index, t) {
				continue
			}
			twin := h.names.Fresh(t.Name + "_half")
			g.Initializers[i] = h.convert(t, twin)
			casts = append(casts, h.cast(twin, t.Name, tensor.Float32))
			h.plan.change(Change{Node: path + t.Name, Op: "Initializer", Action: "stored", Format: string(h.o.Format),
				BytesBefore: t.Size(), BytesAfter: t.Size() / 2})
		}
		g.Nodes = append(casts, g.Nodes...)
	})
}

// kept reports whether the user keeps a node that uses the constant.
func (h *halfPass) kept(index *onnx.Index, t *onnx.Tensor) bool {
	return slices.ContainsFunc(index.Consumers(t.Name), func(n *onnx.Node) bool {
		_, ok := h.o.selected(n)
		return !ok
	})
}

// notes tells what the numbers cannot hold, and what to expect of the speed.
func (h *halfPass) notes() []string {
	var clamped, zero int64
	for _, c := range h.counts {
		clamped, zero = clamped+c.clamped, zero+c.zero
	}
	var out []string
	if clamped > 0 {
		out = append(out, fmt.Sprintf("values of constants beyond the range of %s, set to its greatest number: %d", h.o.Format, clamped))
	}
	if zero > 0 {
		out = append(out, fmt.Sprintf("values of constants too small for %s, now zero: %d", h.o.Format, zero))
	}
	if h.half == tensor.BFloat16 && h.o.Form != TensorRT {
		return append(out, "weights are stored in bf16 and computed with in fp32: processors have no kernels for it; this saves size, not time, and no memory once the model is loaded")
	}
	if h.o.Form == TensorRT {
		return out
	}
	return append(out, "processors without half arithmetic compute in fp32 around casts: there this saves size, not time")
}
