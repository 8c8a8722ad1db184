package prune

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// builder makes random networks.
type builder struct {
	*autodiff.Graph
	r    *rand.Rand
	used map[string]bool
}

func (b *builder) op(op string, s tensor.Shape, in []string, attrs ...*onnx.Attribute) string {
	b.used[op] = true
	return b.Op(op, autodiff.Type{DType: tensor.Float32, Shape: s}, in, attrs...)
}

func (b *builder) weight(s ...int64) string {
	n := int64(1)
	for _, d := range s {
		n *= d
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(b.r.NormFloat64() * 0.4)
	}
	return b.Tensor(tensor.Of(tensor.Float32, s, v))
}

func (b *builder) positive(n int64) string {
	return b.op("Abs", tensor.Shape{n}, []string{b.weight(n)})
}

// channels draws a number of channels.
func (b *builder) channels() int64 { return int64(3 + b.r.IntN(6)) }

func (b *builder) conv(x string, out int64) string {
	s := b.Shape(x)
	return b.op("Conv", tensor.Shape{s[0], out, s[2], s[3]}, []string{x, b.weight(out, s[1], 3, 3), b.weight(out)}, onnx.IntListAttr("pads", 1, 1, 1, 1))
}

// blocks are what a network [N, C, H, W] is made of.
var blocks = map[string]func(b *builder, x string) string{
	"conv": func(b *builder, x string) string { return b.conv(x, b.channels()) },
	"relu": func(b *builder, x string) string { return b.op("Relu", b.Shape(x), []string{x}) },
	"prelu": func(b *builder, x string) string {
		return b.op("PRelu", b.Shape(x), []string{x, b.weight(b.Shape(x)[1], 1, 1)})
	},
	"depthwise": func(b *builder, x string) string {
		s := b.Shape(x)
		return b.op("Conv", s, []string{x, b.weight(s[1], 1, 3, 3), b.weight(s[1])}, onnx.IntListAttr("pads", 1, 1, 1, 1), onnx.IntAttr("group", s[1]))
	},
	"grouped": func(b *builder, x string) string { // by places, or whole groups: by chance
		groups := int64(2 + b.r.IntN(3))
		x = b.conv(x, groups*int64(1+b.r.IntN(4)))
		s, out := b.Shape(x), groups*int64(1+b.r.IntN(4))
		b.used["Conv in groups"] = true
		return b.op("Conv", tensor.Shape{s[0], out, s[2], s[3]}, []string{x, b.weight(out, s[1]/groups, 3, 3), b.weight(out)}, onnx.IntListAttr("pads", 1, 1, 1, 1), onnx.IntAttr("group", groups))
	},
	"transposed in groups": func(b *builder, x string) string {
		groups := int64(2 + b.r.IntN(3))
		x = b.conv(x, groups*int64(1+b.r.IntN(4)))
		s, each := b.Shape(x), int64(1+b.r.IntN(4))
		b.used["ConvTranspose in groups"] = true
		return b.op("ConvTranspose", tensor.Shape{s[0], groups * each, s[2], s[3]}, []string{x, b.weight(s[1], each, 3, 3), b.weight(groups * each)}, onnx.IntListAttr("pads", 1, 1, 1, 1), onnx.IntAttr("group", groups))
	},
	"transposed": func(b *builder, x string) string {
		s, out := b.Shape(x), b.channels()
		return b.op("ConvTranspose", tensor.Shape{s[0], out, s[2], s[3]}, []string{x, b.weight(s[1], out, 3, 3), b.weight(out)}, onnx.IntListAttr("pads", 1, 1, 1, 1))
	},
	"norm": func(b *builder, x string) string {
		c := b.Shape(x)[1]
		return b.op("BatchNormalization", b.Shape(x), []string{x, b.weight(c), b.weight(c), b.weight(c), b.positive(c)})
	},
	"residual": func(b *builder, x string) string {
		c := b.Shape(x)[1]
		return b.op("Add", b.Shape(x), []string{x, b.conv(b.conv(x, b.channels()), c)})
	},
	"gate": func(b *builder, x string) string { // squeeze and excitation
		s := b.Shape(x)
		small := b.channels()
		y := b.op("GlobalAveragePool", tensor.Shape{s[0], s[1], 1, 1}, []string{x})
		y = b.op("Conv", tensor.Shape{s[0], small, 1, 1}, []string{y, b.weight(small, s[1], 1, 1)})
		y = b.op("Conv", tensor.Shape{s[0], s[1], 1, 1}, []string{y, b.weight(s[1], small, 1, 1)})
		return b.op("Mul", s, []string{x, b.op("Sigmoid", b.Shape(y), []string{y})})
	},
	"concat": func(b *builder, x string) string {
		s, more := b.Shape(x), b.channels()
		return b.op("Concat", tensor.Shape{s[0], s[1] + more, s[2], s[3]}, []string{x, b.conv(x, more)}, onnx.IntAttr("axis", 1))
	},
	"split": func(b *builder, x string) string {
		b.used["Split"] = true
		s := b.Shape(x)
		first := 1 + b.r.Int64N(s[1]-1)
		part := func(n int64) autodiff.Type {
			return autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{s[0], n, s[2], s[3]}}
		}
		parts := b.Ops("Split", []autodiff.Type{part(first), part(s[1] - first)}, []string{x, b.Ints(first, s[1]-first)}, onnx.IntAttr("axis", 1))
		out := b.channels()
		return b.op("Add", tensor.Shape{s[0], out, s[2], s[3]}, []string{b.conv(parts[0], out), b.conv(parts[1], out)})
	},
	"slice": func(b *builder, x string) string { // a part of the channels, cropped and padded
		s := b.Shape(x)
		last := 1 + b.r.Int64N(s[1])
		y := b.op("Slice", tensor.Shape{s[0], last, s[2] - 1, s[3]}, []string{x, b.Ints(1, 0), b.Ints(s[2], last), b.Ints(2, 1)})
		out := b.channels()
		return b.op("Conv", tensor.Shape{s[0], out, s[2], s[3]}, []string{y, b.weight(out, last, 2, 3)}, onnx.IntListAttr("pads", 1, 1, 1, 1))
	},
	"crop": func(b *builder, x string) string { // all channels, named as such
		s := b.Shape(x)
		y := b.op("Slice", tensor.Shape{s[0], s[1], s[2] - 1, s[3]}, []string{x, b.Ints(0, -s[2]), b.Ints(s[1], -1), b.Ints(1, 2)})
		return b.op("Conv", s, []string{y, b.weight(s[1], s[1], 2, 3)}, onnx.IntListAttr("pads", 1, 1, 1, 1))
	},
	"halves": func(b *builder, x string) string { // turned round: the first half may go altogether
		n := b.channels()
		x = b.conv(x, 2*n)
		s := b.Shape(x)
		half := autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{s[0], n, s[2], s[3]}}
		parts := b.Ops("Split", []autodiff.Type{half, half}, []string{x, b.Ints(n, n)}, onnx.IntAttr("axis", 1))
		return b.op("Concat", s, []string{parts[1], parts[0]}, onnx.IntAttr("axis", 1))
	},
	"pool": func(b *builder, x string) string {
		return b.op([]string{"MaxPool", "AveragePool"}[b.r.IntN(2)], b.Shape(x), []string{x}, onnx.IntListAttr("kernel_shape", 3, 3), onnx.IntListAttr("pads", 1, 1, 1, 1))
	},
	"product": func(b *builder, x string) string { // over the channels, last
		s, out := b.Shape(x), b.channels()
		y := b.Transpose(x, 0, 2, 3, 1)
		y = b.op("MatMul", tensor.Shape{s[0], s[2], s[3], out}, []string{y, b.weight(s[1], out)})
		b.used["Transpose"] = true
		return b.Transpose(b.op("Add", b.Shape(y), []string{y, b.weight(out)}), 0, 3, 1, 2)
	},
	"layer norm": func(b *builder, x string) string { // of places, not of channels
		s := b.Shape(x)
		y := b.op("Reshape", tensor.Shape{s[0], s[1], s[2] * s[3]}, []string{x, b.Ints(s[0], s[1], s[2]*s[3])})
		y = b.op("LayerNormalization", b.Shape(y), []string{y, b.weight(s[2] * s[3])}, onnx.IntAttr("axis", -1))
		return b.op("Reshape", s, []string{y, b.Ints(s...)})
	},
	"recurrent": func(b *builder, x string) string {
		s, h := b.Shape(x), b.channels()
		kind := []string{"LSTM", "GRU", "RNN"}[b.r.IntN(3)]
		n := map[string]int64{"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
		dirs, places := int64(1+b.r.IntN(2)), s[2]*s[3]
		direction := []string{"forward", "bidirectional"}[dirs-1]
		y := b.Transpose(b.op("Reshape", tensor.Shape{s[0], s[1], places}, []string{x, b.Ints(s[0], s[1], places)}), 2, 0, 1) // [places, N, C]
		y = b.op(kind, tensor.Shape{places, dirs, s[0], h}, []string{y, b.weight(dirs, n*h, s[1]), b.weight(dirs, n*h, h), b.weight(dirs, 2*n*h)}, onnx.IntAttr("hidden_size", h), onnx.StrAttr("direction", direction))
		y = b.Transpose(y, 2, 1, 3, 0) // [N, dirs, h, places]
		return b.op("Reshape", tensor.Shape{s[0], dirs * h, s[2], s[3]}, []string{y, b.Ints(s[0], dirs*h, s[2], s[3])})
	},
	"resize": func(b *builder, x string) string {
		s := b.Shape(x)
		return b.op("Resize", s, []string{x, "", "", b.Ints(s...)}, onnx.StrAttr("mode", "nearest"))
	},
}

// network makes one of some blocks and a head.
func network(r *rand.Rand, names []string, used map[string]bool) *onnx.Model {
	b := &builder{autodiff.NewGraph(), r, used}
	x := b.conv(b.Input("x", autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{2, 3, 4, 5}}), b.channels())
	for range 3 + r.IntN(6) {
		x = blocks[names[r.IntN(len(names))]](b, x)
	}
	c := b.Shape(x)[1]
	if r.IntN(2) == 0 {
		x = b.op("GlobalAveragePool", tensor.Shape{2, c, 1, 1}, []string{x})
		x = b.op("Flatten", tensor.Shape{2, c}, []string{x})
	} else {
		x = b.op("Flatten", tensor.Shape{2, 20 * c}, []string{x})
	}
	width, hidden := b.Shape(x)[1], b.channels()
	x = b.op("Gemm", tensor.Shape{2, hidden}, []string{x, b.weight(hidden, width), b.weight(hidden)}, onnx.IntAttr("transB", 1))
	x = b.op("Tanh", b.Shape(x), []string{x})
	b.Output("y", b.op("Gemm", tensor.Shape{2, 3}, []string{x, b.weight(hidden, 3)}))
	return b.Model()
}

// TestRemoveZerosRandom: in random networks of all blocks, units whose weights are zero
// change nothing when they go, and all that can go is found.
func TestRemoveZerosRandom(t *testing.T) {
	var names []string
	for _, name := range []string{"conv", "relu", "prelu", "depthwise", "grouped", "transposed in groups", "transposed", "norm", "residual", "gate", "concat", "split", "slice", "crop", "halves", "pool", "product", "layer norm", "recurrent", "resize"} {
		if blocks[name] == nil {
			t.Fatalf("no block %q", name)
		}
		names = append(names, name)
	}
	count := 60
	if testing.Short() {
		count = 15
	}
	used, removed := map[string]bool{}, 0
	for seed := range count {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			m := onnxtest.Reparse(t, network(r, names, used))
			in := onnxtest.Inputs(t, m, 1, nil)
			gs, err := Find(t.Context(), orttest.Runtime(t), m, in, in, ort.Options{})
			if err != nil {
				t.Fatal(err)
			}
			drop := map[*Group][]int{}
			for _, g := range gs.List {
				most := r.IntN(4) == 0 // all but one
				for u := range g.Units() - 1 {
					if most || r.IntN(2) == 0 {
						drop[g] = append(drop[g], u)
						removed++
					}
				}
			}
			zero(t, m, drop)
			before := onnxtest.Run(t, m, in)
			if err := gs.Remove(drop); err != nil {
				t.Fatal(err)
			}
			onnxtest.Equal(t, onnxtest.Run(t, onnxtest.Reparse(t, m), in), before, 2e-5)
		})
	}
	t.Logf("%d units", removed)
	if removed < 5*count {
		t.Errorf("only %d units were removed", removed)
	}
	for _, op := range []string{"Conv", "Conv in groups", "ConvTranspose", "ConvTranspose in groups", "Gemm", "MatMul", "BatchNormalization", "Add", "Mul", "Concat", "Split", "Slice", "Reshape", "Flatten",
		"Transpose", "LayerNormalization", "GlobalAveragePool", "PRelu", "LSTM", "GRU", "RNN", "MaxPool", "AveragePool", "Resize"} {
		if !used[op] && !testing.Short() {
			t.Errorf("no network has %s", op)
		}
	}
}
