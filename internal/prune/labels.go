package prune

import (
	"slices"

	"optim/internal/autodiff"
	"optim/internal/onnx"
)

// labels name the indices of an axis: indices whose labels are joined can only be
// removed together. nil: nothing can be removed from this axis.
type labels []int32

// tracker follows indices of axes through a graph. All labels lie in one union-find,
// so that what is coupled through any number of operators ends in one class.
type tracker struct {
	types  map[string]autodiff.Type
	ints   map[string][]int64
	other  map[string][]int64  // integers of a run with other sizes
	axes   map[string][]labels // of each value
	parent []int32
	locked []string // why the class of a root cannot be removed; empty: it can
	at     string   // node that is looked at, for reasons
}

func newTracker(types map[string]autodiff.Type, ints, other map[string][]int64) *tracker {
	return &tracker{types: types, ints: ints, other: other, axes: map[string][]labels{}}
}

// varies reports whether integers depend on the sizes of inputs.
func (t *tracker) varies(v string) bool { return !slices.Equal(t.ints[v], t.other[v]) }

func (t *tracker) shape(v string) []int64 { return t.types[v].Shape }

// fresh returns n new labels.
func (t *tracker) fresh(n int64) labels {
	out := make(labels, n)
	for i := range out {
		out[i] = int32(len(t.parent))
		t.parent = append(t.parent, out[i])
		t.locked = append(t.locked, "")
	}
	return out
}

func (t *tracker) root(x int32) int32 {
	for t.parent[x] != x {
		t.parent[x] = t.parent[t.parent[x]]
		x = t.parent[x]
	}
	return x
}

func (t *tracker) join(a, b int32) {
	a, b = t.root(a), t.root(b)
	if a == b {
		return
	}
	if a > b {
		a, b = b, a
	}
	t.parent[b] = a
	if t.locked[a] == "" {
		t.locked[a] = t.locked[b]
	}
}

// lock keeps what the labels name.
func (t *tracker) lock(why string, list ...labels) {
	if t.at != "" {
		why = t.at + ": " + why
	}
	for _, l := range list {
		for _, x := range l {
			if r := t.root(x); t.locked[r] == "" {
				t.locked[r] = why
			}
		}
	}
}

// joinAll joins two axes index by index. One of which nothing can be removed keeps the
// other one whole.
func (t *tracker) joinAll(a, b labels) labels {
	switch {
	case a == nil:
		t.lock("it meets an axis that stays", b)
		return nil
	case b == nil:
		t.lock("it meets an axis that stays", a)
		return nil
	case len(a) != len(b):
		t.lock("it meets an axis of another size", a, b)
		return nil
	}
	for i := range a {
		t.join(a[i], b[i])
	}
	return a
}

// of returns the labels of a value's axes; those of a value that was not seen are nil.
func (t *tracker) of(v string) []labels {
	if a, ok := t.axes[v]; ok {
		return a
	}
	return make([]labels, len(t.shape(v)))
}

// axis is the labels of one axis, counted from the end if negative.
func (t *tracker) axis(v string, i int) labels {
	a := t.of(v)
	if i < 0 {
		i += len(a)
	}
	if i < 0 || i >= len(a) {
		return nil
	}
	return a[i]
}

func (t *tracker) set(v string, a []labels) {
	if v != "" {
		t.axes[v] = a
	}
}

// weights gives the axes of initializers of real numbers their labels.
func (t *tracker) weights(g *onnx.Graph) {
	for _, w := range g.Initializers {
		if !w.DType.IsFloat() || w.Elements() < 2 {
			continue
		}
		axes := make([]labels, len(w.Shape))
		for i, n := range w.Shape {
			if n > 1 {
				axes[i] = t.fresh(n)
			}
		}
		t.axes[w.Name] = axes
	}
}

// lockValue keeps all axes of a value.
func (t *tracker) lockValue(v, why string) { t.lock(why, t.of(v)...) }

// full returns the labels of an axis of size n, new and locked ones where it has none.
func (t *tracker) full(l labels, n int64) labels {
	if l == nil {
		l = t.fresh(n)
		t.lock("it is joined to an axis that stays", l)
	}
	return l
}
