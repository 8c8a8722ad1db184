package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// tableBits is the storage of embedding tables in formats of 4 bits: their
// rows are looked up, not multiplied, and a head that shares them decides over
// the whole vocabulary.
const tableBits = 8

type tableKey struct {
	scope *scope
	table *blocked
}

// blockedGather: the rows of an embedding table are stored in blocks, and
// com.microsoft.GatherBlockQuantized restores those that are looked up.
func blockedGather(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	t, home := s.constant(n.Inputs[0])
	reason, ok := q.embedding(n, t)
	if !ok {
		return nil, Change{}, reason
	}
	if q.o.Form == QDQ {
		return integerGather(q, s, n)
	}
	if dividing(int(t.Shape[1]), defaultBlock) == 0 {
		return nil, Change{}, "its rows do not divide into blocks of 16 and more"
	}
	b := q.table(home, t)
	in := []string{b.data.Name, n.Inputs[1], b.scale.Name}
	if b.zps != nil {
		in = append(in, b.zps.Name)
	}
	node := onnx.NewNode("GatherBlockQuantized", q.namer.Fresh(n.Name+"_quant"), in, []string{n.Outputs[0]},
		onnx.IntAttr("bits", int64(b.scheme.Storage())), onnx.IntAttr("block_size", int64(b.scheme.Block)),
		onnx.IntAttr("gather_axis", 0), onnx.IntAttr("quantize_axis", 1))
	node.Domain = microsoft
	return []*onnx.Node{node}, q.blockChange(t, b), ""
}

// table returns the blocks of an embedding table, [V, K].
func (q *pass) table(home *scope, t *onnx.Tensor) *blocked {
	key := blockedKey{t, true}
	if b := q.blocks[key]; b != nil {
		return b
	}
	b := q.newBlocked(home, t, true)
	b.scheme.Bits = tableBits
	b.scheme.Block = dividing(b.k, q.blockSize(b.k))
	q.chooseFit(b)
	b.declare(q, tensor.Shape{int64(b.n), int64(b.k * b.scheme.Storage() / 8)})
	q.blocks[key] = b
	return b
}

// isTable reports whether a constant is an embedding table that is stored in
// blocks.
func (q *pass) isTable(home *scope, t *onnx.Tensor) bool {
	if q.o.Form == QDQ || len(t.Shape) != 2 || dividing(int(t.Shape[1]), defaultBlock) == 0 {
		return false
	}
	for _, n := range home.index.Consumers(t.Name) {
		if !n.Is("Gather") || n.Inputs[0] != t.Name {
			continue
		}
		if _, chosen := q.o.selected(n); !chosen {
			continue
		}
		if _, ok := q.embedding(n, t); ok {
			return true
		}
	}
	return false
}

// embedding checks the table of a Gather.
func (q *pass) embedding(n *onnx.Node, t *onnx.Tensor) (reason string, ok bool) {
	switch {
	case t == nil || !t.DType.IsFloat() || len(t.Shape) < 2:
		return "", false // not an embedding
	case !q.o.Embeddings:
		return "embeddings are left with --embeddings=false", false
	case t.DType != tensor.Float32:
		return "its table is " + t.DType.String() + ", not float32", false
	case len(t.Shape) != 2:
		return "its table is no matrix", false
	case n.AttrInt("axis", 0) != 0 && n.AttrInt("axis", 0) != -2: // the two names of a matrix's rows
		return "it gathers columns, not rows", false
	case t.Shape[0]*t.Shape[1] < minTable:
		return "a small table: the conversion would cost more than it saves", false
	}
	return "", true
}
