// Package infer tells what can be known of a graph's values without running
// it: element types, ranks, and constants. It is no full shape inference: it
// answers the questions that rewriting asks ("is this the last axis?", "of
// which type must the new constant be?"), and says unknown rather than guess.
package infer

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Fact is what is known of one value.
type Fact struct {
	DType tensor.DType // Undefined: unknown
	Rank  int          // -1: unknown
	Len   int64        // length of a value of rank 1; -1: unknown, or another rank
}

// Unknown is the fact of a value of which nothing is known.
var Unknown = Fact{Rank: -1, Len: -1}

// Scope holds the facts of one graph's values and sees those of the graphs
// around it. Facts are those of the moment at which the scope was made.
type Scope struct {
	outer  *Scope
	facts  map[string]Fact
	consts map[string]*onnx.Tensor
	// fixed says that an initializer which is a graph input, too, is constant:
	// before IR version 4 every initializer had to be listed as an input.
	fixed bool
}

// Model returns the scope of a model's main graph.
func Model(m *onnx.Model) *Scope {
	s := newScope(nil)
	s.fixed = m.IRVersion < 4
	s.graph(m.Graph)
	return s
}

// Body returns the scope of the body of a node in the graph of s.
func (s *Scope) Body(g *onnx.Graph) *Scope {
	b := newScope(s)
	b.graph(g)
	return b
}

// Function returns the scope of a function's body.
func Function(f *onnx.Function) *Scope {
	s := newScope(nil)
	s.declare(f.ValueInfo)
	s.nodes(f.Nodes)
	return s
}

func newScope(outer *Scope) *Scope {
	s := &Scope{outer: outer, facts: map[string]Fact{}, consts: map[string]*onnx.Tensor{}}
	if outer != nil {
		s.fixed = outer.fixed
	}
	return s
}

// Of returns what is known of value v; an absent optional value is Unknown.
func (s *Scope) Of(v string) Fact {
	for ; s != nil; s = s.outer {
		if f, ok := s.facts[v]; ok {
			return f
		}
	}
	return Unknown
}

// Const returns the tensor of a value that is constant, from an initializer or
// a Constant node; nil if it is not.
func (s *Scope) Const(v string) *onnx.Tensor {
	for ; s != nil && v != ""; s = s.outer {
		if t, ok := s.consts[v]; ok {
			return t
		}
		if _, ok := s.facts[v]; ok {
			return nil // another value of an inner graph hides the outer one
		}
	}
	return nil
}

// Define adds a constant that was made after the scope.
func (s *Scope) Define(t *onnx.Tensor) {
	s.facts[t.Name] = ofTensor(t)
	s.consts[t.Name] = t
}

// maxList bounds the constants that Ints and Floats decode.
const maxList = 4096

// Ints returns the elements of a constant int64 value of at most 4096
// elements; ok is false for every other value.
func (s *Scope) Ints(v string) (list []int64, ok bool) {
	t := s.small(v, tensor.Int64)
	if t == nil {
		return nil, false
	}
	b, err := t.Bytes()
	if err != nil {
		return nil, false
	}
	return append([]int64{}, tensor.As[int64](b)...), true
}

// Floats returns the elements of a constant float32 value of at most 4096
// elements; ok is false for every other value.
func (s *Scope) Floats(v string) (list []float32, ok bool) {
	t := s.small(v, tensor.Float32)
	if t == nil {
		return nil, false
	}
	b, err := t.Bytes()
	if err != nil {
		return nil, false
	}
	return append([]float32{}, tensor.As[float32](b)...), true
}

func (s *Scope) small(v string, d tensor.DType) *onnx.Tensor {
	t := s.Const(v)
	if t == nil || t.DType != d {
		return nil
	}
	if n, err := t.Shape.Elements(); err != nil || n > maxList {
		return nil
	}
	return t
}

func (s *Scope) graph(g *onnx.Graph) {
	s.declare(g.ValueInfo)
	s.declare(g.Outputs)
	s.declare(g.Inputs)
	inputs := make(map[string]bool, len(g.Inputs))
	for _, v := range g.Inputs {
		inputs[v.Name] = true
		if _, ok := s.facts[v.Name]; !ok {
			s.facts[v.Name] = Unknown
		}
	}
	for _, t := range g.Initializers {
		s.facts[t.Name] = ofTensor(t)
		if s.fixed || !inputs[t.Name] {
			s.consts[t.Name] = t
		}
	}
	s.nodes(g.Nodes)
}

func (s *Scope) nodes(nodes []*onnx.Node) {
	for _, n := range nodes {
		for i, out := range n.Outputs {
			if out == "" {
				continue
			}
			f := s.output(n, i)
			if known, ok := s.facts[out]; ok {
				f = merge(known, f)
			}
			s.facts[out] = f
		}
		if t := constant(n); t != nil && len(n.Outputs) == 1 {
			s.consts[n.Outputs[0]] = t
		}
	}
}

// declare takes over what value infos say.
func (s *Scope) declare(list []*onnx.ValueInfo) {
	for _, v := range list {
		if v.Type == nil || v.Name == "" {
			continue
		}
		f := Fact{DType: v.Type.DType, Rank: -1, Len: -1}
		if v.Type.HasShape {
			f.Rank = len(v.Type.Dims)
			if f.Rank == 1 && v.Type.Dims[0].Symbol == "" {
				f.Len = v.Type.Dims[0].Value
			}
		}
		s.facts[v.Name] = f
	}
}

// merge completes the declared fact a with the inferred one b.
func merge(a, b Fact) Fact {
	if a.DType == tensor.Undefined {
		a.DType = b.DType
	}
	if a.Rank < 0 {
		a.Rank = b.Rank
	}
	if a.Len < 0 && a.Rank == b.Rank {
		a.Len = b.Len
	}
	return a
}

func ofTensor(t *onnx.Tensor) Fact {
	f := Fact{DType: t.DType, Rank: len(t.Shape), Len: -1}
	if len(t.Shape) == 1 {
		f.Len = t.Shape[0]
	}
	return f
}

// constant returns the tensor of a Constant node that has one.
func constant(n *onnx.Node) *onnx.Tensor {
	if n.OpType != "Constant" || !Standard(n.Domain) {
		return nil
	}
	if a := n.Attr("value"); a != nil {
		return a.T
	}
	return nil
}

// Standard reports whether domain is the standard operators', by either of its
// two names.
func Standard(domain string) bool { return domain == "" || domain == "ai.onnx" }
