package onnx

import (
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"optim/internal/tensor"
)

// encoder turns a model into a message. The fields of every message are
// written in the order of their numbers, then the unknown ones, so that the
// same model always gives the same bytes.
type encoder struct {
	// refer says where the data of an initializer lies in another file; with
	// ok false, or without refer, it is written into the model.
	refer func(t *Tensor) (location string, offset int64, ok bool)
	// dangling allows references to external data that was not looked for.
	dangling bool
	err      error // the first error
}

func (e *encoder) model(m *Model) (*message, error) {
	out := &message{}
	if m.IRVersion != 0 {
		out.int(1, m.IRVersion)
	}
	out.text(2, m.ProducerName)
	out.text(3, m.ProducerVersion)
	out.text(4, m.Domain)
	if m.ModelVersion != 0 {
		out.int(5, m.ModelVersion)
	}
	out.text(6, m.Doc)
	if m.Graph != nil {
		out.nest(7, e.graph(m.Graph))
	}
	opsets(out, 8, m.Opsets)
	properties(out, 14, m.Metadata)
	for _, fn := range m.Functions {
		out.nest(25, e.function(fn))
	}
	out.raw(m.Unknown)
	return out, e.err
}

func opsets(out *message, num protowire.Number, list []Opset) {
	for _, o := range list {
		sub := &message{}
		sub.text(1, o.Domain)
		sub.int(2, o.Version)
		sub.raw(o.Unknown)
		out.nest(num, sub)
	}
}

func properties(out *message, num protowire.Number, list []Property) {
	for _, p := range list {
		sub := &message{}
		sub.element(1, p.Key)
		sub.element(2, p.Value)
		out.nest(num, sub)
	}
}

func (e *encoder) graph(g *Graph) *message {
	out := &message{}
	for _, n := range g.Nodes {
		out.nest(1, e.node(n))
	}
	out.text(2, g.Name)
	for _, t := range g.Initializers {
		out.nest(5, e.tensor(t, true))
	}
	out.text(10, g.Doc)
	values(out, 11, g.Inputs)
	values(out, 12, g.Outputs)
	values(out, 13, g.ValueInfo)
	for _, s := range g.Sparse {
		out.nest(15, e.sparse(s))
	}
	properties(out, 16, g.Metadata)
	out.raw(g.Unknown)
	return out
}

func (e *encoder) function(fn *Function) *message {
	out := &message{}
	out.text(1, fn.Name)
	elements(out, 4, fn.Inputs)
	elements(out, 5, fn.Outputs)
	elements(out, 6, fn.AttrNames)
	for _, n := range fn.Nodes {
		out.nest(7, e.node(n))
	}
	out.text(8, fn.Doc)
	opsets(out, 9, fn.Opsets)
	out.text(10, fn.Domain)
	for _, a := range fn.AttrProtos {
		out.nest(11, e.attribute(a))
	}
	values(out, 12, fn.ValueInfo)
	out.text(13, fn.Overload)
	properties(out, 14, fn.Metadata)
	out.raw(fn.Unknown)
	return out
}

func elements(out *message, num protowire.Number, list []string) {
	for _, s := range list {
		out.element(num, s)
	}
}

func (e *encoder) node(n *Node) *message {
	out := &message{}
	elements(out, 1, n.Inputs)
	elements(out, 2, n.Outputs)
	out.text(3, n.Name)
	out.text(4, n.OpType)
	before := e.err
	for _, a := range n.Attrs {
		out.nest(5, e.attribute(a))
	}
	if before == nil && e.err != nil {
		e.err = fmt.Errorf("node %q: %w", n.Name, e.err)
	}
	out.text(6, n.Doc)
	out.text(7, n.Domain)
	out.text(8, n.Overload)
	properties(out, 9, n.Metadata)
	out.raw(n.Unknown)
	return out
}

func (e *encoder) attribute(a *Attribute) *message {
	out := &message{}
	out.text(1, a.Name)
	e.single(out, a)
	e.repeated(out, a)
	out.text(13, a.Doc)
	if a.Type == AttrTypeProto && a.TypeP != nil {
		out.nest(14, typeMessage(a.TypeP))
	}
	for _, t := range a.TypePs {
		out.nest(15, typeMessage(t))
	}
	out.int(20, int64(a.Type))
	out.text(21, a.RefName)
	if a.Sparse != nil {
		out.nest(22, e.sparse(a.Sparse))
	}
	for _, s := range a.Sparses {
		out.nest(23, e.sparse(s))
	}
	out.raw(a.Unknown)
	return out
}

// single writes a value that is not a list. Numbers and strings are written
// also if they are zero: checkers ask whether the field is there. A reference
// to an attribute of a function has no value.
func (e *encoder) single(out *message, a *Attribute) {
	switch {
	case a.RefName != "":
	case a.Type == AttrFloat:
		out.tag(2, protowire.Fixed32Type)
		out.head = protowire.AppendFixed32(out.head, math.Float32bits(a.F))
	case a.Type == AttrInt:
		out.int(3, a.I)
	case a.Type == AttrString:
		out.bytes(4, a.S)
	}
	if a.T != nil {
		out.nest(5, e.tensor(a.T, false))
	}
	if a.G != nil {
		out.nest(6, e.graph(a.G))
	}
}

func (e *encoder) repeated(out *message, a *Attribute) {
	if len(a.Floats) > 0 {
		out.bytes(7, tensor.AsBytes(a.Floats))
	}
	out.ints(8, a.Ints)
	for _, s := range a.Strings {
		out.bytes(9, s)
	}
	for _, t := range a.Tensors {
		out.nest(10, e.tensor(t, false))
	}
	for _, g := range a.Graphs {
		out.nest(11, e.graph(g))
	}
}

// tensor writes a TensorProto. Whatever field its elements came in, they go
// out as raw_data or string_data.
func (e *encoder) tensor(t *Tensor, initializer bool) *message {
	out := &message{}
	out.ints(1, t.Shape)
	out.int(2, int64(t.DType))
	if err := t.checkData(); err != nil {
		e.fail(t.errorf("%w", err))
		return out
	}
	for _, s := range t.store.strings {
		out.bytes(6, s)
	}
	out.text(8, t.Name)
	external := e.external(t, initializer)
	if external == nil {
		e.data(out, t)
	}
	out.text(12, t.Doc)
	if external != nil {
		properties(out, 13, external)
		out.int(14, 1)
	}
	properties(out, 16, t.Metadata)
	out.raw(t.Unknown)
	return out
}

// external returns the entries of external_data; nil for data in the model.
func (e *encoder) external(t *Tensor, initializer bool) []Property {
	if t.store.kind == storeExternal {
		if !e.dangling {
			e.fail(t.errorf("its external data is not at hand: the model was not read from a file"))
		}
		return t.store.external
	}
	if e.refer == nil || !initializer || t.DType == tensor.String {
		return nil
	}
	location, offset, ok := e.refer(t)
	if !ok {
		return nil
	}
	return []Property{
		{Key: "location", Value: location},
		{Key: "offset", Value: strconv.FormatInt(offset, 10)},
		{Key: "length", Value: strconv.FormatInt(t.Size(), 10)},
	}
}

// data writes raw_data, or leaves a hole for it.
func (e *encoder) data(out *message, t *Tensor) {
	n := t.Size()
	switch {
	case t.DType == tensor.String:
	case n > inlineLimit:
		out.data(9, t, n)
	default:
		b, err := t.Bytes()
		if err != nil {
			e.fail(err)
			return
		}
		out.bytes(9, b)
	}
}

func (e *encoder) sparse(s *SparseTensor) *message {
	out := &message{}
	out.nest(1, e.tensor(s.Values, false))
	out.nest(2, e.tensor(s.Indices, false))
	out.ints(3, s.Dims)
	out.raw(s.Unknown)
	return out
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}
