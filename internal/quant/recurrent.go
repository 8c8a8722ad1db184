package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// dynamicLSTM: LSTM becomes com.microsoft.DynamicQuantizeLSTM, whose weights
// are transposed, [directions, input, 4·hidden], with one scale per column.
func dynamicLSTM(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	if len(n.Inputs) < 3 {
		return nil, Change{}, ""
	}
	if q.o.Form == QDQ {
		return nil, Change{}, "no standard operator computes it in integers (--form qdq)"
	}
	if n.AttrInt("layout", 0) != 0 {
		return nil, Change{}, "the integer kernel takes layout 0 only"
	}
	var packed [2]*weight
	for i, in := range n.Inputs[1:3] {
		t, home := s.constant(in)
		switch {
		case t == nil:
			return nil, Change{}, "its weights are not constant"
		case t.DType != tensor.Float32 || len(t.Shape) != 3:
			return nil, Change{}, "its weights are not float32 of rank 3"
		}
		l := layout{axis: 1, blocks: int(t.Shape[0]), dtype: tensor.Int8, max: q.weightMax(), factor: 1}
		if q.o.PerTensor {
			l.axis = 0 // the kernel has one scale for each direction then
		}
		packed[i] = q.weights.get(t, home, l, nil)
	}
	in := make([]string, 12)
	copy(in, n.Inputs[:min(len(n.Inputs), 8)])
	for i, w := range packed {
		shape := w.source.Shape[:w.layout.axis+1].Clone() // directions, and columns
		in[1+i] = w.data.Name
		in[8+2*i] = w.scaleAs(q.namer, "column_scale", shape).Name
		in[9+2*i] = w.zeros(q.namer, shape).Name
	}
	out := onnx.NewNode("DynamicQuantizeLSTM", q.namer.Fresh(n.Name+"_quant"), in, n.Outputs)
	out.Domain = microsoft
	for _, a := range n.Attrs {
		if a.Name != "layout" {
			out.Attrs = append(out.Attrs, a)
		}
	}
	c := changed(Dynamic, packed[0].source.Size()+packed[1].source.Size(), packed[0])
	c.BytesAfter += packed[1].bytesAfter()
	return []*onnx.Node{out}, c, ""
}

// microsoft is the domain of ONNX Runtime's own operators.
const microsoft = "com.microsoft"
