// Package onnx is the model file and its graph: strict reading over a mapped
// file, checking, editing, streaming writing, external data. It knows no
// runtime. Names follow onnx.proto3 of the ONNX specification.
package onnx

import "optim/internal/tensor"

// Model is a ModelProto. Path is the file it was read from, or empty.
type Model struct {
	Path            string
	IRVersion       int64
	Opsets          []Opset
	ProducerName    string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	Doc             string
	Graph           *Graph
	Metadata        []Property
	Functions       []*Function
	Unknown         []byte // fields that are not known here, verbatim

	files *files // mapped files that tensors alias
}

// Opset is an OperatorSetIdProto; the default domain is "".
type Opset struct {
	Domain  string
	Version int64
	Unknown []byte
}

// Property is a StringStringEntryProto.
type Property struct{ Key, Value string }

// Graph is a GraphProto: the model's main graph, or the body of an If, Loop or
// Scan node, which sees the values of the graphs around it.
type Graph struct {
	Name         string
	Doc          string
	Nodes        []*Node
	Initializers []*Tensor
	Sparse       []*SparseTensor
	Inputs       []*ValueInfo
	Outputs      []*ValueInfo
	ValueInfo    []*ValueInfo
	Metadata     []Property
	Unknown      []byte
}

// Node is a NodeProto. An empty input or output name is an optional one that
// is left out.
type Node struct {
	Name     string
	OpType   string
	Domain   string
	Overload string
	Doc      string
	Inputs   []string
	Outputs  []string
	Attrs    []*Attribute
	Metadata []Property
	Unknown  []byte
}

// AttrType is AttributeProto.AttributeType.
type AttrType int32

// Attribute types, as onnx.proto3 numbers them.
const (
	AttrUndefined AttrType = 0
	AttrFloat     AttrType = 1
	AttrInt       AttrType = 2
	AttrString    AttrType = 3
	AttrTensor    AttrType = 4
	AttrGraph     AttrType = 5
	AttrFloats    AttrType = 6
	AttrInts      AttrType = 7
	AttrStrings   AttrType = 8
	AttrTensors   AttrType = 9
	AttrGraphs    AttrType = 10
	AttrSparse    AttrType = 11
	AttrSparses   AttrType = 12
	AttrTypeProto AttrType = 13
	AttrTypes     AttrType = 14
)

// Attribute is an AttributeProto.
type Attribute struct {
	Name    string
	RefName string // ref_attr_name, in function bodies
	Doc     string
	Type    AttrType
	F       float32
	I       int64
	S       []byte
	T       *Tensor
	G       *Graph
	Sparse  *SparseTensor
	TypeP   *Type
	Floats  []float32
	Ints    []int64
	Strings [][]byte
	Tensors []*Tensor
	Graphs  []*Graph
	Sparses []*SparseTensor
	TypePs  []*Type
	Unknown []byte
}

// ValueInfo is a ValueInfoProto: the name and, where known, the type of a value.
type ValueInfo struct {
	Name     string
	Doc      string
	Type     *Type
	Metadata []Property
	Unknown  []byte
}

// Type is a TypeProto. Only tensor types are taken apart (DType, Dims); every
// other type (sequence, map, optional, sparse tensor) is kept verbatim in
// Other and has DType Undefined.
type Type struct {
	Denotation string
	DType      tensor.DType
	HasShape   bool // false: the rank is unknown
	Dims       []Dim
	Other      []byte
	Unknown    []byte

	tensorUnknown, shapeUnknown []byte // unknown fields of the inner messages
}

// Dim is one dimension of a type: a number (Symbol empty, Value ≥ 0), a symbol
// (Symbol not empty), or unknown (Symbol empty, Value -1).
type Dim struct {
	Value      int64
	Symbol     string
	Denotation string
	Unknown    []byte
}

// SparseTensor is a SparseTensorProto.
type SparseTensor struct {
	Values, Indices *Tensor
	Dims            tensor.Shape
	Unknown         []byte
}

// Function is a FunctionProto.
type Function struct {
	Name       string
	Domain     string
	Overload   string
	Doc        string
	Inputs     []string
	Outputs    []string
	AttrNames  []string
	AttrProtos []*Attribute
	Nodes      []*Node
	Opsets     []Opset
	ValueInfo  []*ValueInfo
	Metadata   []Property
	Unknown    []byte
}
