package quant

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// dynamicAttention: the fused com.microsoft.Attention with its packed
// projection [input, 3·hidden] becomes QAttention over a dynamically quantized
// input.
func dynamicAttention(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	if len(n.Inputs) < 3 {
		return nil, Change{}, ""
	}
	t, home := s.constant(n.Inputs[1])
	switch {
	case t == nil || t.DType != tensor.Float32 || len(t.Shape) != 2:
		return nil, Change{}, "its projection is no constant matrix of float32"
	case n.Inputs[2] == "":
		return nil, Change{}, "the integer kernel needs a bias"
	case len(n.Inputs) > 5 && slices.ContainsFunc(n.Inputs[5:], func(v string) bool { return v != "" }):
		return nil, Change{}, "the integer kernel has no attention bias"
	case n.Attr("qkv_hidden_sizes") != nil:
		return nil, Change{}, "the integer kernel needs equal sizes of query, key and value"
	case n.AttrInt("do_rotary", 0) != 0:
		return nil, Change{}, "the integer kernel has no rotary embedding"
	}
	w := q.weights.get(t, home, q.layout(1), nil)
	nodes, x := q.dynamicInput(s, n.Inputs[0])
	optional := func(i int) string {
		if i < len(n.Inputs) {
			return n.Inputs[i]
		}
		return ""
	}
	in := []string{x.data, w.data.Name, n.Inputs[2], x.scale, w.scale.Name, optional(3), x.zero,
		w.zeros(q.namer, w.scaleShape()).Name, optional(4)}
	out := onnx.NewNode("QAttention", q.namer.Fresh(n.Name+"_quant"), in, n.Outputs)
	out.Domain = microsoft
	for _, a := range n.Attrs {
		if slices.Contains([]string{"num_heads", "unidirectional", "mask_filter_value", "scale"}, a.Name) {
			out.Attrs = append(out.Attrs, a)
		}
	}
	return append(nodes, out), changed(Dynamic, t.Size(), w), ""
}
