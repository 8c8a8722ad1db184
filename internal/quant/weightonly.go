package quant

import (
	"cmp"
	"fmt"

	"optim/internal/onnx"
	"optim/internal/rounding"
	"optim/internal/tensor"
)

// blockRules is the table of what stores codes in blocks but takes activations
// as they are.
var blockRules = map[string]rule{
	"MatMul": blockedProduct,
	"Gemm":   blockedProduct,
	"Gather": blockedGather,
}

// int4Rules are those of 4 bits, which convolutions can store, too.
var int4Rules = map[string]rule{
	"MatMul": blockedProduct,
	"Gemm":   blockedProduct,
	"Gather": blockedGather,
	"Conv":   restoredConv,
}

var noBlockKernel = map[string]string{
	"Conv":          "no kernel computes Conv with blocked weights",
	"ConvTranspose": "no kernel computes ConvTranspose with blocked weights",
	"LSTM":          "no kernel computes LSTM with blocked weights",
	"GRU":           "no kernel computes GRU with blocked weights",
	"RNN":           "no kernel computes RNN with blocked weights",
	"Einsum":        "no kernel computes Einsum with blocked weights",
}

// accuracyLevel is MatMulNBits' attribute of that name: the type that products
// are computed in. At level 4 activations are rounded to 8 bits in the weight's
// blocks; there alone 8-bit weights have a fast path, all others being 50 times
// slower. Levels 2 and 3 (float16, bfloat16) are for other providers: on a
// processor they compute as level 1.
var accuracyLevel = map[ComputeType]int64{AutoCompute: 4, ComputeInt8: 4, ComputeFP32: 1, ComputeFP16: 2, ComputeBF16: 3}

// blockedProduct: MatMul and Gemm become com.microsoft.MatMulNBits, or with
// --form qdq read their weight through a DequantizeLinear in blocks.
func blockedProduct(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	o, reason, ok := q.matrixWeight(s, n)
	if !ok {
		return nil, Change{}, reason
	}
	turned := (o.transposed != nil) != transB(n)
	if q.o.Form == QDQ {
		return q.restoredProduct(s, n, o)
	}
	if n.OpType == "Gemm" && (n.AttrFloat("alpha", 1) != 1 || n.AttrInt("transA", 0) != 0) {
		return nil, Change{}, "alpha or transA has no counterpart in MatMulNBits"
	}
	b, data, nodes := q.productBlocks(s, n, o, turned)
	input := n.Inputs[0]
	if b.solution != nil && b.solution.Factors != nil {
		var more []*onnx.Node
		more, input = q.divided(s, input, b.solution.Factors)
		nodes = append(nodes, more...)
	}
	bias := n.OpType == "Gemm" && len(n.Inputs) > 2 && n.Inputs[2] != "" && n.AttrFloat("beta", 1) != 0
	out := n.Outputs[0]
	if bias {
		out = q.namer.Fresh(out + "_product")
	}
	in := []string{input, data, b.scale.Name}
	if b.zps != nil {
		in = append(in, b.zps.Name)
	}
	node := onnx.NewNode("MatMulNBits", q.namer.Fresh(n.Name+"_quant"), in, []string{out},
		onnx.IntAttr("K", int64(b.k)), onnx.IntAttr("N", int64(b.n)), onnx.IntAttr("bits", int64(b.scheme.Storage())),
		onnx.IntAttr("block_size", int64(b.scheme.Block)), onnx.IntAttr("accuracy_level", accuracyLevel[cmp.Or(q.o.Compute, AutoCompute)]))
	node.Domain = microsoft
	nodes = append(nodes, node)
	if bias {
		nodes = append(nodes, q.addBias(n, out)...)
	}
	return nodes, q.blockChange(o.tensor, b), ""
}

// blockChange is the entry of the plan for a node whose weight is b now.
func (q *pass) blockChange(t *onnx.Tensor, b *blocked) Change {
	format := fmt.Sprintf("int%d", b.scheme.Bits)
	method := q.o.Method
	switch {
	case b.solution != nil && b.solution.Method != "":
		method = b.solution.Method
	case b.scheme.Bits == 8 && method != WeightOnly: // tables: nothing to be gained by more
		method = RTN
	}
	return Change{Action: string(method), Format: format, BytesBefore: t.Size(), BytesAfter: b.bytes()}
}

// productBlocks returns the blocks of a product's weight and the value that
// holds their codes as [N, blocks, bytes]. A table that Gather reads too has
// them as [N, bytes], which a Reshape that the runtime folds makes of them.
func (q *pass) productBlocks(s *scope, n *onnx.Node, o operand, turned bool) (*blocked, string, []*onnx.Node) {
	if turned && q.isTable(o.scope, o.tensor) {
		b := q.table(o.scope, o.tensor)
		key := tableKey{s, b}
		if name, ok := q.reshaped[key]; ok {
			return b, name, nil
		}
		shape := tensor.Of(tensor.Int64, tensor.Shape{3}, []int64{int64(b.n), int64(b.blocks()), b.data.Shape[1] / int64(b.blocks())})
		sizes := onnx.NewTensor(q.namer.Fresh(b.data.Name+"_shape"), shape)
		q.model.Graph.Initializers = append(q.model.Graph.Initializers, sizes)
		name := q.namer.Fresh(b.data.Name + "_rows")
		q.reshaped[key] = name
		node := onnx.NewNode("Reshape", q.namer.Fresh(n.Name+"_blocks"), []string{b.data.Name, sizes.Name}, []string{name})
		return b, name, []*onnx.Node{node}
	}
	key := blockedKey{o.tensor, turned}
	b := q.blocks[key]
	if b == nil {
		b = q.productBlocked(s.label(n), o, turned)
		b.declare(q, tensor.Shape{int64(b.n), int64(b.blocks()), int64(b.scheme.Block * b.scheme.Storage() / 8)})
		q.blocks[key] = b
	}
	return b, b.data.Name, nil
}

// productBlocked returns the weight of a product in the bits that it has: more
// than asked for where mixed precision says so.
func (q *pass) productBlocked(label string, o operand, turned bool) *blocked {
	b := q.newBlocked(o.scope, o.tensor, turned)
	b.scheme.Block = q.blockSize(b.k)
	b.solution = q.solution(label, o)
	if q.o.Assigned[label].Format == string(Int8) {
		b.scheme.Bits = 8
	}
	if b.solution != nil {
		b.scheme = b.solution.Grid.Scheme
	}
	q.chooseFit(b)
	return b
}

// solution returns what a method that needs data decided for the weight of a
// node, unless mixed precision gives the node a format of its own.
func (q *pass) solution(label string, o operand) *Solution {
	if f := q.o.Assigned[label].Format; f == Float || f == string(Int8) {
		return nil
	}
	return q.o.Solutions[o.tensor.Name]
}

// newBlocked returns a matrix to be stored in blocks, with the bits asked for.
func (q *pass) newBlocked(home *scope, t *onnx.Tensor, turned bool) *blocked {
	b := &blocked{source: t, turned: turned, home: home, n: int(t.Shape[1]), k: int(t.Shape[0])}
	if turned {
		b.n, b.k = b.k, b.n
	}
	b.scheme = rounding.Scheme{Bits: q.o.Bits, Symmetric: q.o.Symmetric, Search: !q.o.PlainScales}
	q.fits = append(q.fits, b.fit)
	return b
}

// chooseFit gives a matrix the way to its scales. With 8 bits there is nothing to
// gain by a search.
func (q *pass) chooseFit(b *blocked) {
	b.scheme.Search = b.scheme.Search && b.scheme.Bits < 8
	scheme := b.scheme
	b.fitPanel = func(w []float32, k int) (rounding.Grid, error) { return scheme.Fit(w, k, nil) }
	if q.o.Method == HQQ && b.scheme.Bits < 8 {
		b.fitPanel = func(w []float32, k int) (rounding.Grid, error) { return scheme.HQQ(w, k, nil) }
	}
}

// defaultBlock is the number of values that share a scale where the user does
// not say: larger blocks are faster and smaller, smaller ones more exact.
const defaultBlock = 128

// blockSize returns the number of values that share a scale in rows of k. The
// last block of a row is filled up, which would cost more than it saves where a
// smaller block divides the row.
func (q *pass) blockSize(k int) int {
	if q.o.BlockSize != 0 {
		return q.o.BlockSize
	}
	if b := dividing(k, defaultBlock); b >= 32 {
		return b
	}
	b := defaultBlock
	for b > 16 && b/2 >= k {
		b /= 2
	}
	return b
}

// dividing returns the greatest power of two from 16 to most that divides k;
// 0 if there is none.
func dividing(k, most int) int {
	for b := most; b >= 16; b /= 2 {
		if k%b == 0 {
			return b
		}
	}
	return 0
}
