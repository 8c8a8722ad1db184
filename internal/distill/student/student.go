// Package student makes a smaller network out of a given one: fewer layers, and of
// every group of channels, neurons and heads a part. It has the same inputs and outputs,
// and begins with the weights that were kept, or anew.
package student

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/opset"
	"optim/internal/ort"
	"optim/internal/prune"
)

// Options say how a student is made.
type Options struct {
	Factor  float64 // by which layers and units are divided; above 1
	Random  bool    // weights anew instead of the teacher's
	Seed    uint64
	Session ort.Options
}

// Report says what became of a model.
type Report struct {
	Before, After int64    // parameters
	Layers        [2]int   // before and after; 0 where none repeat
	Kept          []int    // layers kept, from 0
	Groups        []Change // by size before
	Notes         []string
}

// Change is what became of some groups of the same size.
type Change struct {
	Groups        int
	Before, After int // units of each
}

// Ratio is the number of parameters before by that after.
func (r Report) Ratio() float64 { return float64(r.Before) / float64(max(r.After, 1)) }

// Reduce makes m, which is changed, the student of the model it was.
func Reduce(ctx context.Context, rt *ort.Runtime, m *onnx.Model, o Options) (Report, error) {
	var r Report
	if o.Factor <= 1 || math.IsInf(o.Factor, 0) || math.IsNaN(o.Factor) {
		return r, fmt.Errorf("cannot divide by %v", o.Factor)
	}
	if _, err := opset.Upgrade(m, 13); err != nil {
		return r, err
	}
	if _, err := fold.Simplify(m); err != nil {
		return r, err
	}
	r.Before = parameters(m)
	r.layers(m, o.Factor)
	if err := r.units(ctx, rt, m, o); err != nil {
		return r, err
	}
	r.After = parameters(m)
	if r.After == r.Before {
		return r, fmt.Errorf("nothing in this model can be divided by %v", o.Factor)
	}
	if o.Random {
		if err := initialize(m, o.Seed); err != nil {
			return r, err
		}
	}
	return r, nil
}

func parameters(m *onnx.Model) int64 {
	n := int64(0)
	for _, w := range m.Graph.Initializers {
		if w.DType.IsFloat() {
			n += w.Elements()
		}
	}
	return n
}

// divided is the number nearest to n/factor, and at least 1.
func divided(n int, factor float64) int { return max(1, int(math.Round(float64(n)/factor))) }

// layers takes layers out, so that those that stay are spread evenly, with the first and
// the last among them where there are two.
func (r *Report) layers(m *onnx.Model, factor float64) {
	list := prune.Layers(m.Graph)
	if len(list) < 2 {
		if attends(m) {
			r.Notes = append(r.Notes, "no layers repeat from one value to the next: all stay")
		}
		return
	}
	keep := divided(len(list), factor)
	r.Layers = [2]int{len(list), keep}
	r.Kept = spread(len(list), keep)
	for i, l := range list {
		if !slices.Contains(r.Kept, i) {
			prune.Bypass(m.Graph, l)
			// What read the end of this layer may be the next one's beginning.
			for j := range list[i+1:] {
				if list[i+1+j].Begin == l.End {
					list[i+1+j].Begin = l.Begin
				}
			}
		}
	}
	if exact := float64(len(list)) / factor; exact != float64(keep) {
		r.Notes = append(r.Notes, fmt.Sprintf("%d layers do not divide by %v: %d stay", len(list), factor, keep))
	}
}

// spread picks k of n places, evenly, ends included.
func spread(n, k int) []int {
	if k == 1 {
		return []int{0}
	}
	var out []int
	for i := range k {
		out = append(out, int(math.Round(float64(i)*float64(n-1)/float64(k-1))))
	}
	return out
}

// units removes the least important part of every group.
func (r *Report) units(ctx context.Context, rt *ort.Runtime, m *onnx.Model, o Options) error {
	in, other, err := prune.Samples(ctx, rt, m, o.Session)
	if err != nil {
		return err
	}
	gs, err := prune.Find(ctx, rt, m, in, other, o.Session)
	if err != nil {
		return err
	}
	drop := map[*prune.Group][]int{}
	for _, g := range gs.List {
		n := g.Units()
		keep := divided(n, o.Factor)
		if keep == n {
			continue
		}
		score, err := gs.L2(g)
		if err != nil {
			return err
		}
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
		drop[g] = order[keep:]
		r.note(n, keep, o.Factor)
	}
	heads := slices.ContainsFunc(gs.List, func(g *prune.Group) bool { return gs.KindOf(g) == prune.Heads })
	if !heads && attends(m) {
		r.Notes = append(r.Notes, "heads of attention stay: something that cannot be cut, as a cache that the model takes, has their number")
	}
	return gs.Remove(drop)
}

// attends reports whether something reads a softmax.
func attends(m *onnx.Model) bool {
	index := onnx.NewIndex(m.Graph)
	return slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Is("Softmax") && len(index.Consumers(n.Output(0))) > 0 })
}

func (r *Report) note(before, after int, factor float64) {
	if exact := float64(before) / factor; exact != float64(after) {
		note := fmt.Sprintf("%d units do not divide by %v: %d stay", before, factor, after)
		if !slices.Contains(r.Notes, note) {
			r.Notes = append(r.Notes, note)
		}
	}
	for i := range r.Groups {
		if r.Groups[i].Before == before && r.Groups[i].After == after {
			r.Groups[i].Groups++
			return
		}
	}
	r.Groups = append(r.Groups, Change{1, before, after})
}
