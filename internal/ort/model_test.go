package ort_test

import (
	"google.golang.org/protobuf/encoding/protowire"

	"optim/internal/tensor"
)

// The models of these tests are written field by field, so that the package
// depends on nothing but the runtime. Field numbers are those of onnx.proto3.

type msg []byte

func (m msg) bytes(field protowire.Number, v []byte) msg {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m msg) str(field protowire.Number, v string) msg { return m.bytes(field, []byte(v)) }

func (m msg) num(field protowire.Number, v int64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

// dim is a dimension: a number, or a symbol's name.
type dim any

func typeOf(d tensor.DType, dims []dim) msg {
	var shape msg
	for _, v := range dims {
		var one msg
		switch v := v.(type) {
		case string:
			one = one.str(2, v)
		case int:
			one = one.num(1, int64(v))
		}
		shape = shape.bytes(1, one)
	}
	return msg{}.bytes(1, msg{}.num(1, int64(d)).bytes(2, shape))
}

func valueInfo(name string, d tensor.DType, dims ...dim) msg {
	return msg{}.str(1, name).bytes(2, typeOf(d, dims))
}

func node(op, name string, in, out []string, attrs ...msg) msg {
	var n msg
	for _, v := range in {
		n = n.str(1, v)
	}
	for _, v := range out {
		n = n.str(2, v)
	}
	n = n.str(3, name).str(4, op)
	for _, a := range attrs {
		n = n.bytes(5, a)
	}
	return n
}

func intAttr(name string, v int64) msg { return msg{}.str(1, name).num(3, v).num(20, 2) }

func initializer(name string, t tensor.Tensor) msg {
	var m msg
	for _, d := range t.Shape {
		m = m.num(1, d)
	}
	return m.num(2, int64(t.DType)).str(8, name).bytes(9, t.Data)
}

// external is an initializer whose bytes lie in another file.
func external(name string, d tensor.DType, shape tensor.Shape, location, offset, length string) msg {
	var m msg
	for _, v := range shape {
		m = m.num(1, v)
	}
	m = m.num(2, int64(d)).str(8, name).num(14, 1)
	for _, kv := range [][2]string{{"location", location}, {"offset", offset}, {"length", length}} {
		m = m.bytes(13, msg{}.str(1, kv[0]).str(2, kv[1]))
	}
	return m
}

type graph struct {
	inputs, outputs, nodes, inits []msg
}

// model returns a ModelProto of opset 23.
func (g graph) model() []byte {
	var m msg
	for _, n := range g.nodes {
		m = m.bytes(1, n)
	}
	m = m.str(2, "test")
	for _, i := range g.inits {
		m = m.bytes(5, i)
	}
	for _, v := range g.inputs {
		m = m.bytes(11, v)
	}
	for _, v := range g.outputs {
		m = m.bytes(12, v)
	}
	return msg{}.num(1, 10).bytes(7, m).bytes(8, msg{}.str(1, "").num(2, 23))
}

// identity returns a model y = x of the given type.
func identity(d tensor.DType, dims ...dim) []byte {
	return graph{
		inputs:  []msg{valueInfo("x", d, dims...)},
		outputs: []msg{valueInfo("y", d, dims...)},
		nodes:   []msg{node("Identity", "id", []string{"x"}, []string{"y"})},
	}.model()
}

// product returns y = x·W with W of n by n, which a second input may replace.
func product(n int, w tensor.Tensor, overridable bool) []byte {
	g := graph{
		inputs:  []msg{valueInfo("x", tensor.Float32, "rows", n)},
		outputs: []msg{valueInfo("y", tensor.Float32, "rows", n)},
		nodes:   []msg{node("MatMul", "mm", []string{"x", "W"}, []string{"y"})},
		inits:   []msg{initializer("W", w)},
	}
	if overridable {
		g.inputs = append(g.inputs, valueInfo("W", tensor.Float32, n, n))
	}
	return g.model()
}
