package prune

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestHeadScores: a head's score is the sum over its columns of the queries', keys' and
// values' weights, and its rows of the projection behind them (Michel et al., Are Sixteen
// Heads Really Better than One?, where the scores are those of gradients).
func TestHeadScores(t *testing.T) {
	const width, heads = 128, 4
	m := load(t, want{model: "tinygpt-s/tinygpt-s.onnx"})
	gs, _ := find(t, m)
	r := rand.New(rand.NewPCG(3, 9))
	scores := map[string][]float32{}
	for _, w := range Matrices(m.Graph, false) {
		s := make([]float32, w.Tensor.Elements())
		for i := range s {
			s[i] = r.Float32()
		}
		scores[w.Tensor.Name] = s
	}
	found := 0
	for _, g := range gs.List {
		if gs.KindOf(g) != Heads {
			continue
		}
		found++
		var want [heads]float64
		for _, member := range g.Members {
			s := scores[member.Weight]
			shape := m.Graph.Initializer(member.Weight).Shape
			for i, x := range s {
				row, column := i/int(shape[1]), i%int(shape[1])
				switch {
				case strings.Contains(member.Weight, "c_attn"): // [width, 3·width]
					want[column%width/(width/heads)] += float64(x)
				case strings.Contains(member.Weight, "c_proj"): // [width, width]
					want[row/(width/heads)] += float64(x)
				default:
					t.Fatalf("%q is a member", member.Weight)
				}
			}
		}
		for h, got := range gs.ScoreBy(g, scores) {
			if math.Abs(got-want[h]) > 1e-6*want[h] || want[h] == 0 {
				t.Errorf("head %d of %q: %g, not %g", h, g.Name(), got, want[h])
			}
		}
	}
	if found != 2 {
		t.Errorf("%d attentions, not 2", found)
	}
}

// TestLowestOfAll: of all units together those go that count least in their group.
func TestLowestOfAll(t *testing.T) {
	a, b := &Group{}, &Group{}
	scores := map[*Group][]float64{a: {1, 1, 1, 1}, b: {100, 20, 60, 220}} // b by shares of its mean: 1, 0.2, 0.6, 2.2
	first := func(*Group) int { return 4 }
	got := LowestOfAll(scores, first, 0.25, 1)
	if len(got[a]) != 0 || !slices.Equal(got[b], []int{1, 2}) {
		t.Errorf("%v and %v go", got[a], got[b])
	}
	if got := LowestOfAll(scores, first, 0.25, 4); len(got[b]) != 0 {
		t.Errorf("%v go, and no multiple of 4 stays", got[b])
	}
	if got := LowestOfAll(scores, func(*Group) int { return 5 }, 0.2, 1); len(got[a])+len(got[b]) != 0 {
		t.Errorf("%v go, though as many are gone", got)
	}
	if got := LowestOfAll(nil, first, 0.5, 1); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
