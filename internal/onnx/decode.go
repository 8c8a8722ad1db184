package onnx

import (
	"errors"
	"fmt"
	"unsafe"
)

// maxDepth bounds graphs within graphs. Real models nest three or four.
const maxDepth = 64

// decoder reads one model. Tensor data stays in src; everything else is
// copied, so that it outlives the mapping.
type decoder struct {
	src      *mapping
	depth    int
	external []*Tensor // tensors whose data lies in other files
}

// offset returns where b, a part of the mapping, begins in it.
func (d *decoder) offset(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	return int64(uintptr(unsafe.Pointer(&b[0])) - uintptr(unsafe.Pointer(&d.src.data[0])))
}

func (d *decoder) model(b []byte) (*Model, error) {
	m := &Model{}
	var once single
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.setInt(&m.IRVersion, "ir_version")
		case 2:
			return f.setString(&m.ProducerName, "producer_name")
		case 3:
			return f.setString(&m.ProducerVersion, "producer_version")
		case 4:
			return f.setString(&m.Domain, "domain")
		case 5:
			return f.setInt(&m.ModelVersion, "model_version")
		case 6:
			return f.setString(&m.Doc, "doc_string")
		case 7:
			if err := once.first(f, "graph"); err != nil {
				return err
			}
			return readMessage(f, "graph", d.graph, &m.Graph)
		case 8:
			return addMessage(f, "opset_import", opset, &m.Opsets)
		case 14:
			return addMessage(f, "metadata_props", property, &m.Metadata)
		case 25:
			return addMessage(f, "functions", d.function, &m.Functions)
		}
		m.Unknown = append(m.Unknown, f.raw...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// readMessage decodes a singular message field into dst.
func readMessage[T any](f field, name string, read func([]byte) (T, error), dst *T) error {
	b, err := f.message(name)
	if err != nil {
		return err
	}
	*dst, err = read(b)
	return err
}

// addMessage decodes one element of a repeated message field.
func addMessage[T any](f field, name string, read func([]byte) (T, error), dst *[]T) error {
	var v T
	if err := readMessage(f, name, read, &v); err != nil {
		return err
	}
	*dst = append(*dst, v)
	return nil
}

func opset(b []byte) (Opset, error) {
	var o Opset
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.setString(&o.Domain, "domain")
		case 2:
			return f.setInt(&o.Version, "version")
		}
		o.Unknown = append(o.Unknown, f.raw...)
		return nil
	})
	if err == nil && o.Version < 1 {
		err = fmt.Errorf("opset_import of domain %q has version %d", o.Domain, o.Version)
	}
	return o, err
}

// property reads a StringStringEntryProto, which has no other fields.
func property(b []byte) (Property, error) {
	var p Property
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.setString(&p.Key, "key")
		case 2:
			return f.setString(&p.Value, "value")
		}
		return nil
	})
	return p, err
}

func (d *decoder) function(b []byte) (*Function, error) {
	fn := &Function{}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.setString(&fn.Name, "name")
		case 4:
			return f.addString(&fn.Inputs, "input")
		case 5:
			return f.addString(&fn.Outputs, "output")
		case 6:
			return f.addString(&fn.AttrNames, "attribute")
		case 7:
			return d.addNode(f, &fn.Nodes)
		case 8:
			return f.setString(&fn.Doc, "doc_string")
		case 9:
			return addMessage(f, "opset_import", opset, &fn.Opsets)
		case 10:
			return f.setString(&fn.Domain, "domain")
		case 11:
			return addMessage(f, "attribute_proto", d.attribute, &fn.AttrProtos)
		case 12:
			return addMessage(f, "value_info", valueInfo, &fn.ValueInfo)
		case 13:
			return f.setString(&fn.Overload, "overload")
		case 14:
			return addMessage(f, "metadata_props", property, &fn.Metadata)
		}
		fn.Unknown = append(fn.Unknown, f.raw...)
		return nil
	})
	if err == nil && fn.Name == "" {
		err = errors.New("it has no name")
	}
	if err != nil {
		return nil, fmt.Errorf("function %q: %w", fn.Name, err)
	}
	return fn, nil
}
