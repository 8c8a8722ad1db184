package main

import (
	"fmt"
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// gptShape is the size of a model of the GPT-2 architecture.
type gptShape struct{ layers, width, heads, vocab, positions int64 }

// decoder builds one GPT: the graph so far and the values that all layers use.
type decoder struct {
	*graph
	gptShape
	linearForm string
	bias       string           // [batch, 1, S, S]: 0 where a position may look, else the lowest float
	batchSeq   string           // int64 [2]: batch, sequence
	shapes     map[int64]string // the shape [batch, sequence, n], by n
}

// gpt returns a causal language model: input_ids and attention_mask int64
// [batch, sequence] to logits float32 [batch, sequence, vocab]. As in GPT-2 the
// head is the embedding transposed; the weights have GPT-2's initial spread
// (0.02, residual projections divided by √(2·layers)).
func gpt(s gptShape, o options) *onnx.Model {
	d := &decoder{graph: newGraph("gpt", o.seed), gptShape: s, linearForm: o.linear, shapes: map[int64]string{}}
	dims := []onnx.Dim{symbol("batch"), symbol("sequence")}
	d.g.Inputs = []*onnx.ValueInfo{
		value("input_ids", tensor.Int64, dims...), value("attention_mask", tensor.Int64, dims...),
	}
	h := d.embed()
	for i := range s.layers {
		h = d.layer(fmt.Sprintf("h.%d.", i), h)
	}
	h = d.norm("ln_f", h)
	head := d.node("Transpose", []string{"wte"}, onnx.IntListAttr("perm", 1, 0))
	logits := d.node("MatMul", []string{h, head})
	d.output(logits, "logits", tensor.Float32, append(dims, fixed(s.vocab))...)
	return d.model()
}

// embed adds the embeddings and the mask, and returns the first hidden state.
func (d *decoder) embed() string {
	tokens := d.node("Gather", []string{d.weight("wte", 0.02, d.vocab, d.width), "input_ids"})
	d.batchSeq = d.node("Shape", []string{"input_ids"})
	length := d.node("Gather", []string{d.batchSeq, d.index("one", 1)})
	positions := d.node("Range", []string{d.index("zero", 0), length, d.index("one", 1)})
	places := d.node("Gather", []string{d.weight("wpe", 0.01, d.positions, d.width), positions})
	h := d.node("Add", []string{tokens, places})

	key := d.node("Unsqueeze", []string{positions, d.ints("axis0", 0)})
	query := d.node("Unsqueeze", []string{positions, d.ints("axis1", 1)})
	causal := d.node("LessOrEqual", []string{key, query})
	given := d.node("Cast", []string{"attention_mask"}, onnx.IntAttr("to", int64(tensor.Bool)))
	given = d.node("Unsqueeze", []string{given, d.ints("axes12", 1, 2)})
	keep := d.node("And", []string{causal, given})
	d.bias = d.node("Where", []string{keep, d.scalar("seen", 0), d.scalar("unseen", -math.MaxFloat32)})
	return h
}

// layer adds one block: attention and perceptron, each behind a normalization
// and added to the stream h.
func (d *decoder) layer(name, h string) string {
	residual := 0.02 / math.Sqrt(float64(2*d.layers))
	a := d.linear(name+"attn.c_attn", d.norm(name+"ln_1", h), 0.02, d.width, 3*d.width)
	a = d.linear(name+"attn.c_proj", d.attention(a), residual, d.width, d.width)
	h = d.node("Add", []string{a, h})
	m := d.linear(name+"mlp.c_fc", d.norm(name+"ln_2", h), 0.02, d.width, 4*d.width)
	m = d.linear(name+"mlp.c_proj", d.gelu(m), residual, 4*d.width, d.width)
	return d.node("Add", []string{h, m})
}

func (d *decoder) norm(name, x string) string {
	in := []string{x, d.full(name+".weight", 1, d.width), d.full(name+".bias", 0, d.width)}
	return d.node("LayerNormalization", in, onnx.IntAttr("axis", -1), onnx.FloatAttr("epsilon", 1e-5))
}

// linear adds x·w + b for x of [batch, sequence, in].
func (d *decoder) linear(name, x string, deviation float64, in, out int64) string {
	w := d.weight(name+".weight", deviation, in, out)
	b := d.weight(name+".bias", 0.01, out)
	if d.linearForm == "matmul" {
		return d.node("Add", []string{d.node("MatMul", []string{x, w}), b})
	}
	flat := d.node("Reshape", []string{x, d.ints(fmt.Sprintf("rows.%d", in), -1, in)})
	return d.node("Reshape", []string{d.node("Gemm", []string{flat, w, b}), d.shape(out)})
}

// shape returns the value [batch, sequence, n].
func (d *decoder) shape(n int64) string {
	if s, ok := d.shapes[n]; ok {
		return s
	}
	s := d.node("Concat", []string{d.batchSeq, d.ints(fmt.Sprintf("last.%d", n), n)}, onnx.IntAttr("axis", 0))
	d.shapes[n] = s
	return s
}

// attention adds masked multi-head attention for queries, keys and values that
// lie side by side in qkv, [batch, sequence, 3·width].
func (d *decoder) attention(qkv string) string {
	parts := d.nodes("Split", 3, []string{qkv, d.ints("thirds", d.width, d.width, d.width)}, onnx.IntAttr("axis", 2))
	split := d.ints("heads", 0, 0, d.heads, d.width/d.heads)
	part := func(i int, perm ...int64) string {
		v := d.node("Reshape", []string{parts[i], split})
		return d.node("Transpose", []string{v}, onnx.IntListAttr("perm", perm...))
	}
	q, k, v := part(0, 0, 2, 1, 3), part(1, 0, 2, 3, 1), part(2, 0, 2, 1, 3)
	scores := d.node("MatMul", []string{q, k})
	root := float32(math.Sqrt(float64(d.width / d.heads)))
	scores = d.node("Div", []string{scores, d.scalar("root", root)})
	scores = d.node("Add", []string{scores, d.bias})
	p := d.node("Softmax", []string{scores}, onnx.IntAttr("axis", -1))
	mixed := d.node("Transpose", []string{d.node("MatMul", []string{p, v})}, onnx.IntListAttr("perm", 0, 2, 1, 3))
	return d.node("Reshape", []string{mixed, d.ints("joined", 0, 0, d.width)})
}

// gelu adds the tanh form of GELU that GPT-2 uses:
// x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³))).
func (d *decoder) gelu(x string) string {
	cube := d.node("Pow", []string{x, d.scalar("three", 3)})
	inner := d.node("Add", []string{x, d.node("Mul", []string{cube, d.scalar("cubic", 0.044715)})})
	inner = d.node("Mul", []string{inner, d.scalar("root2pi", float32(math.Sqrt(2/math.Pi)))})
	outer := d.node("Add", []string{d.node("Tanh", []string{inner}), d.scalar("unit", 1)})
	return d.node("Mul", []string{d.node("Mul", []string{x, d.scalar("half", 0.5)}), outer})
}
