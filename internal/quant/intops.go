package quant

import (
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// role says how an operator runs on integers under ONNX Runtime's CPU
// provider, as counted in the optimized graphs of version 1.30 (QDQ form).
type role int

const (
	floatOnly role = iota // no integer kernel, or none that pays
	compute               // products with a constant weight: QLinearConv, QGemm, MatMulIntegerToFloat
	kernel                // an integer kernel of its own with scales in and out: QLinearAdd, …
	movement              // moves values: the same kernel on integers, scale in = scale out
)

// intOps is the one table of operators that run on integers.
var intOps = map[string]struct {
	role       role
	activation int // number of leading inputs that are activations; -1: all
}{
	"Conv":              {compute, 1},
	"Gemm":              {compute, 1},
	"MatMul":            {compute, 1},
	"Add":               {kernel, -1},
	"Mul":               {kernel, -1},
	"Concat":            {kernel, -1},
	"AveragePool":       {kernel, 1},
	"GlobalAveragePool": {kernel, 1},
	"Sigmoid":           {kernel, 1},
	"LeakyRelu":         {kernel, 1},
	"MaxPool":           {movement, 1},
	"Reshape":           {movement, 1},
	"Flatten":           {movement, 1},
	"Transpose":         {movement, 1},
	"Squeeze":           {movement, 1},
	"Unsqueeze":         {movement, 1},
	"Slice":             {movement, 1},
	"Split":             {movement, 1},
	"Gather":            {movement, 1},
	"Resize":            {movement, 1}, // mode nearest
	"DepthToSpace":      {movement, 1},
	"Expand":            {movement, 1},
}

// unit is what is labelled as a whole: a node, with the Relu or Clip behind it
// that disappears into the quantized range of its output.
type unit struct {
	node    *onnx.Node
	act     *onnx.Node // absorbed Relu or Clip, or the Add of a bias, or nil
	bias    string     // constant that act adds; empty: act is no Add
	role    role
	key     string   // label for reports
	inputs  []string // activations
	outputs []string // after act
	weight  operand  // of compute
	reason  string   // why a unit that could be integer must stay float
}

// units takes the main graph apart. Every node is in exactly one unit; order
// is that of the graph.
func (q *pass) units(s *scope) []*unit {
	absorbed := map[*onnx.Node]bool{}
	var out []*unit
	for _, n := range s.graph.Nodes {
		if absorbed[n] {
			continue
		}
		u := q.unit(s, n)
		if reason, ok := q.o.left(u.key); ok {
			u.role, u.reason = floatOnly, reason
		} else if reason, ok := q.o.Float[u.key]; ok {
			u.role, u.reason = floatOnly, reason
		}
		if u.act != nil {
			absorbed[u.act] = true
		}
		out = append(out, u)
	}
	demote(out)
	return out
}

// demote leaves integer kernels in float that no chain of integer units joins
// to a convolution: products give and take floats for nothing, so beside them
// alone such a kernel would add rounding and save no conversion.
func demote(units []*unit) {
	group := map[string]int{} // value → group
	parent := []int{}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	anchored := map[int]bool{}
	of := make([]int, len(units))
	for i, u := range units {
		of[i] = -1
		if !u.joins() {
			continue
		}
		id := len(parent)
		parent = append(parent, id)
		of[i] = id
		for _, v := range slices.Concat(u.inputs, u.outputs) {
			if other, ok := group[v]; ok {
				parent[find(other)] = find(id)
			} else {
				group[v] = id
			}
		}
	}
	for i, u := range units {
		if u.joins() && u.role == compute {
			anchored[find(of[i])] = true
		}
	}
	for i, u := range units {
		if u.joins() && !anchored[find(of[i])] {
			u.role = floatOnly
		}
	}
}

// joins reports whether integers can come into and go out of a unit.
func (u *unit) joins() bool {
	return u.role == kernel || u.role == movement || u.role == compute && !floatOutput(u.node)
}

func (q *pass) unit(s *scope, n *onnx.Node) *unit {
	u := &unit{node: n, key: s.label(n), outputs: n.Outputs}
	op, ok := intOps[opKey(n)]
	if !ok || n.Output(0) == "" || op.role == compute && incomplete(n) {
		u.inputs = nonConstant(s, n.Inputs)
		return u
	}
	count := op.activation
	if count < 0 {
		count = len(n.Inputs)
	}
	u.inputs = nonConstant(s, n.Inputs[:min(count, len(n.Inputs))])
	u.role = op.role
	switch {
	case op.role == compute:
		u.checkCompute(q, s)
	case len(u.inputs) == 0 || len(u.inputs) < min(count, len(n.Inputs)):
		u.role = floatOnly // a constant operand: in integers it costs quality and gains next to nothing
	case n.OpType == "Resize" && n.AttrString("mode", "nearest") != "nearest":
		u.role = floatOnly
	}
	switch {
	case u.role == floatOnly || u.role == movement:
	case n.OpType == "MatMul":
		u.absorbBias(s)
	default:
		u.absorb(s)
	}
	return u
}

// absorbBias takes in a following Add of one constant per output channel.
func (u *unit) absorbBias(s *scope) {
	next := s.index.SoleConsumer(u.outputs[0])
	if next == nil || next.OpType != "Add" || next.Domain != "" || len(next.Inputs) != 2 {
		return
	}
	other := next.Inputs[0]
	if other == u.outputs[0] {
		other = next.Inputs[1]
	}
	t, _ := s.constant(other)
	if t != nil && t.DType == tensor.Float32 && len(t.Shape) == 1 && t.Shape[0] == u.channels() {
		u.act, u.bias, u.outputs = next, other, next.Outputs
	}
}

// checkCompute finds the weight, or the reason why there is no integer kernel.
func (u *unit) checkCompute(q *pass, s *scope) {
	n := u.node
	reason, ok := "its input is constant", len(u.inputs) > 0
	switch {
	case !ok:
	case n.OpType == "Conv":
		u.weight, reason, ok = convWeight(s, n)
	default:
		u.weight, reason, ok = q.matrixWeight(s, n)
	}
	if !ok {
		u.role, u.reason = floatOnly, reason
		u.inputs = nonConstant(s, n.Inputs)
		return
	}
	if kept, ok := q.o.selected(n); !ok {
		u.role, u.reason = floatOnly, kept
	}
	if n.OpType == "Gemm" && (!plainGemm(n) || !u.vectorBias(s)) {
		u.role, u.reason = floatOnly, "its bias, factors or transposition have no static kernel"
	}
}

func convWeight(s *scope, n *onnx.Node) (operand, string, bool) {
	o, ok := s.operand(n.Inputs[1])
	switch {
	case !ok:
		return o, "its weight is not constant", false
	case o.tensor.DType != tensor.Float32:
		return o, "its weight is " + o.tensor.DType.String() + ", not float32", false
	case o.transposed != nil || len(o.tensor.Shape) < 3 || o.tensor.Elements() == 0:
		return o, "its weight has an unusual form", false
	case len(o.tensor.Shape) != 4:
		return o, "the integer kernel takes two spatial dimensions", false
	}
	if group := n.AttrInt("group", 1); group < 1 || o.tensor.Shape[0]%group != 0 {
		return o, "its groups do not divide its channels", false
	}
	if len(n.Inputs) > 2 && n.Inputs[2] != "" {
		if b, _ := s.constant(n.Inputs[2]); b == nil || b.DType != tensor.Float32 {
			return o, "its bias is not a constant of float32", false
		}
	}
	return o, "", true
}

// absorb takes in a following Relu, or Clip from 0 to a constant: quantized
// with the zero point at the bottom of the range it is the range itself. Only
// then does the runtime fuse the node before it.
func (u *unit) absorb(s *scope) {
	if len(u.outputs) != 1 {
		return
	}
	next := s.index.SoleConsumer(u.outputs[0])
	if next == nil || next.Domain != "" || len(next.Inputs) == 0 || next.Inputs[0] != u.outputs[0] {
		return
	}
	if next.OpType == "Relu" || next.OpType == "Clip" && clipsAtZero(s, next) {
		u.act, u.outputs = next, next.Outputs
	}
}

func clipsAtZero(s *scope, n *onnx.Node) bool {
	if len(n.Inputs) < 2 || n.Inputs[1] == "" {
		return false
	}
	lo, ok := s.scalarValue(n.Inputs[1])
	if !ok || lo != 0 {
		return false
	}
	if len(n.Inputs) > 2 && n.Inputs[2] != "" {
		_, ok = s.scalarValue(n.Inputs[2])
	}
	return ok
}

// scalarValue reads a constant of one element.
func (s *scope) scalarValue(name string) (float32, bool) {
	t, _ := s.constant(name)
	if t == nil || t.DType != tensor.Float32 {
		return 0, false
	}
	v, err := t.Value()
	if err != nil || v.Len() != 1 {
		return 0, false
	}
	f, err := v.Float32s()
	if err != nil {
		return 0, false
	}
	return f[0], true
}

func nonConstant(s *scope, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(v string) bool {
		if v == "" {
			return true
		}
		t, _ := s.constant(v)
		return t != nil
	})
}
