package quant

import (
	"optim/internal/onnx"
	"optim/internal/rounding"
	"optim/internal/tensor"
)

// blockedOpset is what DequantizeLinear in blocks and of 4 bits needs.
const blockedOpset = 21

// restoredProduct leaves a product as it is and lets it read its weight
// through a DequantizeLinear in blocks along the inputs: standard operators,
// which ONNX Runtime fuses to MatMulNBits for MatMul. The codes keep the
// layout of the source. A table that Gather reads too has its rows' integers
// (see integerGather), of which a DequantizeLinear makes this weight.
func (q *pass) restoredProduct(s *scope, n *onnx.Node, o operand) ([]*onnx.Node, Change, string) {
	restored, c := "", Change{}
	var dq *onnx.Node
	var nodes []*onnx.Node
	if o.transposed != nil || o.scope.sharedWithGather(o.tensor) {
		w := q.weights.get(o.tensor, o.scope, q.layout(0), nil)
		c = changed(WeightOnly, o.tensor.Size(), w)
		restored = q.namer.Fresh(w.data.Name + "_restored")
		// Without zero points ONNX Runtime up to 1.26 adds a QuantizeLinear of
		// another type behind the Transpose, and refuses the model.
		dq = onnx.NewNode("DequantizeLinear", q.namer.Fresh(n.Name+"_DequantizeLinear"),
			[]string{w.data.Name, w.scale.Name, w.zeros(q.namer, w.scaleShape()).Name}, []string{restored}, onnx.IntAttr("axis", 0))
	} else {
		b := q.standardBlocks(s.label(n), o, transB(n))
		c = q.blockChange(o.tensor, b.blocked)
		restored = q.namer.Fresh(b.data.Name + "_restored")
		if b.solution != nil && b.solution.Factors != nil {
			nodes, n.Inputs[0] = q.divided(s, n.Inputs[0], b.solution.Factors)
		}
		in := []string{b.data.Name, b.scale.Name}
		if b.zps != nil {
			in = append(in, b.zps.Name)
		}
		dq = onnx.NewNode("DequantizeLinear", q.namer.Fresh(n.Name+"_DequantizeLinear"), in, []string{restored},
			onnx.IntAttr("axis", int64(b.axis)), onnx.IntAttr("block_size", int64(b.scheme.Block)))
	}
	nodes = append(nodes, dq)
	if o.transposed != nil {
		turned := q.namer.Fresh(restored + "_transposed")
		nodes = append(nodes, onnx.NewNode("Transpose", q.namer.Fresh(n.Name+"_weight_transpose"), []string{restored}, []string{turned}, onnx.IntListAttr("perm", 1, 0)))
		restored = turned
	}
	n.Inputs[1] = restored
	return append(nodes, n), c, ""
}

// standard is a blocked matrix in the layout of its source.
type standard struct {
	*blocked
	axis int // along which the blocks lie: that of the inputs
}

// standardBlocks returns the codes of a product's weight for DequantizeLinear.
func (q *pass) standardBlocks(label string, o operand, turned bool) standard {
	axis := 0
	if turned {
		axis = 1
	}
	key := blockedKey{o.tensor, turned}
	if b := q.blocks[key]; b != nil {
		return standard{b, axis}
	}
	b := standard{q.productBlocked(label, o, turned), axis}
	b.declare(q)
	q.blocks[key] = b.blocked
	return b
}

// dtype is the element type of the codes. Symmetric ones are signed, as the
// standard has no zero point in the middle of an unsigned type.
func (b standard) dtype() tensor.DType {
	switch wide := b.scheme.Storage() == 8; {
	case wide && b.scheme.Symmetric:
		return tensor.Int8
	case wide:
		return tensor.Uint8
	case b.scheme.Symmetric:
		return tensor.Int4
	}
	return tensor.Uint4
}

// declare adds the initializers.
func (b standard) declare(q *pass) {
	name, shape := b.source.Name, b.source.Shape.Clone()
	b.data = onnx.NewLazyTensor(q.namer.Fresh(name+"_quantized"), b.dtype(), shape, b.write)
	shape = shape.Clone()
	shape[b.axis] = int64(b.blocks())
	b.scale = onnx.NewLazyTensor(q.namer.Fresh(name+"_scale"), tensor.Float32, shape, func(dst []byte) error {
		copy(dst, tensor.AsBytes(arrange(b.grid.Scales, b.n, b.blocks(), b.turned)))
		return nil
	})
	b.home.graph.Initializers = append(b.home.graph.Initializers, b.data, b.scale)
	if !b.scheme.Symmetric {
		b.zps = onnx.NewLazyTensor(q.namer.Fresh(name+"_zero_point"), b.dtype(), shape, func(dst []byte) error {
			tensor.PackBits(dst, arrange(b.grid.Zeros, b.n, b.blocks(), b.turned), b.bits())
			return nil
		})
		b.home.graph.Initializers = append(b.home.graph.Initializers, b.zps)
	}
}

// bits is the width of a stored code: 2-bit types are too young to be portable.
func (b standard) bits() int { return max(b.scheme.Storage(), 4) }

// write packs the codes in the layout of the source.
func (b standard) write(dst []byte) error {
	all := make([]byte, b.n*b.k)
	err := b.codes(func(first int, g rounding.Grid, codes []byte) error {
		copy(all[first*b.k:], codes)
		return nil
	})
	if err != nil {
		return err
	}
	if b.scheme.Symmetric {
		middle := byte(1) << (b.scheme.Storage() - 1)
		for i := range all {
			all[i] -= middle // two's complement, cut to the width by packing
		}
	}
	tensor.PackBits(dst, arrange(all, b.n, b.k, b.turned), b.bits())
	return nil
}

// arrange returns [rows, cols] as [cols, rows], or as it is for a source that
// is stored in rows of outputs.
func arrange[T any](v []T, rows, cols int, turned bool) []T {
	if turned {
		return v
	}
	out := make([]T, len(v))
	for r := range rows {
		for c := range cols {
			out[c*rows+r] = v[r*cols+c]
		}
	}
	return out
}
