package onnx

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

const protoMessage = protowire.BytesType

// attrNames are the attribute types as onnx.proto3 spells them.
var attrNames = [...]string{
	"UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS",
	"TENSORS", "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS",
}

// String returns the name in onnx.proto3.
func (t AttrType) String() string {
	if t < 0 || int(t) >= len(attrNames) {
		return fmt.Sprintf("type %d", int32(t))
	}
	return attrNames[t]
}

// attrFields maps the value fields of AttributeProto to attribute types.
var attrFields = map[protowire.Number]AttrType{
	2: AttrFloat, 3: AttrInt, 4: AttrString, 5: AttrTensor, 6: AttrGraph,
	7: AttrFloats, 8: AttrInts, 9: AttrStrings, 10: AttrTensors, 11: AttrGraphs,
	14: AttrTypeProto, 15: AttrTypes, 22: AttrSparse, 23: AttrSparses,
}

func (d *decoder) attribute(b []byte) (*Attribute, error) {
	a := &Attribute{}
	var once single
	var found []AttrType // types of the value fields that are not zero
	err := eachField(b, func(f field) error {
		if t, ok := attrFields[f.num]; ok {
			element := (t == AttrInts || t == AttrFloats) && f.typ != protowire.BytesType // of a list: counts, also as 0
			if (f.value != 0 || len(f.bytes) > 0 || element) && (len(found) == 0 || found[len(found)-1] != t) {
				found = append(found, t)
			}
			return d.attrValue(f, a, &once)
		}
		switch f.num {
		case 1:
			return f.setString(&a.Name, "name")
		case 13:
			return f.setString(&a.Doc, "doc_string")
		case 20:
			return f.setInt32((*int32)(&a.Type), "type")
		case 21:
			return f.setString(&a.RefName, "ref_attr_name")
		}
		a.Unknown = append(a.Unknown, f.raw...)
		return nil
	})
	if err == nil {
		err = a.settle(found)
	}
	if err != nil {
		return nil, fmt.Errorf("attribute %q: %w", a.Name, err)
	}
	return a, nil
}

// attrValue reads one of the value fields.
func (d *decoder) attrValue(f field, a *Attribute, once *single) error {
	name := attrFields[f.num].String()
	switch f.num {
	case 5, 6, 14, 22:
		if err := once.first(f, name); err != nil {
			return err
		}
	}
	switch f.num {
	case 2:
		return f.setFloat(&a.F, name)
	case 3:
		return f.setInt(&a.I, name)
	case 4:
		a.S = bytes.Clone(f.bytes)
		return f.want(protowire.BytesType, name)
	case 5:
		return readMessage(f, name, d.tensor, &a.T)
	case 6:
		return readMessage(f, name, d.graph, &a.G)
	case 7:
		return f.addFloats(&a.Floats, name)
	case 8:
		return f.addInts(&a.Ints, name)
	case 9:
		a.Strings = append(a.Strings, bytes.Clone(f.bytes))
		return f.want(protowire.BytesType, name)
	case 10:
		return addMessage(f, name, d.tensor, &a.Tensors)
	case 11:
		return addMessage(f, name, d.graph, &a.Graphs)
	case 14:
		return readMessage(f, name, typeProto, &a.TypeP)
	case 15:
		return addMessage(f, name, typeProto, &a.TypePs)
	case 22:
		return readMessage(f, name, d.sparse, &a.Sparse)
	}
	return addMessage(f, name, d.sparse, &a.Sparses)
}

// settle checks that the value is of the type stated, and states the type
// where a file of IR version 1 left it out.
func (a *Attribute) settle(found []AttrType) error {
	if a.Name == "" {
		return fmt.Errorf("name is missing")
	}
	if a.Type < 0 || int(a.Type) >= len(attrNames) {
		return fmt.Errorf("%s does not exist", a.Type)
	}
	for _, t := range found {
		if a.Type == AttrUndefined {
			a.Type = t
		}
		if t != a.Type {
			return fmt.Errorf("its type is %s, but %s is set", a.Type, t)
		}
	}
	missing := a.Type == AttrTensor && a.T == nil || a.Type == AttrGraph && a.G == nil ||
		a.Type == AttrSparse && a.Sparse == nil || a.Type == AttrTypeProto && a.TypeP == nil
	if missing && a.RefName == "" {
		return fmt.Errorf("its type is %s, but no value is set", a.Type)
	}
	return nil
}
