package onnx

import (
	"errors"
	"fmt"
)

func (d *decoder) graph(b []byte) (*Graph, error) {
	if d.depth++; d.depth > maxDepth {
		return nil, errDepth
	}
	defer func() { d.depth-- }()
	g := &Graph{}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return d.addNode(f, &g.Nodes)
		case 2:
			return f.setString(&g.Name, "name")
		case 5:
			return addMessage(f, "initializer", d.tensor, &g.Initializers)
		case 10:
			return f.setString(&g.Doc, "doc_string")
		case 11:
			return addMessage(f, "input", valueInfo, &g.Inputs)
		case 12:
			return addMessage(f, "output", valueInfo, &g.Outputs)
		case 13:
			return addMessage(f, "value_info", valueInfo, &g.ValueInfo)
		case 15:
			return addMessage(f, "sparse_initializer", d.sparse, &g.Sparse)
		case 16:
			return addMessage(f, "metadata_props", property, &g.Metadata)
		}
		g.Unknown = append(g.Unknown, f.raw...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// addNode decodes a node; errors name it, or its place where it has no name.
func (d *decoder) addNode(f field, nodes *[]*Node) error {
	b, err := f.message("node")
	if err != nil {
		return err
	}
	n := &Node{}
	if err = d.node(b, n); err == nil && n.OpType == "" {
		err = errors.New("op_type is missing")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", label(n, len(*nodes)), err)
	}
	*nodes = append(*nodes, n)
	return nil
}

// label names a node in messages: by its name or, without one, by its place
// among the nodes and its operator.
func label(n *Node, index int) string {
	if n.Name != "" {
		return fmt.Sprintf("node %q", n.Name)
	}
	if n.OpType != "" {
		return fmt.Sprintf("node %d (%s)", index, n.OpType)
	}
	return fmt.Sprintf("node %d", index)
}

func (d *decoder) node(b []byte, n *Node) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.addString(&n.Inputs, "input")
		case 2:
			return f.addString(&n.Outputs, "output")
		case 3:
			return f.setString(&n.Name, "name")
		case 4:
			return f.setString(&n.OpType, "op_type")
		case 5:
			return addMessage(f, "attribute", d.attribute, &n.Attrs)
		case 6:
			return f.setString(&n.Doc, "doc_string")
		case 7:
			return f.setString(&n.Domain, "domain")
		case 8:
			return f.setString(&n.Overload, "overload")
		case 9:
			return addMessage(f, "metadata_props", property, &n.Metadata)
		}
		n.Unknown = append(n.Unknown, f.raw...)
		return nil
	})
}

func valueInfo(b []byte) (*ValueInfo, error) {
	v := &ValueInfo{}
	var once single
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.setString(&v.Name, "name")
		case 2:
			if err := once.first(f, "type"); err != nil {
				return err
			}
			return readMessage(f, "type", typeProto, &v.Type)
		case 3:
			return f.setString(&v.Doc, "doc_string")
		case 4:
			return addMessage(f, "metadata_props", property, &v.Metadata)
		}
		v.Unknown = append(v.Unknown, f.raw...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("value %q: %w", v.Name, err)
	}
	return v, nil
}
