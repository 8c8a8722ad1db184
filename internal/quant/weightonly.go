package quant

import (
	"cmp"
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// weightOnlyRules is the table of what stores integers but computes with
// activations as they are.
var weightOnlyRules = map[string]rule{
	"MatMul": blockedProduct,
	"Gemm":   blockedProduct,
	"Gather": integerGather,
}

var noBlockKernel = map[string]string{
	"Conv":          "no kernel computes Conv with blocked weights",
	"ConvTranspose": "no kernel computes ConvTranspose with blocked weights",
	"LSTM":          "no kernel computes LSTM with blocked weights",
	"GRU":           "no kernel computes GRU with blocked weights",
	"RNN":           "no kernel computes RNN with blocked weights",
	"Einsum":        "no kernel computes Einsum with blocked weights",
}

// accuracyLevel 4 lets MatMulNBits quantize activations to 8 bits by block;
// at any other level 8-bit weights take an unpacked path that is 50 times
// slower.
const accuracyLevel = 4

// blocked is a weight in the layout of MatMulNBits, [N, blocks, bytes].
type blocked struct {
	source     *onnx.Tensor
	scheme     tensor.NBitsScheme
	n, k       int
	fitted     tensor.NBits // B dropped after fit
	data       *onnx.Tensor
	scale, zps *onnx.Tensor // zps nil: symmetric
}

// blockedProduct: MatMul and Gemm become com.microsoft.MatMulNBits with
// 8-bit weights in blocks along K.
func blockedProduct(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	o, reason, ok := q.matrixWeight(s, n)
	if !ok {
		return nil, Change{}, reason
	}
	gemm := n.OpType == "Gemm"
	if gemm && (n.AttrFloat("alpha", 1) != 1 || n.AttrInt("transA", 0) != 0) {
		return nil, Change{}, "alpha or transA has no counterpart in MatMulNBits"
	}
	b := q.block(o, (o.transposed != nil) != transB(n))
	bias := gemm && len(n.Inputs) > 2 && n.Inputs[2] != "" && n.AttrFloat("beta", 1) != 0
	out := n.Outputs[0]
	if bias {
		out = q.namer.Fresh(out + "_product")
	}
	in := []string{n.Inputs[0], b.data.Name, b.scale.Name}
	if b.zps != nil {
		in = append(in, b.zps.Name)
	}
	node := onnx.NewNode("MatMulNBits", q.namer.Fresh(n.Name+"_quant"), in, []string{out},
		onnx.IntAttr("K", int64(b.k)), onnx.IntAttr("N", int64(b.n)), onnx.IntAttr("bits", 8),
		onnx.IntAttr("block_size", int64(b.scheme.Block)), onnx.IntAttr("accuracy_level", accuracyLevel))
	node.Domain = microsoft
	nodes := []*onnx.Node{node}
	if bias {
		nodes = append(nodes, q.addBias(n, out)...)
	}
	c := Change{Action: string(WeightOnly), Format: "int8", BytesBefore: o.tensor.Size(), BytesAfter: b.data.Size() + b.scale.Size()}
	return nodes, c, ""
}

// block returns the blocked form of a matrix; turned: it is stored as [N, K].
func (q *pass) block(o operand, turned bool) *blocked {
	key := blockedKey{o.tensor, turned}
	if b := q.blocks[key]; b != nil {
		return b
	}
	s := o.tensor.Shape
	b := &blocked{source: o.tensor, n: int(s[1]), k: int(s[0])}
	if turned {
		b.n, b.k = b.k, b.n
	}
	b.scheme = tensor.NBitsScheme{Bits: 8, Block: cmp.Or(q.o.BlockSize, 128), Symmetric: q.o.Symmetric, Transposed: !turned}
	count := int64((b.k + b.scheme.Block - 1) / b.scheme.Block)
	name := o.tensor.Name
	b.data = onnx.NewLazyTensor(q.namer.Fresh(name+"_blocks"), tensor.Uint8, tensor.Shape{int64(b.n), count, int64(b.scheme.Block)}, b.write)
	b.scale = onnx.NewLazyTensor(q.namer.Fresh(name+"_block_scales"), tensor.Float32, tensor.Shape{int64(b.n) * count}, func(dst []byte) error {
		copy(dst, tensor.AsBytes(b.fitted.Scales))
		return nil
	})
	o.scope.graph.Initializers = append(o.scope.graph.Initializers, b.data, b.scale)
	if !q.o.Symmetric {
		b.zps = onnx.NewLazyTensor(q.namer.Fresh(name+"_block_zero_points"), tensor.Uint8, tensor.Shape{int64(b.n) * count}, func(dst []byte) error {
			copy(dst, b.fitted.Zeros)
			return nil
		})
		o.scope.graph.Initializers = append(o.scope.graph.Initializers, b.zps)
	}
	q.blocks[key] = b
	q.fits = append(q.fits, b.fit)
	return b
}

type blockedKey struct {
	source *onnx.Tensor
	turned bool
}

func (b *blocked) quantize() (tensor.NBits, error) {
	t, err := b.source.Value()
	if err != nil {
		return tensor.NBits{}, err
	}
	defer b.source.Release()
	v, err := t.Float32s()
	if err != nil {
		return tensor.NBits{}, err
	}
	p, err := tensor.QuantizeNBits(v, b.n, b.k, b.scheme)
	if err != nil {
		return p, fmt.Errorf("tensor %q: %w", b.source.Name, err)
	}
	return p, nil
}

// fit keeps the scales and drops the values, which write computes again: the
// scales are a hundredth of the size.
func (b *blocked) fit() (err error) {
	b.fitted, err = b.quantize()
	b.fitted.B = nil
	return err
}

func (b *blocked) write(dst []byte) error {
	p, err := b.quantize()
	if err != nil {
		return err
	}
	copy(dst, p.B)
	return nil
}
