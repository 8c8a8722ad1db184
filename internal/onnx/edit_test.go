package onnx

import (
	"maps"
	"slices"
	"testing"
)

// branchy has a body that captures h and w, and dead ends.
func branchy() *Model {
	m := tiny(
		op("a", []string{"x", "x"}, "h"),
		withBody(op("if", []string{"x"}, "y"),
			body("then", []string{"r"}, op("t", []string{"h", "w"}, "r"), op("waste", []string{"h"}, "s")),
			body("else", []string{"h"})),
		op("b", []string{"h", "v"}, "dead1"),
		op("c", []string{"dead1"}, "dead2"))
	m.Graph.Initializers = append(m.Graph.Initializers, floats("v", 1), floats("lost", 1), floats("d", 1))
	m.Graph.Inputs = append(m.Graph.Inputs, &ValueInfo{Name: "d"})
	m.Graph.ValueInfo = []*ValueInfo{{Name: "h"}, {Name: "dead1"}}
	return m
}

func names(nodes []*Node) (out []string) {
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out
}

func TestIndex(t *testing.T) {
	m := branchy()
	x := NewIndex(m.Graph)
	if p := x.Producer("h"); p == nil || p.Name != "a" {
		t.Errorf("producer of h: %v", p)
	}
	if x.Producer("w") != nil || x.Producer("") != nil || x.Producer("r") != nil {
		t.Error("a producer of what no node of the graph makes")
	}
	for value, want := range map[string][]string{
		"h": {"if", "b"}, "w": {"if"}, "x": {"a", "if"}, "r": nil, "dead2": nil, "": nil,
	} {
		if got := names(x.Consumers(value)); !slices.Equal(got, want) {
			t.Errorf("consumers of %q: %v, want %v", value, got, want)
		}
	}
	if n := x.SoleConsumer("dead1"); n == nil || n.Name != "c" {
		t.Errorf("sole consumer of dead1: %v", n)
	}
	if x.SoleConsumer("h") != nil || x.SoleConsumer("dead2") != nil {
		t.Error("a sole consumer of a value with two or none")
	}
	m.Graph.Outputs = append(m.Graph.Outputs, &ValueInfo{Name: "dead1"})
	if NewIndex(m.Graph).SoleConsumer("dead1") != nil {
		t.Error("a graph output has a sole consumer")
	}
	if x.Initializer("w") != m.Graph.Initializers[0] || x.Initializer("h") != nil {
		t.Error("initializers are wrong")
	}
	if !x.IsInput("d") || x.IsInput("w") || !x.IsOutput("y") || x.IsOutput("h") {
		t.Error("inputs or outputs are wrong")
	}
}

func TestRemoveDead(t *testing.T) {
	m := branchy()
	// waste, b, c; v and lost. d is the default value of an input.
	if n := m.Graph.RemoveDead(); n != 5 {
		t.Errorf("removed %d", n)
	}
	if got := names(m.Graph.Nodes); !slices.Equal(got, []string{"a", "if"}) {
		t.Errorf("nodes %v", got)
	}
	if len(m.Graph.Initializers) != 2 || len(m.Graph.ValueInfo) != 1 {
		t.Errorf("%d initializers, %d value infos", len(m.Graph.Initializers), len(m.Graph.ValueInfo))
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
	if n := m.Graph.RemoveDead(); n != 0 {
		t.Errorf("removed %d again", n)
	}
}

func TestRenameUses(t *testing.T) {
	m := branchy()
	m.Graph.Nodes[1].Attrs = append(m.Graph.Nodes[1].Attrs,
		body("other", []string{"h"}, op("own", []string{"x"}, "h"), op("use", []string{"h"}, "k")))
	m.Graph.Outputs = append(m.Graph.Outputs, &ValueInfo{Name: "h"})
	m.Graph.RenameUses("h", "x")
	then, other, own := m.Graph.Nodes[1].Attrs[0].G, m.Graph.Nodes[1].Attrs[1].G, m.Graph.Nodes[1].Attrs[2].G
	if then.Nodes[0].Inputs[0] != "x" || other.Outputs[0].Name != "x" || m.Graph.Nodes[2].Inputs[0] != "x" {
		t.Error("a use was not renamed")
	}
	if own.Nodes[1].Inputs[0] != "h" || own.Outputs[0].Name != "h" {
		t.Error("a body's own value was renamed")
	}
	if m.Graph.Outputs[1].Name != "h" {
		t.Error("an output of the graph was renamed")
	}
}

func TestRemoveNodes(t *testing.T) {
	m := branchy()
	m.Graph.RemoveNodes(map[*Node]bool{m.Graph.Nodes[2]: true, m.Graph.Nodes[0]: true})
	if got := names(m.Graph.Nodes); !slices.Equal(got, []string{"if", "c"}) {
		t.Errorf("left %v", got)
	}
}

func TestNamer(t *testing.T) {
	nm := branchy().NewNamer()
	for _, c := range [][2]string{{"new", "new"}, {"new", "new_1"}, {"new", "new_2"}, {"new_1", "new_1_1"},
		{"h", "h_1"}, {"r", "r_1"}, {"waste", "waste_1"}, {"w", "w_1"}, {"x", "x_1"}, {"", "_1"}} {
		if got := nm.Fresh(c[0]); got != c[1] {
			t.Errorf("Fresh(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

func TestAttributes(t *testing.T) {
	n := NewNode("Op", "n", nil, nil, nil, IntAttr("i", 3), FloatAttr("f", 0.5), StrAttr("s", "x"),
		IntListAttr("is", 1, 2), FloatListAttr("fs", 1), TensorAttr("t", floats("c", 1)),
		&Attribute{Name: "ref", Type: AttrInt, RefName: "outer"})
	if n.AttrInt("i", 9) != 3 || n.AttrInt("f", 9) != 9 || n.AttrInt("none", 9) != 9 || n.AttrInt("ref", 9) != 9 {
		t.Error("AttrInt")
	}
	if n.AttrFloat("f", 9) != 0.5 || n.AttrFloat("i", 9) != 9 || n.AttrString("s", "d") != "x" || n.AttrString("q", "d") != "d" {
		t.Error("AttrFloat or AttrString")
	}
	if !slices.Equal(n.AttrInts("is"), []int64{1, 2}) || n.AttrInts("i") != nil || len(n.AttrFloats("fs")) != 1 || n.AttrTensor("t") == nil {
		t.Error("lists or tensor")
	}
	n.SetAttr(IntAttr("i", 4))
	n.SetAttr(IntAttr("j", 5))
	n.RemoveAttr("f")
	if n.AttrInt("i", 0) != 4 || n.AttrInt("j", 0) != 5 || n.Attr("f") != nil || len(n.Attrs) != 7 {
		t.Errorf("after edits: %d attributes", len(n.Attrs))
	}
	if !n.Is("X", "Op") || n.Is("X") || (&Node{OpType: "Op", Domain: "my"}).Is("Op") || !(&Node{OpType: "Op", Domain: "ai.onnx"}).Is("Op") {
		t.Error("Is")
	}
}

func TestOpsetAndMeta(t *testing.T) {
	m := tiny()
	m.SetOpset("ai.onnx", 21)
	m.SetOpset("com.microsoft", 1)
	if m.Opset("") != 21 || m.Opset("com.microsoft") != 1 || m.Opset("x") != 0 || len(m.Opsets) != 2 {
		t.Errorf("opsets %v", m.Opsets)
	}
	m.SetMeta("k", "1")
	m.SetMeta("k", "2")
	if v, ok := m.Meta("k"); v != "2" || !ok || len(m.Metadata) != 1 {
		t.Errorf("metadata %v", m.Metadata)
	}
	if _, ok := m.Meta("q"); ok {
		t.Error("a key that is not there")
	}
}

func TestWalk(t *testing.T) {
	m := branchy()
	m.Functions = []*Function{{Name: "F", Nodes: []*Node{NewNode("G", "", nil, nil)}}}
	var paths []string
	m.WalkGraphs(func(_ *Graph, path string) { paths = append(paths, path) })
	if !slices.Equal(paths, []string{"", "if/then", "if/else"}) {
		t.Errorf("paths %q", paths)
	}
	ops := map[string]int{}
	m.WalkNodes(func(n *Node) { ops[n.OpType]++ })
	if !maps.Equal(ops, map[string]int{"Op": 6, "G": 1}) {
		t.Errorf("operators %v", ops)
	}
}
