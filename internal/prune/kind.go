package prune

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"optim/internal/onnx"
)

// Kind is what the units of a group are.
type Kind int

// The kinds: channels of convolutions and neurons of layers; heads of attention; the
// width of a residual stream, which normalizations see as a whole.
const (
	Channels Kind = iota
	Heads
	Width
)

// KindOf tells what a group's units are. A head owns several indices of every weight that
// it has a part in; a width is normalized.
func (gs *Groups) KindOf(g *Group) Kind {
	for _, n := range gs.model.Graph.Nodes {
		if n.Is("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization") &&
			slices.ContainsFunc(g.Members, func(m Member) bool { return m.Weight == n.Input(1) }) {
			return Width
		}
		if n.Is("Conv", "ConvTranspose") && groupsOf(n) > 1 && gs.t.shape(n.Input(1))[1] > 1 &&
			slices.ContainsFunc(g.Members, func(m Member) bool { return m.Weight == n.Input(1) }) {
			return Channels
		}
	}
	for _, m := range g.Members {
		if len(m.Of[0]) < 2 {
			return Channels
		}
	}
	return Heads
}

// Lowest lists the units to be removed from a group that had first units, for a sparsity of
// these: ⌊first·sparsity⌋ have gone then, of the lowest scores, ties by index, and no more
// than leave a multiple of round (where there were so many) and one unit at least.
func Lowest(score []float64, first int, sparsity float64, round int) []int {
	keep := first - int(math.Floor(float64(first)*sparsity+1e-9))
	if round > 1 && first >= round {
		keep = min((keep+round-1)/round*round, first)
	}
	return LowestOf(score, max(len(score)-max(keep, 1), 0))
}

// LowestOfAll is Lowest over several groups together: units are compared by the share that
// their score has in the mean of their group (as DepGraph does), and ⌊n·sparsity⌋ of the n
// that all groups had at first have gone then, but for those that leave a multiple of round.
func LowestOfAll(scores map[*Group][]float64, first func(*Group) int, sparsity float64, round int) map[*Group][]int {
	var all []float64
	total, left := 0, 0
	for g, score := range scores {
		mean := floats.Sum(score) / float64(len(score))
		for _, s := range score {
			all = append(all, s/max(mean, math.SmallestNonzeroFloat64))
		}
		total, left = total+first(g), left+len(score)
	}
	slices.Sort(all)
	gone := int(math.Floor(float64(total)*sparsity+1e-9)) - (total - left)
	if gone <= 0 || gone >= len(all) {
		return nil
	}
	limit := all[gone] // the least that stays
	out := map[*Group][]int{}
	for g, score := range scores {
		mean, below := floats.Sum(score)/float64(len(score)), 0
		for _, s := range score {
			if s/max(mean, math.SmallestNonzeroFloat64) < limit {
				below++
			}
		}
		out[g] = Lowest(score, len(score), float64(below)/float64(len(score)), round)
	}
	return out
}

// SparsityAt is the sparsity after step k of n on the way to a target: even steps, or those
// of Zhu and Gupta (To Prune, or Not to Prune), which begin large: target·(1 − (1 − k/n)³).
func SparsityAt(k, n int, target float64, schedule string) float64 {
	done := float64(k) / float64(n)
	switch {
	case k >= n:
		return target
	case schedule == "linear":
		return target * done
	}
	return target * (1 - math.Pow(1-done, 3))
}

// Below lists the units whose score is below a share of the greatest; one stays.
func Below(score []float64, share float64) []int {
	limit := share * slices.Max(score)
	count := 0
	for _, s := range score {
		if s < limit {
			count++
		}
	}
	return LowestOf(score, min(count, len(score)-1))
}

// LowestOf lists the places of the count lowest scores, in order.
func LowestOf(score []float64, count int) []int {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[a], score[b]) })
	out := order[:count]
	slices.Sort(out)
	return out
}

// Touched lists the nodes that read a weight of one of the groups.
func (gs *Groups) Touched(groups map[*Group][]int) []*onnx.Node {
	names := map[string]bool{}
	for g := range groups {
		for _, m := range g.Members {
			names[m.Weight] = true
		}
	}
	var out []*onnx.Node
	for _, n := range gs.model.Graph.Nodes {
		if slices.ContainsFunc(n.Inputs, func(v string) bool { return names[v] }) {
			out = append(out, n)
		}
	}
	return out
}
