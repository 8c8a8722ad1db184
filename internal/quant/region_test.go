package quant

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// randomLabelling makes a graph of a few units in order, each reading values
// that exist before it.
func randomLabelling(r *rand.Rand, count int) *labelling {
	l := &labelling{costs: costTable["vnni"], shapes: map[string]tensor.Shape{}, forbid: map[string]string{}, outputs: map[string]bool{}}
	values := []string{"in0", "in1"}
	shape := func(v string) {
		if r.IntN(12) > 0 {
			l.shapes[v] = tensor.Shape{1, 8 << r.IntN(5), int64(1 + r.IntN(40)), int64(1 + r.IntN(40))}
		}
		if r.IntN(15) == 0 {
			l.forbid[v] = "for the test"
		}
		l.outputs[v] = r.IntN(6) == 0
	}
	shape("in0")
	shape("in1")
	for i := range count {
		u := &unit{role: []role{floatOnly, compute, compute, kernel, movement}[r.IntN(5)], outputs: []string{fmt.Sprint("v", i)}}
		inputs := 1
		if u.role == kernel || u.role == floatOnly {
			inputs = 1 + r.IntN(2)
		}
		for range inputs {
			u.inputs = append(u.inputs, values[r.IntN(len(values))])
		}
		op, dims := "Add", tensor.Shape{64, 64}
		if u.role == compute {
			op = []string{"Conv", "MatMul", "Gemm"}[r.IntN(3)]
			if op == "Conv" {
				dims = tensor.Shape{32, 16, 3, 3}
			}
		}
		u.node = onnx.NewNode(op, fmt.Sprint("n", i), u.inputs, u.outputs)
		n, _ := dims.Elements()
		u.weight = operand{tensor: onnx.NewTensor("w", tensor.Of(tensor.Float32, dims, make([]float32, n)))}
		if r.IntN(4) == 0 {
			u.act = onnx.NewNode("Relu", "", nil, nil)
		}
		shape(u.outputs[0])
		if r.IntN(5) == 0 { // a second output
			second := fmt.Sprint("s", i)
			u.outputs = append(u.outputs, second)
			shape(second)
			values = append(values, second)
		}
		values = append(values, u.outputs[0])
		l.units = append(l.units, u)
	}
	return l
}

// cost is the time of a labelling by definition: every unit's own, and one
// conversion for each value that someone needs in the other kind. ok is false
// where a unit cannot be integer.
func (l *labelling) cost(integer []bool) (total int64, ok bool) {
	for i, u := range l.units {
		float, whole := l.costs.unitTime(u, l.shapes)
		if !integer[i] {
			if u.role != floatOnly && !l.barred(u) {
				total += picoseconds(float)
			}
			continue
		}
		if u.role == floatOnly || l.barred(u) {
			return 0, false
		}
		total += picoseconds(whole)
	}
	for v, s := range l.shapes {
		made, free := false, false
		used := map[bool]bool{}
		for i, u := range l.units {
			for _, o := range u.outputs {
				if o == v {
					made, free = integer[i], floatOutput(u.node)
				}
			}
			for _, in := range u.inputs {
				if in == v {
					used[integer[i]] = true
				}
			}
		}
		switch {
		case free:
		case !made && used[true]:
			total += picoseconds(l.costs.launch + elements(s)*l.costs.quantize)
		case made && (used[false] || l.outputs[v]):
			total += picoseconds(l.costs.launch + elements(s)*l.costs.dequantize)
		}
	}
	return total, true
}

// barred reports whether a value of a unit must not be, or cannot be, integers.
func (l *labelling) barred(u *unit) bool {
	bad := func(v string) bool { return l.shapes[v] == nil || l.forbid[v] != "" }
	for _, v := range u.inputs {
		if bad(v) {
			return true
		}
	}
	for _, v := range u.outputs {
		if bad(v) && !(u.role == compute && floatOutput(u.node)) {
			return true
		}
	}
	return false
}

// TestLabellingIsOptimal compares the minimum cut with all labellings.
func TestLabellingIsOptimal(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	mixed := 0
	for trial := range 400 {
		l := randomLabelling(r, 1+r.IntN(9))
		got := l.run()
		have, ok := l.cost(got)
		if !ok {
			t.Fatalf("trial %d: a unit that must be float is integer", trial)
		}
		best, some := have, 0
		for set := range 1 << len(l.units) {
			labels := make([]bool, len(l.units))
			for i := range labels {
				labels[i] = set>>i&1 == 1
			}
			if c, ok := l.cost(labels); ok {
				best = min(best, c)
			}
		}
		if best < have {
			t.Fatalf("trial %d: labelling %v costs %d, the best %d", trial, got, have, best)
		}
		for i, u := range l.units {
			if got[i] {
				some++
			} else if u.role == compute && u.reason == "" {
				t.Fatalf("trial %d: unit %d stays float without a reason", trial, i)
			}
		}
		if some > 0 && some < len(l.units) {
			mixed++
		}
	}
	if mixed < 50 {
		t.Errorf("only %d graphs are mixed", mixed)
	}
}

// TestUnitTimes: integers save time for large products and cost some for small
// ones, on every target.
func TestUnitTimes(t *testing.T) {
	for name, c := range costTable {
		w := tensor.Shape{256, 256, 3, 3}
		n, _ := w.Elements()
		u := &unit{
			role: compute, node: onnx.NewNode("Conv", "", []string{"x"}, []string{"y"}), inputs: []string{"x"}, outputs: []string{"y"},
			weight: operand{tensor: onnx.NewTensor("w", tensor.Of(tensor.Float32, w, make([]float32, n)))},
		}
		shapes := map[string]tensor.Shape{"x": {1, 256, 14, 14}, "y": {1, 256, 14, 14}}
		if float, integer := c.unitTime(u, shapes); integer > 0.7*float {
			t.Errorf("%s: a large convolution takes %g in float and %g in integers", name, float, integer)
		}
	}
	for _, target := range targets {
		if _, ok := costTable[target.Name]; !ok {
			t.Errorf("no costs for %s", target.Name)
		}
	}
}
