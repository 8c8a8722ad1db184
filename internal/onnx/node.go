package onnx

import (
	"slices"

	"optim/internal/tensor"
)

// NewNode returns a node of the default domain. Nil attributes are left out,
// so that an optional one can be given in place.
func NewNode(op, name string, in, out []string, attrs ...*Attribute) *Node {
	n := &Node{OpType: op, Name: name, Inputs: in, Outputs: out}
	for _, a := range attrs {
		if a != nil {
			n.Attrs = append(n.Attrs, a)
		}
	}
	return n
}

// IntAttr returns an attribute of type INT.
func IntAttr(name string, v int64) *Attribute {
	return &Attribute{Name: name, Type: AttrInt, I: v}
}

// FloatAttr returns an attribute of type FLOAT.
func FloatAttr(name string, v float32) *Attribute {
	return &Attribute{Name: name, Type: AttrFloat, F: v}
}

// StrAttr returns an attribute of type STRING.
func StrAttr(name, v string) *Attribute {
	return &Attribute{Name: name, Type: AttrString, S: []byte(v)}
}

// IntListAttr returns an attribute of type INTS.
func IntListAttr(name string, v ...int64) *Attribute {
	return &Attribute{Name: name, Type: AttrInts, Ints: v}
}

// FloatListAttr returns an attribute of type FLOATS.
func FloatListAttr(name string, v ...float32) *Attribute {
	return &Attribute{Name: name, Type: AttrFloats, Floats: v}
}

// TensorAttr returns an attribute of type TENSOR.
func TensorAttr(name string, t *Tensor) *Attribute {
	return &Attribute{Name: name, Type: AttrTensor, T: t}
}

// GraphAttr returns an attribute of type GRAPH, the body of a node.
func GraphAttr(name string, g *Graph) *Attribute {
	return &Attribute{Name: name, Type: AttrGraph, G: g}
}

// Attr returns the attribute of that name; nil if the node has none.
func (n *Node) Attr(name string) *Attribute {
	for _, a := range n.Attrs {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// attrOf returns the attribute if it has the type wanted and a value of its
// own, not one that a function's caller supplies.
func (n *Node) attrOf(name string, t AttrType) *Attribute {
	if a := n.Attr(name); a != nil && a.Type == t && a.RefName == "" {
		return a
	}
	return nil
}

// AttrInt returns an INT attribute, or def if the node has none.
func (n *Node) AttrInt(name string, def int64) int64 {
	if a := n.attrOf(name, AttrInt); a != nil {
		return a.I
	}
	return def
}

// AttrFloat returns a FLOAT attribute, or def if the node has none.
func (n *Node) AttrFloat(name string, def float32) float32 {
	if a := n.attrOf(name, AttrFloat); a != nil {
		return a.F
	}
	return def
}

// AttrString returns a STRING attribute, or def if the node has none.
func (n *Node) AttrString(name, def string) string {
	if a := n.attrOf(name, AttrString); a != nil {
		return string(a.S)
	}
	return def
}

// AttrInts returns an INTS attribute; nil if the node has none. The slice is
// the attribute's own.
func (n *Node) AttrInts(name string) []int64 {
	if a := n.attrOf(name, AttrInts); a != nil {
		return a.Ints
	}
	return nil
}

// AttrFloats returns a FLOATS attribute; nil if the node has none. The slice is
// the attribute's own.
func (n *Node) AttrFloats(name string) []float32 {
	if a := n.attrOf(name, AttrFloats); a != nil {
		return a.Floats
	}
	return nil
}

// AttrTensor returns a TENSOR attribute; nil if the node has none.
func (n *Node) AttrTensor(name string) *Tensor {
	if a := n.attrOf(name, AttrTensor); a != nil {
		return a.T
	}
	return nil
}

// SetAttr adds the attribute, in the place of one of the same name if there is
// one.
func (n *Node) SetAttr(a *Attribute) {
	for i, old := range n.Attrs {
		if old.Name == a.Name {
			n.Attrs[i] = a
			return
		}
	}
	n.Attrs = append(n.Attrs, a)
}

// RemoveAttr removes the attribute of that name, if there is one.
func (n *Node) RemoveAttr(name string) {
	n.Attrs = slices.DeleteFunc(n.Attrs, func(a *Attribute) bool { return a.Name == name })
}

// Input returns the name of input i; empty if it is left out.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// Output returns the name of output i; empty if it is left out.
func (n *Node) Output(i int) string {
	if i < len(n.Outputs) {
		return n.Outputs[i]
	}
	return ""
}

// Is reports whether n is one of the given operators of the default domain.
func (n *Node) Is(ops ...string) bool {
	return plainDomain(n.Domain) == "" && slices.Contains(ops, n.OpType)
}

// TensorType returns the type of a tensor with dimensions; -1 is an unknown
// one.
func TensorType(d tensor.DType, dims ...int64) *Type {
	t := &Type{DType: d, HasShape: true}
	for _, n := range dims {
		t.Dims = append(t.Dims, Dim{Value: max(n, -1)})
	}
	return t
}
