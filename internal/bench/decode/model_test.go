package decode

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// Sizes of the made-up model.
const (
	vocab = 37
	limit = 12
	heads = 2
	width = 4 // of a head
)

// toy says how a small causal language model with a cache of one layer looks. Each
// position's logits depend on all ids up to it, through sums of keys and values.
type toy struct {
	dtype  tensor.DType // of the cache and the logits
	past   [2]string    // names of the key and the value
	now    [2]string
	swap   bool // the presents in the other order
	branch bool // with an input use_cache_branch, without which the past is nothing
	where  bool // with an input cache_position in place of position_ids
	last   bool // with logits of the last position only
	joint  bool // key and value in one tensor, past[0] and now[0]
}

func usual() toy {
	return toy{
		dtype: tensor.Float32,
		past:  [2]string{"past_key_values.0.key", "past_key_values.0.value"},
		now:   [2]string{"present.0.key", "present.0.value"},
	}
}

// open is a graph value whose dimensions are numbers or names.
func open(name string, d tensor.DType, dims ...any) *onnx.ValueInfo {
	v := &onnx.ValueInfo{Name: name, Type: &onnx.Type{DType: d, HasShape: true}}
	for _, x := range dims {
		switch x := x.(type) {
		case int:
			v.Type.Dims = append(v.Type.Dims, onnx.Dim{Value: int64(x)})
		case string:
			v.Type.Dims = append(v.Type.Dims, onnx.Dim{Value: -1, Symbol: x})
		}
	}
	return v
}

// builder collects the nodes of a graph.
type builder struct{ *onnx.Graph }

func (b builder) add(op, out string, in []string, attrs ...*onnx.Attribute) string {
	b.Nodes = append(b.Nodes, onnx.NewNode(op, out, in, []string{out}, attrs...))
	return out
}

// model builds the toy: x = embedding + position; a head's key and value are
// parts of x and tanh(x·W); present = past ‖ new; sums over the positions up to
// one, weighted by the mask, lead to its logits.
func (y toy) model() *onnx.Model {
	r := rand.New(rand.NewPCG(3, 9))
	const d = heads * width
	b := builder{&onnx.Graph{}}
	b.Initializers = []*onnx.Tensor{
		onnxtest.Random(r, "embedding", -1, 1, vocab, d), onnxtest.Random(r, "places", -1, 1, limit, d),
		onnxtest.Random(r, "w", -1, 1, d, d), onnxtest.Random(r, "head", -1, 1, 2*d, vocab),
		onnxtest.Ints("split", 0, -1, heads, width), onnxtest.Ints("merge", 0, -1, 2*d),
		onnxtest.Ints("axis2", 2), onnxtest.Ints("minus1", -1), onnxtest.Ints("end", 1<<40), onnxtest.Ints("axis1", 1),
		onnxtest.Ints("maskaxes", 1, 3), onnx.NewTensor("sumaxis", tensor.Of(tensor.Int64, tensor.Shape{}, []int64{2})),
		onnxtest.Ints("axis0", 0), onnxtest.Ints("zero", 0), onnxtest.Ints("one", 1), onnxtest.Ints("two", 2),
	}
	b.Inputs = []*onnx.ValueInfo{open("input_ids", tensor.Int64, "batch", "sequence"), open("attention_mask", tensor.Int64, "batch", "total")}
	place := "position_ids"
	if y.where {
		b.Inputs = append(b.Inputs, open("cache_position", tensor.Int64, "sequence"))
		place = b.add("Unsqueeze", "position_row", []string{"cache_position", "axis0"})
	} else {
		b.Inputs = append(b.Inputs, open(place, tensor.Int64, "batch", "sequence"))
	}
	b.add("Gather", "e", []string{"embedding", "input_ids"})
	b.add("Gather", "p", []string{"places", place})
	b.add("Add", "x", []string{"e", "p"})
	b.add("Tanh", "t", []string{b.add("MatMul", "xw", []string{"x", "w"})})
	b.add("Cast", "mask", []string{b.add("Unsqueeze", "mask4", []string{"attention_mask", "maskaxes"})}, onnx.IntAttr("to", int64(tensor.Float32)))
	past := y.pasts(b)
	var sums []string
	for i, from := range []string{"x", "t"} {
		sums = append(sums, y.attend(b, i, from, past[i]))
	}
	b.presents(y)
	// The last positions are those of the ids; the shape of x tells how many.
	b.add("Concat", "sums", sums, onnx.IntAttr("axis", 3))
	b.add("Neg", "n", []string{b.add("Slice", "length", []string{b.add("Shape", "xshape", []string{"x"}), "one", "two"})})
	b.add("Slice", "own", []string{"sums", "n", "end", "axis2"})
	b.add("Transpose", "rows", []string{"own"}, onnx.IntListAttr("perm", 0, 2, 1, 3))
	b.add("Reshape", "joined", []string{"rows", "merge"})
	hidden := b.add("Tanh", "hidden", []string{"joined"})
	length := any("sequence")
	if y.last {
		hidden, length = b.add("Slice", "lasthidden", []string{"hidden", "minus1", "end", "axis1"}), 1
	}
	b.add("Cast", "logits", []string{b.add("MatMul", "scores", []string{hidden, "head"})}, onnx.IntAttr("to", int64(y.dtype)))
	b.Outputs = append(b.Outputs, open("logits", y.dtype, "batch", length, vocab))
	return onnxtest.Model(17, b.Graph)
}

// pasts adds the inputs of the cache and returns the past key and value.
func (y toy) pasts(b builder) []string {
	if y.joint {
		b.Inputs = append(b.Inputs, open(y.past[0], y.dtype, 2, "batch", heads, "past", width))
		b.add("Gather", "past0", []string{y.past[0], "zero"})
		b.add("Gather", "past1", []string{y.past[0], "one"})
		return []string{
			b.add("Squeeze", "past0s", []string{"past0", "axis0"}), b.add("Squeeze", "past1s", []string{"past1", "axis0"}),
		}
	}
	for _, name := range y.past {
		b.Inputs = append(b.Inputs, open(name, y.dtype, "batch", heads, "past", width))
	}
	if !y.branch {
		return y.past[:]
	}
	b.Inputs = append(b.Inputs, open("use_cache_branch", tensor.Bool, 1))
	b.add("Cast", "flag", []string{"use_cache_branch"}, onnx.IntAttr("to", int64(y.dtype)))
	return []string{b.add("Mul", "past0", []string{y.past[0], "flag"}), b.add("Mul", "past1", []string{y.past[1], "flag"})}
}

// attend adds the present of one kind and the sums over its positions.
func (y toy) attend(b builder, i int, from, past string) string {
	at := func(name string) string { return fmt.Sprintf("%s%d", name, i) }
	b.add("Reshape", at("split"), []string{from, "split"})
	b.add("Transpose", at("perhead"), []string{at("split")}, onnx.IntListAttr("perm", 0, 2, 1, 3))
	b.add("Cast", at("stored"), []string{at("perhead")}, onnx.IntAttr("to", int64(y.dtype)))
	b.add("Concat", at("present"), []string{past, at("stored")}, onnx.IntAttr("axis", 2))
	b.add("Cast", at("float"), []string{at("present")}, onnx.IntAttr("to", int64(tensor.Float32)))
	b.add("Mul", at("masked"), []string{at("float"), "mask"})
	return b.add("CumSum", at("sum"), []string{at("masked"), "sumaxis"})
}

// presents adds the outputs of the cache.
func (b builder) presents(y toy) {
	if y.joint {
		b.add("Unsqueeze", "key", []string{"present0", "axis0"})
		b.add("Unsqueeze", "value", []string{"present1", "axis0"})
		b.add("Concat", y.now[0], []string{"key", "value"}, onnx.IntAttr("axis", 0))
		b.Outputs = append(b.Outputs, open(y.now[0], y.dtype, 2, "batch", heads, "total", width))
		return
	}
	order := []int{0, 1}
	if y.swap {
		order = []int{1, 0}
	}
	for _, i := range order {
		b.add("Identity", y.now[i], []string{fmt.Sprintf("present%d", i)})
		b.Outputs = append(b.Outputs, open(y.now[i], y.dtype, "batch", heads, "total", width))
	}
}

// load writes a model and opens it.
func load(t testing.TB, m *onnx.Model) (*ort.Session, *onnx.Model) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if _, err := m.WriteFile(path, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return file(t, path)
}

// file opens a model.
func file(t testing.TB, path string) (*ort.Session, *onnx.Model) {
	t.Helper()
	g, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return orttest.Session(t, path, ort.Options{Threads: 1}), g
}
