package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// divided returns the value that holds an activation with its channels divided
// by factors, for products whose weights are multiplied by them. The factors go
// into the normalization that makes the activation where nobody else sees it,
// else into a Mul.
func (q *pass) divided(s *scope, value string, factors []float32) ([]*onnx.Node, string) {
	key := quantizedKey{s, value}
	if name, ok := q.quotients[key]; ok {
		return nil, name
	}
	if q.private(s, value, factors) {
		if name, ok := q.divideAtSource(s, value, factors); ok {
			q.quotients[key] = name
			return nil, name
		}
	}
	inverse := make([]float32, len(factors))
	for i, f := range factors {
		inverse[i] = 1 / f
	}
	by := q.initializer(value+"_divisor", inverse)
	out := q.namer.Fresh(value + "_divided")
	q.quotients[key] = out
	return []*onnx.Node{onnx.NewNode("Mul", q.namer.Fresh(value+"_divide"), []string{value, by}, []string{out})}, out
}

// private reports whether only products with these factors see a value.
func (q *pass) private(s *scope, value string, factors []float32) bool {
	if s.index.IsOutput(value) {
		return false
	}
	for _, n := range s.readers(value) {
		if !n.Is("MatMul", "Gemm") || len(n.Inputs) < 2 || n.Inputs[0] != value {
			return false
		}
		o, ok := s.operand(n.Inputs[1])
		if !ok {
			return false
		}
		sol := q.solution(s.label(n), o)
		if sol == nil || sol.Factors == nil || &sol.Factors[0] != &factors[0] {
			return false
		}
	}
	return true
}

// divideAtSource divides the scale and bias of the LayerNormalization that makes
// a value, also through Reshapes: these keep the order of the elements, and both
// sides have rows of as many channels. It returns the new name of the value, which
// is another one now.
func (q *pass) divideAtSource(s *scope, value string, factors []float32) (string, bool) {
	var path []*onnx.Node // from the normalization to the value
	n := s.index.Producer(value)
	for n != nil && n.Is("Reshape") && len(s.readers(n.Inputs[0])) == 1 && !s.index.IsOutput(n.Inputs[0]) {
		path = append([]*onnx.Node{n}, path...)
		n = s.index.Producer(n.Inputs[0])
	}
	if n == nil || !n.Is("LayerNormalization") || len(n.Inputs) < 2 || len(n.Outputs) != 1 {
		return "", false
	}
	quotients := map[int]string{}
	for i := 1; i < len(n.Inputs); i++ {
		if n.Inputs[i] == "" {
			continue
		}
		old, ok := s.floats(n.Inputs[i], len(factors))
		if !ok {
			return "", false
		}
		quotients[i] = q.quotient(n.Inputs[i], old, factors)
	}
	for i, name := range quotients {
		n.Inputs[i] = name
	}
	for _, node := range append([]*onnx.Node{n}, path...) {
		name := q.namer.Fresh(node.Outputs[0] + "_divided")
		for _, user := range s.index.Consumers(node.Outputs[0]) {
			for i, in := range user.Inputs {
				if in == node.Outputs[0] {
					user.Inputs[i] = name
				}
			}
		}
		value, node.Outputs[0] = name, name
	}
	return value, true
}

// readers are the consumers of a value that look at more than its shape.
func (s *scope) readers(value string) []*onnx.Node {
	var out []*onnx.Node
	for _, n := range s.index.Consumers(value) {
		if !n.Is("Shape") {
			out = append(out, n)
		}
	}
	return out
}

// floats reads a constant vector of n float32.
func (s *scope) floats(name string, n int) ([]float32, bool) {
	t, _ := s.constant(name)
	if t == nil || t.DType != tensor.Float32 || len(t.Shape) != 1 || t.Shape[0] != int64(n) {
		return nil, false
	}
	v, err := t.Value()
	if err != nil {
		return nil, false
	}
	out, err := v.Float32s()
	return out, err == nil
}

// quotient adds the initializer old/factors to the main graph.
func (q *pass) quotient(name string, old, factors []float32) string {
	out := make([]float32, len(old))
	for i, x := range old {
		out[i] = x / factors[i]
	}
	return q.initializer(name+"_divided", out)
}

// initializer adds a vector to the main graph, which every body sees.
func (q *pass) initializer(base string, v []float32) string {
	name := q.namer.Fresh(base)
	t := tensor.Of(tensor.Float32, tensor.Shape{int64(len(v))}, v)
	q.model.Graph.Initializers = append(q.model.Graph.Initializers, onnx.NewTensor(name, t))
	return name
}
