// Package prune finds what of a network can be removed together, and removes it: the
// channels, neurons and heads that belong to each other through any number of operators
// (dependency groups, after Fang et al., DepGraph: Towards Any Structural Pruning), and
// whole layers. What is removed is gone from the graph: weights, biases, normalizations
// and the shapes that the graph speaks of get smaller.
package prune

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Member is a weight that takes part in a group: unit u owns the indices Of[u] of its
// axis.
type Member struct {
	Weight string
	Axis   int
	Of     [][]int64
}

// Group is a number of units of one kind that can be removed one by one: the channels
// of a stage, the neurons of a layer, the heads of an attention, the width of a
// residual stream.
type Group struct {
	Members []Member // by weight and axis
	// Key tells the group from others, and stays when units go: its weights and axes, and
	// how many of their indices a unit owns.
	Key   string
	roots []int32
}

// Units returns how many units the group has.
func (g *Group) Units() int { return len(g.roots) }

// Name is the first weight of the group.
func (g *Group) Name() string { return g.Members[0].Weight }

// Groups are all groups of a model, the largest number of members first.
type Groups struct {
	List []*Group
	// Locked tells of each weight's axis that cannot be cut why, by "weight[axis]".
	Locked map[string]string

	model *onnx.Model
	t     *tracker
}

// Find analyses a model of opset 13 or later whose constants are folded. The model is
// run with two inputs of different sizes, which tell the shapes of all values and which
// numbers in shapes depend on the sizes of inputs.
func Find(ctx context.Context, rt *ort.Runtime, m *onnx.Model, in, other map[string]tensor.Tensor, o ort.Options) (*Groups, error) {
	types, ints, err := autodiff.Trace(ctx, rt, m, in, o)
	if err != nil {
		return nil, err
	}
	_, varied, err := autodiff.Trace(ctx, rt, m, other, o)
	if err != nil {
		return nil, err
	}
	t := newTracker(types, ints, varied)
	t.walk(m.Graph)
	gs := &Groups{Locked: map[string]string{}, model: m, t: t}
	gs.collect()
	return gs, nil
}

// place is an index of a weight's axis.
type place struct {
	weight string
	axis   int
	index  int64
}

// collect sorts the classes of labels into groups.
func (gs *Groups) collect() {
	places := map[int32][]place{}
	for _, w := range gs.model.Graph.Initializers {
		for axis, l := range gs.t.axes[w.Name] {
			for i, x := range l {
				r := gs.t.root(x)
				if why := gs.t.locked[r]; why != "" {
					if why == kernelPlace {
						continue
					}
					gs.Locked[fmt.Sprintf("%s[%d]", w.Name, axis)] = why
					continue
				}
				places[r] = append(places[r], place{w.Name, axis, int64(i)})
			}
		}
	}
	roots := make([]int32, 0, len(places))
	for r := range places {
		roots = append(roots, r)
	}
	slices.Sort(roots)
	byKind := map[string]*Group{}
	for _, r := range roots {
		k := kind(places[r])
		g := byKind[k]
		if g == nil {
			g = &Group{Key: k}
			byKind[k] = g
			gs.List = append(gs.List, g)
		}
		g.add(r, places[r])
	}
	slices.SortStableFunc(gs.List, func(a, b *Group) int {
		return cmp.Or(len(b.Members)-len(a.Members), strings.Compare(a.Name(), b.Name()))
	})
}

// kind is equal for units that own as many indices of the same axes.
func kind(list []place) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		j := i
		for j < len(list) && list[j].weight == list[i].weight && list[j].axis == list[i].axis {
			j++
		}
		fmt.Fprintf(&b, "%q %d %d;", list[i].weight, list[i].axis, j-i)
		i = j
	}
	return b.String()
}

func (g *Group) add(root int32, list []place) {
	g.roots = append(g.roots, root)
	for _, p := range list {
		at := slices.IndexFunc(g.Members, func(m Member) bool { return m.Weight == p.weight && m.Axis == p.axis })
		if at < 0 {
			at = len(g.Members)
			g.Members = append(g.Members, Member{Weight: p.weight, Axis: p.axis})
		}
		m := &g.Members[at]
		for len(m.Of) < len(g.roots) {
			m.Of = append(m.Of, nil)
		}
		m.Of[len(g.roots)-1] = append(m.Of[len(g.roots)-1], p.index)
	}
}
