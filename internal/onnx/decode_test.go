package onnx

import (
	"bytes"
	"testing"

	"optim/internal/tensor"
)

func TestTypeErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"unknown element type", wrap(1, []byte{1 << 3, 77}), "elem_type 77"},
		{"two shapes", wrap(1, wrap(2), wrap(2)), "shape) occurs twice"},
		{"two tensor types", bytes.Join([][]byte{wrap(1), wrap(1)}, nil), "tensor_type) occurs twice"},
		{"tensor and sequence", bytes.Join([][]byte{wrap(1), wrap(4)}, nil), "at once"},
		{"negative dimension", wrap(1, wrap(2, wrap(1, varints(1, false, -2)))), "dim_value -2"},
		{"shape as a number", wrap(1, []byte{2 << 3, 1}), "shape) has wire type 0"},
		{"sequence as a number", []byte{4 << 3, 1}, "wire type 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := valueInfo(bytes.Join([][]byte{wrap(1, []byte("v")), wrap(2, c.b)}, nil))
			wantError(t, err, `value "v"`, c.want)
		})
	}
	v, err := valueInfo(wrap(2, wrap(1, wrap(2, wrap(1, varints(1, false, -1))))))
	if err != nil || v.Type.Dims[0].Value != -1 {
		t.Errorf("dimension -1 is not unknown: %v", err)
	}
}

func TestWireErrors(t *testing.T) {
	graph := wrap(7, wrap(2, []byte("g")))
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"two graphs", append(bytes.Clone(graph), graph...), "graph) occurs twice"},
		{"group", []byte{2<<3 | 3, 2<<3 | 4}, "wire type 3"},
		{"field 0", []byte{0, 0}, "field"},
		{"cut tag", []byte{0x80}, "unexpected EOF"},
		{"cut fixed64", []byte{2<<3 | 1, 0}, "field 2"},
		{"cut fixed32", []byte{2<<3 | 5, 0}, "field 2"},
		{"string as number", []byte{2 << 3, 1}, "producer_name) has wire type 0"},
		{"floats of odd length", wrap(7, wrap(1, wrap(3, []byte("n")), wrap(5, wrap(7, []byte{1})))), `node "n"`},
		{"ints cut off", wrap(7, wrap(1, wrap(3, []byte("n")), wrap(5, wrap(8, []byte{0x80})))), `node "n"`},
		{"floats as numbers", wrap(7, wrap(1, wrap(3, []byte("n")), wrap(5, []byte{7 << 3, 1}))), "FLOATS) has wire type 0"},
		{"node without operator", wrap(7, wrap(1, wrap(3, []byte("n")))), "op_type is missing"},
		{"attribute without a name", wrap(7, wrap(1, wrap(3, []byte("n")), wrap(5))), "name is missing"},
		{"function without a name", wrap(25), "no name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.b)
			wantError(t, err, c.want)
		})
	}
}

func TestSparseErrors(t *testing.T) {
	good := func() *SparseTensor { return everything().Graph.Sparse[0] }
	if err := good().check(); err != nil {
		t.Fatal(err)
	}
	coordinates := good()
	coordinates.Indices = NewTensor("", tensor.Of(tensor.Int64, tensor.Shape{2, 2}, []int64{0, 0, 1, 2}))
	if err := coordinates.check(); err != nil {
		t.Errorf("coordinates: %v", err)
	}
	for name, c := range map[string]struct {
		edit func(s *SparseTensor)
		want string
	}{
		"no values":    {func(s *SparseTensor) { s.Values = nil }, "missing"},
		"no indices":   {func(s *SparseTensor) { s.Indices = nil }, "missing"},
		"overflow":     {func(s *SparseTensor) { s.Dims = tensor.Shape{1 << 40, 1 << 40} }, "overflow"},
		"index type":   {func(s *SparseTensor) { s.Indices = floats("", 0, 5) }, "float32"},
		"index number": {func(s *SparseTensor) { s.Values = floats("sp", 1, 2, 3) }, "fit"},
		"index rank": {func(s *SparseTensor) {
			s.Indices = NewTensor("", tensor.Of(tensor.Int64, tensor.Shape{2, 3}, make([]int64, 6)))
		}, "fit"},
	} {
		s := good()
		c.edit(s)
		m := tiny(op("a", []string{"x"}, "y"))
		m.Graph.Sparse = []*SparseTensor{s}
		t.Run(name, func(t *testing.T) { wantError(t, m.Check(), "sparse", c.want) })
	}
}

func TestLookups(t *testing.T) {
	g := tiny().Graph
	w := g.Initializers[0]
	c := w.Clone("copy")
	c.Shape[0] = 9
	if w.Shape[0] != 3 || w.Elements() != 3 || c.Name != "copy" {
		t.Error("the clone shares its shape")
	}
	if g.Initializer("w") != w || g.Initializer("q") != nil {
		t.Error("Initializer")
	}
	if !g.IsBound("w") || g.IsBound("x") {
		t.Error("IsBound")
	}
	n := op("n", []string{"a", ""}, "b")
	if n.Input(0) != "a" || n.Input(1) != "" || n.Input(2) != "" || n.Output(0) != "b" || n.Output(1) != "" {
		t.Error("Input or Output")
	}
}
