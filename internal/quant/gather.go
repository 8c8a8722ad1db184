package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// integerGather: the rows of an embedding table are stored as integers with
// one scale per row:
//
//	Gather(Wq, ids) → Cast → Mul(Gather(scales [V,1], ids))
//
// A row per scale keeps rare and frequent ids alike exact to half a step of
// their own range, and is the layout that a tied output projection needs.
func integerGather(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	t, home := s.constant(n.Inputs[0])
	if reason, ok := q.embedding(n, t); !ok {
		return nil, Change{}, reason
	}
	w := q.weights.get(t, home, q.layout(0), nil)
	name := func(suffix string) string { return q.namer.Fresh(n.Name + suffix) }
	rows, values := name("_rows"), name("_values")
	nodes := []*onnx.Node{
		onnx.NewNode("Gather", name("_quant"), []string{w.data.Name, n.Inputs[1]}, []string{rows}),
		onnx.NewNode("Cast", name("_cast"), []string{rows}, []string{values}, onnx.IntAttr("to", int64(tensor.Float32))),
	}
	scale := w.scale.Name
	if !q.o.PerTensor {
		table := w.scaleAs(q.namer, "row_scale", tensor.Shape{t.Shape[0], 1})
		scale = name("_row_scale")
		nodes = append(nodes, onnx.NewNode("Gather", name("_scales"), []string{table.Name, n.Inputs[1]}, []string{scale}))
	}
	nodes = append(nodes, onnx.NewNode("Mul", name("_scale_mul"), []string{values, scale}, []string{n.Outputs[0]}))
	return nodes, changed(WeightOnly, t.Size(), w), ""
}

// minTable is the number of elements under which an embedding table stays as
// it is.
const minTable = 4096
