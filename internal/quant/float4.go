package quant

import (
	"cmp"
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// float4Rules is the table of what stores weights in 4-bit floats as
// bitsandbytes has them: products as com.microsoft.MatMulBnb4, embedding
// tables in blocks of 8 bits.
var float4Rules = map[string]rule{
	"MatMul": float4Product,
	"Gemm":   float4Product,
	"Gather": blockedGather,
}

// float4Codes are the formats with MatMulBnb4's attribute quant_type.
var float4Codes = map[Format]struct {
	code      *tensor.Float4
	quantType int64
}{
	FP4: {tensor.FP4, 0},
	NF4: {tensor.NF4, 1},
}

// float4 is a constant matrix [N, K] as one run of 4-bit floats, whose blocks do
// not stop at the ends of rows.
type float4 struct {
	*blocked
	code   *tensor.Float4
	block  int
	absmax []float32
	double tensor.DoubleQuant
	nodes  []*onnx.Node // that restore quantized scales
	scales string       // value that holds the blocks' scales
	size   int64        // of all that is stored
}

func float4Product(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	o, reason, ok := q.matrixWeight(s, n)
	if !ok {
		return nil, Change{}, reason
	}
	turned := (o.transposed != nil) != transB(n)
	if turned && q.isTable(o.scope, o.tensor) || q.o.Assigned[s.label(n)].Format == string(Int8) {
		return blockedProduct(q, s, n)
	}
	if n.OpType == "Gemm" && (n.AttrFloat("alpha", 1) != 1 || n.AttrInt("transA", 0) != 0) {
		return nil, Change{}, "alpha or transA has no counterpart in MatMulBnb4"
	}
	f, nodes := q.float4(o, turned)
	bias := n.OpType == "Gemm" && len(n.Inputs) > 2 && n.Inputs[2] != "" && n.AttrFloat("beta", 1) != 0
	out := n.Outputs[0]
	if bias {
		out = q.namer.Fresh(out + "_product")
	}
	node := onnx.NewNode("MatMulBnb4", q.namer.Fresh(n.Name+"_quant"), []string{n.Inputs[0], f.data.Name, f.scales}, []string{out},
		onnx.IntAttr("K", int64(f.k)), onnx.IntAttr("N", int64(f.n)),
		onnx.IntAttr("block_size", int64(f.block)), onnx.IntAttr("quant_type", float4Codes[q.o.Format].quantType))
	node.Domain = microsoft
	nodes = append(nodes, node)
	if bias {
		nodes = append(nodes, q.addBias(n, out)...)
	}
	return nodes, Change{Action: string(q.o.Method), Format: string(q.o.Format), BytesBefore: o.tensor.Size(), BytesAfter: f.size}, ""
}

// float4 returns a weight in 4-bit floats, and the nodes that its first user
// brings into the main graph.
func (q *pass) float4(o operand, turned bool) (*float4, []*onnx.Node) {
	key := blockedKey{o.tensor, turned}
	if f := q.floats[key]; f != nil {
		return f, nil
	}
	f := &float4{blocked: q.newBlocked(o.scope, o.tensor, turned), code: float4Codes[q.o.Format].code}
	f.block = cmp.Or(q.o.BlockSize, tensor.NF4Block)
	f.absmax = make([]float32, (f.n*f.k+f.block-1)/f.block)
	q.fits[len(q.fits)-1] = f.fit
	q.floats[key] = f
	f.data = q.lazy(o.scope, o.tensor.Name+"_codes", tensor.Uint8, tensor.Shape{int64(f.n*f.k+1) / 2}, f.write)
	f.size = f.data.Size()
	if q.o.DoubleQuant {
		q.restoredScales(o.scope, f)
		return f, f.nodes
	}
	scales := q.lazy(o.scope, o.tensor.Name+"_absmax", tensor.Float32, tensor.Shape{int64(len(f.absmax))}, floatsOf(&f.absmax))
	f.scales, f.size = scales.Name, f.size+scales.Size()
	return f, nil
}

// lazy adds an initializer that is computed when the file is written.
func (q *pass) lazy(home *scope, base string, d tensor.DType, s tensor.Shape, f func(dst []byte) error) *onnx.Tensor {
	t := onnx.NewLazyTensor(q.namer.Fresh(base), d, s, f)
	home.graph.Initializers = append(home.graph.Initializers, t)
	return t
}

// floatsOf writes numbers that are found before the file is written.
func floatsOf(v *[]float32) func(dst []byte) error {
	return func(dst []byte) error {
		copy(dst, tensor.AsBytes(*v))
		return nil
	}
}

// restoredScales stores the scales in 8 bits, and adds what makes floats of
// them, which the runtime folds when it loads the model:
//
//	Gather(map, codes [B, 256]) · scales [B, 1] + mean → [-1] → the first of them
func (q *pass) restoredScales(home *scope, f *float4) {
	base, count := f.source.Name, int64(len(f.absmax))
	groups := (count + tensor.DoubleBlock - 1) / tensor.DoubleBlock
	codes := q.lazy(home, base+"_absmax_codes", tensor.Uint8, tensor.Shape{groups, tensor.DoubleBlock}, func(dst []byte) error {
		copy(dst, f.double.Codes)
		return nil
	})
	scales := q.lazy(home, base+"_absmax_scales", tensor.Float32, tensor.Shape{groups, 1}, floatsOf(&f.double.Scales))
	mean := q.lazy(home, base+"_absmax_mean", tensor.Float32, tensor.Shape{}, func(dst []byte) error {
		copy(dst, tensor.AsBytes([]float32{f.double.Offset}))
		return nil
	})
	f.size += codes.Size() + scales.Size() + mean.Size()
	value := ""
	add := func(op string, in []string, attrs ...*onnx.Attribute) {
		out := q.namer.Fresh(fmt.Sprintf("%s_absmax_%s", base, op))
		f.nodes = append(f.nodes, onnx.NewNode(op, out, in, []string{out}, attrs...))
		value = out
	}
	add("Cast", []string{codes.Name}, onnx.IntAttr("to", int64(tensor.Int32)))
	add("Gather", []string{q.shared("dynamic_map", tensor.Of(tensor.Float32, tensor.Shape{256}, tensor.DynamicMap)), value})
	add("Mul", []string{value, scales.Name})
	add("Add", []string{value, mean.Name})
	add("Reshape", []string{value, q.shared("flat", tensor.Of(tensor.Int64, tensor.Shape{1}, []int64{-1}))})
	if count%tensor.DoubleBlock != 0 {
		end := q.shared(fmt.Sprint("first_", count), tensor.Of(tensor.Int64, tensor.Shape{1}, []int64{count}))
		add("Slice", []string{value, q.shared("start", tensor.Of(tensor.Int64, tensor.Shape{1}, []int64{0})), end})
	}
	f.scales = value
}

// shared returns a constant of the main graph that several weights use.
func (q *pass) shared(name string, t tensor.Tensor) string {
	if n, ok := q.constants[name]; ok {
		return n
	}
	n := q.namer.Fresh(name)
	q.constants[name] = n
	q.model.Graph.Initializers = append(q.model.Graph.Initializers, onnx.NewTensor(n, t))
	return n
}

// fit finds the scales.
func (f *float4) fit() error {
	err := f.panels(f.block, func(first int, w []float32) error {
		from := first * f.k / f.block
		return f.code.Scales(f.absmax[from:from+(len(w)+f.block-1)/f.block], w, f.block)
	})
	if err != nil || f.nodes == nil {
		return err
	}
	f.double = tensor.QuantizeDouble(f.absmax)
	f.absmax = f.double.Restore()
	return nil
}

// write packs the codes.
func (f *float4) write(dst []byte) error {
	return f.panels(f.block, func(first int, w []float32) error {
		from := first * f.k / f.block
		f.code.Encode(dst[first*f.k/2:], w, f.absmax[from:], f.block)
		return nil
	})
}
