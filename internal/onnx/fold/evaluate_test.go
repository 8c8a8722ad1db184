package fold_test

import (
	"fmt"
	"math"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// operands is a node over constants, with the constants.
type operands struct {
	name string
	node *onnx.Node
	in   []*onnx.Tensor
	left bool // it is not to be folded
}

func intsOf(name string, s tensor.Shape, v ...int64) *onnx.Tensor {
	return onnx.NewTensor(name, tensor.Of(i64, s, v))
}

// check runs the node as it is, its operands being inputs, and folded: the
// same bytes.
func (o operands) check(t *testing.T) {
	t.Helper()
	plain := &onnx.Graph{Nodes: nodes(o.node), Outputs: []*onnx.ValueInfo{onnxtest.Output("r")}}
	in := map[string]tensor.Tensor{}
	for _, x := range o.in {
		v, err := x.Value()
		if err != nil {
			t.Fatal(err)
		}
		in[x.Name] = v
		plain.Inputs = append(plain.Inputs, onnxtest.Value(x.Name, x.DType, x.Shape...))
	}
	folded := onnxtest.Model(13, &onnx.Graph{Nodes: nodes(o.node, node("Reader", ins("r"), ins("y"))),
		Outputs: []*onnx.ValueInfo{onnxtest.Output("y")}, Initializers: o.in})
	if _, err := fold.Simplify(folded); err != nil {
		t.Fatal(err)
	}
	if got := folded.Graph.Nodes[0].OpType != "Reader"; got != o.left {
		t.Fatalf("left is %v, want %v", got, o.left)
	}
	if o.left {
		return
	}
	got, err := folded.Graph.Initializers[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	want := onnxtest.Run(t, onnxtest.Model(13, plain), in)["r"]
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) || string(got.Data) != string(want.Data) {
		t.Errorf("%v %v, want %v %v", got.Shape, got.Data, want.Shape, want.Data)
	}
}

// TestEvaluate compares small constants with what ONNX Runtime computes.
func TestEvaluate(t *testing.T) {
	a := intsOf("a", tensor.Shape{2, 3}, 1, -2, 3, 4, -5, 6)
	f := onnxtest.Floats("a", tensor.Shape{2, 3}, 0.5, -1.5, 2.5, 1e-30, 3e5, -0.9)
	at := func(v int64) *onnx.Attribute { return onnx.IntAttr("axis", v) }
	to := func(d tensor.DType) *onnx.Attribute { return onnx.IntAttr("to", int64(d)) }
	r := func(op string, n int, attrs ...*onnx.Attribute) *onnx.Node {
		return node(op, ins("a", "b", "c", "d", "e")[:n], ins("r"), attrs...)
	}
	scalar := intsOf("b", nil, 3)
	cases := []operands{
		{"concat", r("Concat", 2, at(-1)), []*onnx.Tensor{a, intsOf("b", tensor.Shape{2, 1}, 7, 8)}, false},
		{"concat of nothing", r("Concat", 2, at(0)), []*onnx.Tensor{a, intsOf("b", tensor.Shape{0, 3})}, false},
		{"gather scalar", r("Gather", 2), []*onnx.Tensor{a, intsOf("b", nil, -1)}, false},
		{"gather columns", r("Gather", 2, at(1)), []*onnx.Tensor{a, intsOf("b", tensor.Shape{2, 2}, 0, 2, -3, 1)}, false},
		{"gather beyond", r("Gather", 2), []*onnx.Tensor{a, intsOf("b", nil, 2)}, true},
		{"unsqueeze", r("Unsqueeze", 2), []*onnx.Tensor{a, intsOf("b", tensor.Shape{2}, 0, -1)}, false},
		{"unsqueeze twice", r("Unsqueeze", 2), []*onnx.Tensor{a, intsOf("b", tensor.Shape{2}, 0, 0)}, true},
		{"squeeze", r("Squeeze", 1), []*onnx.Tensor{intsOf("a", tensor.Shape{1, 2, 1}, 1, 2)}, false},
		{"squeeze what is not 1", r("Squeeze", 2), []*onnx.Tensor{a, intsOf("b", tensor.Shape{1}, 0)}, true},
		{"flatten", r("Flatten", 1, at(0)), []*onnx.Tensor{a}, false},
		{"flatten at the end", r("Flatten", 1, at(2)), []*onnx.Tensor{a}, false},
		{"reshape", r("Reshape", 2), []*onnx.Tensor{a, intsOf("b", tensor.Shape{3}, 0, 1, -1)}, false},
		{"reshape to a scalar", r("Reshape", 2),
			[]*onnx.Tensor{intsOf("a", tensor.Shape{1}, 5), intsOf("b", tensor.Shape{0})}, false},
		{"reshape that does not fit", r("Reshape", 2), []*onnx.Tensor{a, intsOf("b", tensor.Shape{2}, 4, -1)}, true},
		{"reshape twice open", r("Reshape", 2), []*onnx.Tensor{a, intsOf("b", tensor.Shape{2}, -1, -1)}, true},
		{"transpose", r("Transpose", 1), []*onnx.Tensor{a}, false},
		{"transpose with half an order", r("Transpose", 1, perm(0)), []*onnx.Tensor{a}, true},
		{"shape", r("Shape", 1), []*onnx.Tensor{a}, false},
		{"divide", r("Div", 2), []*onnx.Tensor{a, scalar}, false},
		{"divide by zero", r("Div", 2), []*onnx.Tensor{a, intsOf("b", nil, 0)}, true},
		{"divide the least", r("Div", 2), []*onnx.Tensor{intsOf("a", nil, math.MinInt64), intsOf("b", nil, -1)}, true},
		{"overflow", r("Mul", 2), []*onnx.Tensor{a, intsOf("b", nil, math.MaxInt64)}, false},
		{"broadcast", r("Sub", 2), []*onnx.Tensor{a, intsOf("b", tensor.Shape{2, 1, 1}, 10, 20)}, false},
		{"shapes that differ", r("Add", 2), []*onnx.Tensor{a, intsOf("b", tensor.Shape{2}, 1, 2)}, true},
		{"floats", r("Div", 2), []*onnx.Tensor{f, onnxtest.Floats("b", nil, 3)}, false},
		{"result too large", r("Add", 2), []*onnx.Tensor{intsOf("a", tensor.Shape{100, 1}, make([]int64, 100)...),
			intsOf("b", tensor.Shape{100}, make([]int64, 100)...)}, true},
		{"cast to int", r("Cast", 1, to(i64)), []*onnx.Tensor{f}, false},
		{"cast to float", r("Cast", 1, to(f32)), []*onnx.Tensor{a}, false},
		{"cast to half", r("Cast", 1, to(tensor.Float16)), []*onnx.Tensor{onnxtest.Floats("a", nil, 0.1)}, false},
		{"cast to bool", r("Cast", 1, to(tensor.Bool)), []*onnx.Tensor{f}, false},
		{"cast to narrow int", r("Cast", 1, to(tensor.Int8)), []*onnx.Tensor{a}, false},
		{"cast beyond the type", r("Cast", 1, to(tensor.Int8)), []*onnx.Tensor{f}, true},
		{"cast nan", r("Cast", 1, to(i64)), []*onnx.Tensor{onnxtest.Floats("a", nil, float32(math.NaN()))}, true},
	}
	for _, c := range cases {
		t.Run(c.name, c.check)
	}
}

// TestSlice compares random slices, of both directions and beyond the ends.
func TestSlice(t *testing.T) {
	r := rng(3)
	bound := func() int64 {
		if r.IntN(6) == 0 {
			return []int64{math.MinInt64, math.MinInt32, math.MaxInt64, math.MaxInt32}[r.IntN(4)]
		}
		return int64(r.IntN(15) - 7)
	}
	for i := range 150 {
		s := tensor.Shape{int64(r.IntN(6)), int64(1 + r.IntN(5))}
		v := make([]int64, s[0]*s[1])
		for j := range v {
			v[j] = int64(j)
		}
		step := []int64{1, 1, -1, 2, -2, 3, math.MinInt32, math.MaxInt64}
		ends := []int64{bound(), bound()}
		steps := []int64{step[r.IntN(len(step))], step[r.IntN(len(step))]}
		// What the specification and ONNX Runtime read differently is left.
		left := ends[0] >= math.MaxInt32 && steps[0] < 0 || ends[1] >= math.MaxInt32 && steps[1] < 0
		o := operands{name: fmt.Sprint(i), left: left, node: node("Slice", ins("a", "b", "c", "d", "e"), ins("r")),
			in: []*onnx.Tensor{intsOf("a", s, v...), onnxtest.Ints("b", bound(), bound()),
				onnxtest.Ints("c", ends...), onnxtest.Ints("d", -1, 0),
				onnxtest.Ints("e", steps...)}}
		t.Run(o.name, o.check)
	}
}

// TestTranspose compares folded transposes with their definition, for every
// order of up to four axes and sizes round the edge of a tile.
func TestTranspose(t *testing.T) {
	r := rng(4)
	sizes := []int64{1, 2, 31, 32, 33, 65}
	types := []tensor.DType{tensor.Uint8, tensor.Float16, f32, i64}
	for i := range 120 {
		rank := 1 + r.IntN(4)
		s := make(tensor.Shape, rank)
		for a := range s {
			s[a] = int64(1 + r.IntN(4))
		}
		s[r.IntN(rank)] = sizes[r.IntN(len(sizes))]
		s[r.IntN(rank)] = sizes[r.IntN(len(sizes))]
		d := types[i%len(types)]
		x, err := tensor.New(d, s)
		if err != nil {
			t.Fatal(err)
		}
		for j := range x.Data {
			x.Data[j] = byte(r.Uint32())
		}
		order := r.Perm(rank)
		got := foldTranspose(t, x, order)
		if want := slowTranspose(x, order); string(got) != string(want) {
			t.Fatalf("%s %v in order %v is wrong", d, s, order)
		}
	}
}

// foldTranspose returns the bytes of a folded transpose of x.
func foldTranspose(t *testing.T, x tensor.Tensor, order []int) []byte {
	t.Helper()
	list := make([]int64, len(order))
	for i, a := range order {
		list[i] = int64(a)
	}
	m := onnxtest.Model(13, &onnx.Graph{Initializers: []*onnx.Tensor{onnx.NewTensor("a", x)},
		Nodes:   nodes(node("Transpose", ins("a"), ins("r"), perm(list...)), node("Shape", ins("r"), ins("y"))),
		Outputs: []*onnx.ValueInfo{onnxtest.Output("y")}})
	if _, err := fold.Simplify(m); err != nil {
		t.Fatal(err)
	}
	w := m.Graph.Initializer("r")
	if w == nil {
		t.Fatalf("the transpose of %s %v in order %v was not folded", x.DType, x.Shape, order)
	}
	b, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// slowTranspose moves one element after the other.
func slowTranspose(x tensor.Tensor, order []int) []byte {
	size := x.DType.Bits() / 8
	out := make([]byte, 0, len(x.Data))
	at := make([]int, len(order)) // index in the result
	for range len(x.Data) / size {
		from := 0
		for a, d := range x.Shape {
			i := 0
			for j, axis := range order {
				if axis == a {
					i = at[j]
				}
			}
			from = from*int(d) + i
		}
		out = append(out, x.Data[from*size:(from+1)*size]...)
		for j := len(at) - 1; j >= 0; j-- {
			if at[j]++; at[j] < int(x.Shape[order[j]]) {
				break
			}
			at[j] = 0
		}
	}
	return out
}
