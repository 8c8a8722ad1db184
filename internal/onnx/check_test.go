package onnx

import (
	"fmt"
	"strings"
	"testing"

	"optim/internal/tensor"
)

func body(name string, outs []string, nodes ...*Node) *Attribute {
	g := &Graph{Name: name, Nodes: nodes}
	for _, o := range outs {
		g.Outputs = append(g.Outputs, &ValueInfo{Name: o})
	}
	return GraphAttr(name, g)
}

func withBody(n *Node, attrs ...*Attribute) *Node {
	n.Attrs = append(n.Attrs, attrs...)
	return n
}

func TestCheckAccepts(t *testing.T) {
	for name, m := range map[string]*Model{
		"plain":     tiny(op("a", []string{"x", "w"}, "y")),
		"unsorted":  tiny(op("b", []string{"h"}, "y"), op("a", []string{"x"}, "h")),
		"optional":  tiny(op("a", []string{"x", "", "w"}, "y", "", "")),
		"capture":   tiny(op("a", []string{"x"}, "h"), withBody(op("if", []string{"w"}, "y"), body("then", []string{"r"}, op("t", []string{"h", "w"}, "r")))),
		"late":      tiny(withBody(op("if", []string{"w"}, "y"), body("then", []string{"r"}, op("t", []string{"h"}, "r"))), op("a", []string{"x"}, "h")),
		"shadow":    tiny(op("a", []string{"x"}, "h"), withBody(op("if", []string{"h"}, "y"), body("then", []string{"h"}, op("t", []string{"x"}, "h")))),
		"siblings":  tiny(withBody(op("if", []string{"x"}, "y"), body("then", []string{"r"}, op("t", []string{"x"}, "r")), body("else", []string{"r"}, op("e", []string{"w"}, "r")))),
		"outer out": tiny(withBody(op("if", []string{"x"}, "y"), body("then", []string{"w"}))),
		"two names": func() *Model {
			m := tiny(op("a", []string{"x"}, "y"))
			m.Opsets = append(m.Opsets, Opset{Domain: "ai.onnx", Version: 17})
			return m
		}(),
		"default value": func() *Model {
			m := tiny(op("a", []string{"x", "w"}, "y"))
			m.Graph.Inputs = append(m.Graph.Inputs, &ValueInfo{Name: "w"})
			return m
		}(),
		"everything": everything(),
	} {
		if err := m.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckRejects(t *testing.T) {
	edit := func(f func(m *Model)) *Model {
		m := tiny(op("a", []string{"x"}, "y"))
		f(m)
		return m
	}
	then := func(n *Node) *Attribute { return body("then", []string{"r"}, n) }
	for _, c := range []struct {
		name string
		m    *Model
		want []string
	}{
		{"no graph", edit(func(m *Model) { m.Graph = nil }), []string{"no graph"}},
		{"no opset", edit(func(m *Model) { m.Opsets = nil }), []string{"opset_import"}},
		{"opset 0", edit(func(m *Model) { m.Opsets[0].Version = 0 }), []string{"version 0"}},
		{"two opsets", edit(func(m *Model) { m.Opsets = append(m.Opsets, Opset{Domain: "ai.onnx", Version: 9}) }), []string{"17 and 9"}},
		{"input twice", edit(func(m *Model) { m.Graph.Inputs = append(m.Graph.Inputs, m.Graph.Inputs[0]) }), []string{`"x"`, "twice"}},
		{"nameless input", edit(func(m *Model) { m.Graph.Inputs[0].Name = "" }), []string{"input has no name"}},
		{"weight twice", edit(func(m *Model) { m.Graph.Initializers = append(m.Graph.Initializers, floats("w", 1)) }), []string{"two initializers", `"w"`}},
		{"node makes input", tiny(op("a", []string{"w"}, "x"), op("b", nil, "y")), []string{`"x"`, "graph input", `node "a"`}},
		{"node makes weight", tiny(op("a", nil, "w"), op("b", nil, "y")), []string{`"w"`, "initializer", `node "a"`}},
		{"one node twice", tiny(op("a", nil, "y", "y")), []string{`"y"`, "twice"}},
		{"missing", tiny(op("a", []string{"q"}, "y")), []string{`node "a"`, `"q"`}},
		{"nameless node", tiny(op("", []string{"q"}, "y")), []string{"node 0 (Op)", `"q"`}},
		{"missing in body", tiny(withBody(op("if", nil, "y"), then(op("t", []string{"q"}, "r")))), []string{`node "if"`, `"then"`, `node "t"`, `"q"`}},
		{"value of a sibling", tiny(withBody(op("if", nil, "y"), then(op("t", nil, "r")), body("else", []string{"s"}, op("e", []string{"r"}, "s")))), []string{`node "e"`, `"r"`}},
		{"value of a body", tiny(withBody(op("if", nil, "y"), then(op("t", nil, "r"))), op("b", []string{"r"}, "z")), []string{`node "b"`, `"r"`}},
		{"output", tiny(op("a", []string{"x"}, "z")), []string{`output "y"`}},
		{"output twice", edit(func(m *Model) { m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0]) }), []string{`"y"`, "twice"}},
		{"self", tiny(op("a", []string{"y"}, "y")), []string{"cycle", `node "a"`}},
		{"cycle through a body", tiny(withBody(op("if", nil, "y"), then(op("t", []string{"h"}, "r"))), op("b", []string{"y"}, "h")), []string{"cycle", `node "if"`, `node "b"`}},
		{"cycle in a body", tiny(withBody(op("if", nil, "y"), body("then", []string{"r"}, op("t", []string{"s"}, "r"), op("u", []string{"r"}, "s")))), []string{"cycle", `node "t"`, `node "u"`}},
		{"attribute twice", tiny(withBody(op("a", nil, "y"), IntAttr("k", 1), IntAttr("k", 2))), []string{`node "a"`, `"k"`, "twice"}},
		{"weight size", edit(func(m *Model) { m.Graph.Initializers[0].Shape = tensor.Shape{4} }), []string{`tensor "w"`, "12 bytes", "16"}},
		{"tensor attribute", tiny(withBody(op("a", nil, "y"), TensorAttr("value", &Tensor{Name: "c", DType: tensor.Int8, Shape: tensor.Shape{2}}))), []string{`node "a"`, `"value"`, `"c"`}},
		{"function twice", edit(func(m *Model) { m.Functions = []*Function{{Name: "F"}, {Name: "F"}} }), []string{`function "F"`, "twice"}},
		{"function body", edit(func(m *Model) { m.Functions = []*Function{{Name: "F", Nodes: []*Node{op("a", []string{"x"}, "y")}}} }), []string{`function "F"`, `node "a"`, `"x"`}},
		{"function calls", edit(func(m *Model) {
			call := func(f, g string) *Function { return &Function{Name: f, Nodes: []*Node{NewNode(g, "", nil, nil)}} }
			m.Functions = []*Function{call("F", "G"), call("G", "F"), call("H", "F")}
		}), []string{"calls itself"}},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, c.m.Check(), c.want...) })
	}
}

// TestDepth checks that nesting is bounded, and that depth does not make
// checking slow.
func TestDepth(t *testing.T) {
	nest := func(depth, width int) *Model {
		inner := op("leaf", []string{"x"}, "r")
		for d := range depth {
			nodes := []*Node{inner}
			for i := range width {
				nodes = append(nodes, op("n", []string{"x", "r"}, fmt.Sprintf("v%d", i)))
			}
			inner = withBody(op("if", []string{"w"}, fmt.Sprintf("r%d", d)), body("then", []string{nodes[0].Outputs[0]}, nodes...))
			nodes[len(nodes)-1].Inputs = []string{"x", nodes[0].Outputs[0]}
			for _, n := range nodes[1:] {
				n.Inputs = []string{"x", nodes[0].Outputs[0]}
			}
		}
		inner.Outputs = []string{"y"}
		return tiny(inner)
	}
	if _, err := Parse(mustMarshal(t, nest(maxDepth-1, 200))); err != nil {
		t.Errorf("depth %d: %v", maxDepth-1, err)
	}
	_, err := Parse(mustMarshal(t, nest(maxDepth, 0)))
	wantError(t, err, "nested too deeply")
}

func TestParseErrorsNameTheNode(t *testing.T) {
	m := tiny(withBody(op("conv", []string{"x"}, "y"), TensorAttr("value", floats("c", 1))))
	b := mustMarshal(t, m)
	at := strings.Index(string(b), "\x01cJ\x04") // name "c", then raw_data of four bytes
	if at < 0 {
		t.Fatal("raw_data not found")
	}
	b[at+2] = 9 << 3 // raw_data as a varint
	_, err := Parse(b)
	wantError(t, err, `node "conv"`, `attribute "value"`, `tensor "c"`, "raw_data", "wire type")
}

func TestAttributeErrors(t *testing.T) {
	number := func(v int64) *message {
		m := &message{}
		m.text(1, "k")
		m.int(3, 1)
		m.int(20, v)
		return m
	}
	for _, c := range []struct {
		name string
		m    *message
		want string
	}{
		{"type mismatch", number(int64(AttrFloat)), "its type is FLOAT, but INT is set"},
		{"unknown type", number(99), "type 99 does not exist"},
		{"no tensor", func() *message { m := &message{}; m.text(1, "k"); m.int(20, int64(AttrTensor)); return m }(), "no value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := (&decoder{}).attribute(c.m.head)
			wantError(t, err, `attribute "k"`, c.want)
		})
	}
	old := &message{}
	old.text(1, "k")
	old.int(3, 5)
	if a, err := (&decoder{}).attribute(old.head); err != nil || a.Type != AttrInt || a.I != 5 {
		t.Errorf("an attribute without a type: %+v, %v", a, err)
	}
}
