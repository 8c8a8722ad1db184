package onnx

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"optim/internal/tensor"
)

// TestRoundTripModels writes every model in each way, reads it back and
// compares; the same model must give the same bytes.
func TestRoundTripModels(t *testing.T) {
	for _, path := range modelFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m := mustOpen(t, path)
			folder := t.TempDir()
			inline := filepath.Join(folder, "inline.onnx")
			r, err := m.WriteFile(inline, WriteOptions{Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			if r.External || r.DataSize != 0 {
				t.Errorf("external data was written: %+v", r)
			}
			checkCopy(t, m, inline, r)
			data, err := os.ReadFile(inline)
			if err != nil || !bytes.Equal(data, mustMarshal(t, m)) || int64(len(data)) != r.Size {
				t.Errorf("Marshal and WriteFile differ (%v)", err)
			}

			outer := filepath.Join(folder, "outer.onnx")
			r, err = m.WriteFile(outer, WriteOptions{External: "always", DataPath: outer + ".data"})
			if err != nil {
				t.Fatal(err)
			}
			if !r.External || r.Size > r.DataSize {
				t.Errorf("weights stayed inside: %+v", r)
			}
			back := checkCopy(t, m, outer, r)
			checkAlignment(t, back)
			if again := mustMarshal(t, back); !bytes.Equal(again, data) {
				t.Error("external data and back is another model")
			}
		})
	}
}

// checkCopy opens a written file and compares it with the model.
func checkCopy(t *testing.T, m *Model, path string, r WriteResult) *Model {
	t.Helper()
	back := mustOpen(t, path)
	if err := sameModel(m, back); err != nil {
		t.Error(err)
	}
	if h, err := back.Hash(); err != nil || h != r.Hash {
		t.Errorf("hash %q, %v; written %q", h, err, r.Hash)
	}
	read := int64(0)
	for _, file := range back.files.maps {
		read += int64(len(file.data))
	}
	if read != r.Size+r.DataSize {
		t.Errorf("%d bytes, written %d and %d", read, r.Size, r.DataSize)
	}
	return back
}

// checkAlignment checks where external tensors lie.
func checkAlignment(t *testing.T, m *Model) {
	t.Helper()
	for _, w := range m.Graph.Initializers {
		path, off, n, ok := w.Location()
		if external := ok && filepath.Ext(path) == ".data"; external != (n >= externalMin && w.DType != tensor.String) {
			t.Errorf("%s of %d bytes lies in %s", w.Name, n, path)
		} else if external && (off%smallAlign != 0 || n >= pageFrom && off%pageAlign != 0) {
			t.Errorf("%s of %d bytes lies at %d", w.Name, n, off)
		}
	}
}

// everything returns a model in which every field of the format is set.
func everything() *Model {
	unknown := protowire.AppendTag(nil, 1000, protowire.BytesType)
	unknown = protowire.AppendString(unknown, "kept")
	meta := []Property{{"k", "v"}, {"", ""}}
	half := NewTensor("half", tensor.Tensor{DType: tensor.Float16, Shape: tensor.Shape{2}, Data: []byte{0, 0x3c, 0, 0xbc}})
	half.Doc, half.Metadata, half.Unknown = "d", meta, unknown
	words := NewTensor("words", tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{2}, Strings: []string{"a", ""}})
	sparse := &SparseTensor{
		Values:  floats("sp", 1, 2),
		Indices: NewTensor("", tensor.Of(tensor.Int64, tensor.Shape{2}, []int64{0, 5})),
		Dims:    tensor.Shape{2, 3}, Unknown: unknown,
	}
	typ := &Type{
		Denotation: "T", DType: tensor.Float32, HasShape: true, Unknown: unknown,
		Dims: []Dim{{Value: 0}, {Value: -1, Symbol: "n", Denotation: "b"}, {Value: -1, Unknown: unknown}, {Value: 7}},

		tensorUnknown: unknown, shapeUnknown: unknown,
	}
	sequence := &message{}
	sequence.nest(4, typeMessage(TensorType(tensor.Int64, 3)))
	attrs := []*Attribute{
		FloatAttr("f", float32(math.Copysign(0, -1))), IntAttr("i", 0), IntAttr("min", math.MinInt64), StrAttr("s", ""),
		TensorAttr("t", half), FloatListAttr("fs", 1, float32(math.NaN())), IntListAttr("is", -1, 2), IntListAttr("none"),
		{Name: "ss", Type: AttrStrings, Strings: [][]byte{[]byte("x"), {}}},
		{Name: "ts", Type: AttrTensors, Tensors: []*Tensor{half, words}},
		GraphAttr("body", &Graph{Name: "b", Nodes: []*Node{op("in", []string{"x"}, "z")}, Outputs: []*ValueInfo{{Name: "z"}}}),
		{Name: "gs", Type: AttrGraphs, Graphs: []*Graph{{Name: "e"}}},
		{Name: "tp", Type: AttrTypeProto, TypeP: typ}, {Name: "tps", Type: AttrTypes, TypePs: []*Type{typ, {Other: sequence.head}}},
		{Name: "sp", Type: AttrSparse, Sparse: sparse}, {Name: "sps", Type: AttrSparses, Sparses: []*SparseTensor{sparse}},
	}
	attrs[0].Doc, attrs[0].Unknown = "d", unknown
	node := NewNode("Op", "n", []string{"x", "", "w"}, []string{"y", ""}, attrs...)
	node.Domain, node.Overload, node.Doc, node.Metadata, node.Unknown = "my", "o", "d", meta, unknown
	m := tiny(node)
	g := m.Graph
	g.Doc, g.Metadata, g.Unknown = "d", meta, unknown
	g.Initializers = append(g.Initializers, half, words)
	g.Sparse = []*SparseTensor{sparse}
	g.ValueInfo = []*ValueInfo{{Name: "y", Doc: "d", Type: typ, Metadata: meta, Unknown: unknown}, {Name: "q"}}
	m.ProducerName, m.ProducerVersion, m.Domain, m.ModelVersion, m.Doc = "p", "1", "d", -3, "doc"
	m.Metadata, m.Unknown = meta, unknown
	m.Opsets = append(m.Opsets, Opset{Domain: "my", Version: 1, Unknown: unknown})
	m.Functions = []*Function{{
		Name: "F", Domain: "my", Overload: "o", Doc: "d", Inputs: []string{"a"}, Outputs: []string{"c"},
		AttrNames: []string{"alpha"}, AttrProtos: []*Attribute{IntAttr("beta", 3)}, Opsets: m.Opsets,
		Nodes: []*Node{NewNode("Op", "", []string{"a"}, []string{"c"},
			&Attribute{Name: "alpha", RefName: "alpha", Type: AttrFloat})},
		ValueInfo: []*ValueInfo{{Name: "c"}}, Metadata: meta, Unknown: unknown,
	}}
	return m
}

func TestRoundTripEverything(t *testing.T) {
	m := everything()
	b := mustMarshal(t, m)
	back, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameModel(m, back); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(mustMarshal(t, back), b) {
		t.Error("the bytes differ")
	}
}

// TestKeepsDanglingReferences checks that Parse and Marshal keep references to
// external data, and that nothing else takes them for data.
func TestKeepsDanglingReferences(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "testdata/bad/external-ok.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(mustMarshal(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if err := sameModel(m, again); err != nil {
		t.Error(err)
	}
	_, err = m.Graph.Initializers[0].Bytes()
	wantError(t, err, `tensor "w"`, "not at hand")
	path := filepath.Join(t.TempDir(), "out.onnx")
	_, err = m.WriteFile(path, WriteOptions{})
	wantError(t, err, path, `tensor "w"`, "not at hand")
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was left")
	}
}

func TestClosed(t *testing.T) {
	for _, name := range []string{"testdata/models/digits-mlp/digits-mlp-ext.onnx", "testdata/bad/ok.onnx"} {
		m, err := Open(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		_, err = m.Graph.Initializers[0].Bytes()
		wantError(t, err, "closed")
		_, err = m.Hash()
		wantError(t, err, "closed")
	}
}
