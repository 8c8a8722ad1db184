package calibrate

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"optim/internal/eval/nodediff"
	"optim/internal/onnx"
	"optim/internal/quant"
)

// chain is units of one input and one output each, "v0" to "v1" and so on.
func chain(n int) []quant.IntegerUnit {
	var out []quant.IntegerUnit
	name := func(i int) []string { return []string{"v" + string(rune('0'+i))} }
	for i := range n {
		out = append(out, quant.IntegerUnit{Node: "n" + string(rune('0'+i)), Inputs: name(i), Outputs: name(i + 1)})
	}
	return out
}

// noises gives the values of a chain their ratios of noise to signal.
func noises(ratios ...float64) map[string]nodediff.Diff {
	out := map[string]nodediff.Diff{}
	for i, r := range ratios {
		out["v"+string(rune('1'+i))] = nodediff.Diff{Signal: 2, Noise: 2 * r}
	}
	return out
}

// TestHurting: noise counts where it is added, not where it is passed on.
func TestHurting(t *testing.T) {
	for _, c := range []struct {
		name   string
		noise  []float64
		moves  int // unit that moves values; -1: none
		want   string
		reason string
	}{
		{"one culprit", []float64{0.001, 0.2, 0.2, 0.19, 0.201, 0.202, 0.202, 0.202}, -1, "n1", "7.0 dB"},
		{"worst first, until half is found", []float64{0.3, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6}, -1, "n0", "5.2 dB"},
		{"no more than a quarter", []float64{0.1, 0.19, 0.27, 0.34, 0.4, 0.45, 0.49, 0.52}, -1, "n0 n1", ""},
		{"one at least", []float64{0.1, 0.2}, -1, "n0", "10.0 dB"},
		{"what moves adds none", []float64{0.001, 0.2, 0.2005}, 1, "n0", ""},
		{"not finite", []float64{0.1, math.Inf(1), math.Inf(1), math.Inf(1)}, -1, "n1", "not finite"},
		{"no noise", []float64{0, 0, 0}, -1, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			units := chain(len(c.noise))
			if c.moves >= 0 {
				units[c.moves].Moves = true
			}
			got := hurting(units, noises(c.noise...))
			if names := strings.Join(slices.Sorted(maps.Keys(got)), " "); names != c.want {
				t.Fatalf("units %q hurt, want %q", names, c.want)
			}
			for _, reason := range got {
				if !strings.Contains(reason, c.reason) {
					t.Errorf("reason %q lacks %q", reason, c.reason)
				}
			}
		})
	}
}

// TestWorstOutput: outputs that were not compared, or that are infinite in the
// float model, do not count.
func TestWorstOutput(t *testing.T) {
	g := &onnx.Graph{Outputs: []*onnx.ValueInfo{{Name: "a"}, {Name: "b"}, {Name: "ids"}, {Name: "masked"}}}
	got := worstOutput(g, map[string]nodediff.Diff{
		"a": {Signal: 1, Cosine: 0.999}, "b": {Signal: 1, Cosine: 0.97}, "masked": {Signal: math.Inf(1), Cosine: 0}, "inner": {Signal: 1, Cosine: 0.5},
	})
	if got.Output != "b" || got.Cosine != 0.97 {
		t.Errorf("output %q with %v, want b with 0.97", got.Output, got.Cosine)
	}
	if none := worstOutput(g, nil); none.Cosine != 1 || none.Output != "" {
		t.Errorf("without a comparison: %+v", none)
	}
}
