package onnx

import "google.golang.org/protobuf/encoding/protowire"

func values(out *message, num protowire.Number, list []*ValueInfo) {
	for _, v := range list {
		sub := &message{}
		sub.text(1, v.Name)
		if v.Type != nil {
			sub.nest(2, typeMessage(v.Type))
		}
		sub.text(3, v.Doc)
		properties(sub, 4, v.Metadata)
		sub.raw(v.Unknown)
		out.nest(num, sub)
	}
}

func typeMessage(t *Type) *message {
	out := &message{}
	if t.DType != 0 || t.HasShape || len(t.tensorUnknown) > 0 {
		inner := &message{}
		inner.int(1, int64(t.DType))
		if t.HasShape {
			inner.nest(2, shapeMessage(t))
		}
		inner.raw(t.tensorUnknown)
		out.nest(1, inner)
	}
	out.raw(t.Other)
	out.text(6, t.Denotation)
	out.raw(t.Unknown)
	return out
}

func shapeMessage(t *Type) *message {
	out := &message{}
	for _, d := range t.Dims {
		sub := &message{}
		switch {
		case d.Symbol != "":
			sub.element(2, d.Symbol)
		case d.Value >= 0:
			sub.int(1, d.Value)
		}
		sub.text(3, d.Denotation)
		sub.raw(d.Unknown)
		out.nest(1, sub)
	}
	out.raw(t.shapeUnknown)
	return out
}
