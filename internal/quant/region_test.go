package quant

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
		var attrs []*onnx.Attribute
		if u.role == movement && r.IntN(2) == 0 {
			op, attrs = "MaxPool", []*onnx.Attribute{onnx.IntListAttr("kernel_shape", 3, 2)}
		}
		if u.role == compute {
			op = []string{"Conv", "MatMul", "Gemm"}[r.IntN(3)]
			if op == "Conv" {
				dims = tensor.Shape{32, 16, 3, 3}
			}
		}
		u.node = onnx.NewNode(op, fmt.Sprint("n", i), u.inputs, u.outputs, attrs...)
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

// cost is the time of a labelling by definition: every unit's own, one
// conversion for each value that someone needs in the other kind, and what
// neighbours of different kinds lose. ok is false where a unit cannot be
// integer.
func (l *labelling) cost(integer []bool) (total int64, ok bool) {
	for i, u := range l.units {
		possible := u.role != floatOnly && !l.barred(u)
		if integer[i] && !possible {
			return 0, false
		}
		if !possible {
			continue // the same in every labelling
		}
		float, whole := l.costs.unitTime(u, l.shapes)
		if integer[i] {
			total += picoseconds(whole)
			continue
		}
		fused := 0.0
		for _, v := range u.inputs {
			if l.fuses(v, u) {
				fused = elements(l.shapes[u.outputs[0]]) * (l.costs.elementFloat - l.costs.fusedFloat)
			}
		}
		total += picoseconds(float - fused)
	}
	for v := range l.shapes {
		total += l.conversions(v, integer) + l.lost(v, integer)
	}
	return total, true
}

// conversions is what it costs to have a value in the kinds that are needed.
func (l *labelling) conversions(v string, integer []bool) int64 {
	made, free := false, false
	used := map[bool]bool{}
	for i, u := range l.units {
		if slices.Contains(u.outputs, v) {
			made, free = integer[i], floatOutput(u.node)
		}
		if slices.Contains(u.inputs, v) {
			used[integer[i]] = true
		}
	}
	n := elements(l.shapes[v])
	cost := l.costs.launch
	if len(l.shapes[v]) == 4 {
		cost += n * l.costs.layout
	}
	switch {
	case free:
	case !made && used[true]:
		return picoseconds(cost + n*l.costs.quantize)
	case made && (used[false] || l.outputs[v]):
		return picoseconds(cost + n*l.costs.dequantize)
	}
	return 0
}

// lost is what the users of a value lose where its maker is of the other kind.
func (l *labelling) lost(v string, integer []bool) (total int64) {
	made := false
	for i, u := range l.units {
		made = made || slices.Contains(u.outputs, v) && integer[i]
	}
	for i, u := range l.units {
		if !slices.Contains(u.inputs, v) {
			continue
		}
		if u.node.OpType == "MaxPool" && u.role == movement && integer[i] && !made {
			total += picoseconds(elements(l.shapes[u.outputs[0]]) * 6 * l.costs.poolPlanar)
		}
		if l.fuses(v, u) && made && !integer[i] {
			total += picoseconds(elements(l.shapes[v]) * (l.costs.elementFloat - l.costs.fusedFloat))
		}
	}
	return total
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
