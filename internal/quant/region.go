package quant

import (
	"iter"
	"slices"

	"optim/internal/tensor"
)

// labelling decides which units run on integers. Every unit has a time in
// float and in integers, and every value that passes between the two kinds
// costs a conversion; the assignment of least total time is a minimum cut
// (project selection). Units on the source's side are integer.
type labelling struct {
	units    []*unit
	costs    costs
	shapes   map[string]tensor.Shape // of all activations, as observed
	forbid   map[string]string       // values that must not be quantized, with the reason
	outputs  map[string]bool         // graph outputs
	producer map[string]int
	users    map[string][]int
}

// run returns for each unit whether it is integer; reasons of those that are
// not, where they could have been, go into unit.reason.
func (l *labelling) run() []bool {
	l.index()
	const source, sink = 0, 1
	g := newNetwork(2 + len(l.units))
	id := func(i int) int { return 2 + i }
	for i, u := range l.units {
		if l.mustBeFloat(u) {
			g.edge(id(i), sink, unlimited)
			continue
		}
		float, integer := l.costs.unitTime(u, l.shapes)
		if slices.ContainsFunc(u.inputs, func(v string) bool { return l.fuses(v, u) }) {
			float -= elements(l.shapes[u.outputs[0]]) * (l.costs.elementFloat - l.costs.fusedFloat)
		}
		g.edge(source, id(i), picoseconds(float))
		g.edge(id(i), sink, picoseconds(integer))
	}
	for value := range l.values() {
		l.boundary(g, value, id, source, sink)
	}
	side := g.cut(source, sink)
	out := make([]bool, len(l.units))
	for i, u := range l.units {
		out[i] = side[id(i)]
		if !out[i] && u.role == compute && u.reason == "" {
			u.reason = "the conversions around it would cost more than the integer kernel saves"
		}
	}
	return out
}

func picoseconds(ns float64) int64 { return int64(ns * 1000) }

func (l *labelling) index() {
	l.producer, l.users = map[string]int{}, map[string][]int{}
	for i, u := range l.units {
		for _, o := range u.outputs {
			l.producer[o] = i
		}
		for _, in := range u.inputs {
			l.users[in] = append(l.users[in], i)
		}
	}
}

// mustBeFloat reports whether no integer form is possible, and notes why.
func (l *labelling) mustBeFloat(u *unit) bool {
	if u.role == floatOnly {
		return true
	}
	values := slices.Concat(u.inputs, u.outputs)
	if u.role == compute && floatOutput(u.node) {
		values = u.inputs
	}
	for _, v := range values {
		if _, seen := l.shapes[v]; !seen {
			u.reason = "its values are not float32, or their ranges are not known (give --calib, or more of it)"
			return true
		}
		if reason, bad := l.forbid[v]; bad {
			u.reason = reason
			return true
		}
	}
	return false
}

// values yields the activations that pass between units, in graph order.
func (l *labelling) values() iter.Seq[string] {
	return func(yield func(string) bool) {
		seen := map[string]bool{}
		for _, u := range l.units {
			for _, v := range slices.Concat(u.inputs, u.outputs) {
				if !seen[v] && !yield(v) {
					return
				}
				seen[v] = true
			}
		}
	}
}

// boundary adds the conversions that a value may need: to integers once if its
// producer is float and some user is integer, to float once the other way.
func (l *labelling) boundary(g *network, value string, id func(int) int, source, sink int) {
	shape, ok := l.shapes[value]
	if !ok {
		return
	}
	n := elements(shape)
	from := sink // a graph input is float
	free := false
	if p, ok := l.producer[value]; ok {
		from = id(p)
		free = floatOutput(l.units[p].node)
	}
	users := l.users[value]
	layout := 0.0
	if len(shape) == 4 {
		layout = n * l.costs.layout
	}
	if len(users) > 0 && !free {
		q := g.node()
		g.edge(q, from, picoseconds(l.costs.launch+n*l.costs.quantize+layout))
		for _, u := range users {
			g.edge(id(u), q, unlimited)
		}
	}
	l.neighbours(g, value, id, from)
	if from == sink || free {
		return
	}
	dq := g.node()
	g.edge(from, dq, picoseconds(l.costs.launch+n*l.costs.dequantize+layout))
	for _, u := range users {
		g.edge(dq, id(u), unlimited)
	}
	if l.outputs[value] {
		g.edge(dq, sink, unlimited)
	}
}

// neighbours adds what two units cost each other when one is integer and the
// other is not. An integer MaxPool is fast only behind an integer convolution,
// which hands it channels last; a float Add vanishes into a float convolution,
// and must be computed behind an integer one.
func (l *labelling) neighbours(g *network, value string, id func(int) int, from int) {
	n := elements(l.shapes[value])
	for _, i := range l.users[value] {
		u := l.units[i]
		switch {
		case u.node.OpType == "MaxPool" && u.role == movement:
			taps := 1.0
			for _, k := range u.node.AttrInts("kernel_shape") {
				taps *= float64(k)
			}
			g.edge(id(i), from, picoseconds(elements(l.shapes[u.outputs[0]])*taps*l.costs.poolPlanar))
		case l.fuses(value, u):
			g.edge(from, id(i), picoseconds(n*(l.costs.elementFloat-l.costs.fusedFloat)))
		}
	}
}

// fuses reports whether a float Add takes in the convolution that makes value.
func (l *labelling) fuses(value string, u *unit) bool {
	p, ok := l.producer[value]
	return ok && u.node.OpType == "Add" && u.role == kernel && l.units[p].node.OpType == "Conv" && l.units[p].act == nil && len(l.users[value]) == 1
}
