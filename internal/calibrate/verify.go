package calibrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"optim/internal/dataset"
	"optim/internal/eval/nodediff"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
)

// LeastCosine is the cosine with the float model's that every output of a
// static result must keep: below it, units go back to float.
const LeastCosine = 0.99

// VerifySamples is the number of samples that Verify needs: the noise of
// rounding is much the same in all of them.
const VerifySamples = 4

// Rounds bounds how often a placement is corrected.
const Rounds = 4

// Loss is what a static placement costs: expected noise comes from each
// activation alone, and does not show what the layers behind make of it.
type Loss struct {
	Output  string            // the graph output that lost most; empty: none was compared
	Cosine  float64           // of it, with the float model's
	Hurting map[string]string // units that add most noise, by label, with the reason; empty where LeastCosine is kept
}

// Verify runs a prepared model and what quant.Quantize made of it over a set,
// and finds the integer units that hurt the outputs. Same models and samples,
// same units.
func Verify(ctx context.Context, rt *ort.Runtime, prepared, quantized *onnx.Model, plan *quant.Plan, set *dataset.Set, session ort.Options) (Loss, error) {
	list, err := nodediff.Compare(ctx, rt, prepared, quantized, set, nodediff.Options{Session: session})
	if errors.Is(err, nodediff.ErrNothingShared) {
		return Loss{Cosine: 1}, nil
	}
	if err != nil {
		return Loss{}, fmt.Errorf("verify: %w", err)
	}
	diffs := make(map[string]nodediff.Diff, len(list))
	for _, d := range list {
		diffs[d.Value] = d
	}
	loss := worstOutput(prepared.Graph, diffs)
	if loss.Cosine < LeastCosine {
		loss.Hurting = hurting(plan.Integer, diffs)
	}
	return loss, nil
}

// worstOutput finds the graph output of least cosine. One that is not finite
// in the float model either says nothing.
func worstOutput(g *onnx.Graph, diffs map[string]nodediff.Diff) Loss {
	loss := Loss{Cosine: 1}
	for _, o := range g.Outputs {
		d, ok := diffs[o.Name]
		if ok && finite(d.Signal) && d.Cosine < loss.Cosine {
			loss.Output, loss.Cosine = o.Name, d.Cosine
		}
	}
	return loss
}

func finite(x float64) bool { return x-x == 0 }

// blamed is a unit with the noise that it adds: noise to signal of its outputs
// less that of its inputs.
type blamed struct {
	node  string
	added float64
	sqnr  float64 // of its worst output, in dB
}

func (b blamed) reason() string {
	if math.IsInf(b.sqnr, -1) {
		return "its output is not finite in integers"
	}
	return fmt.Sprintf("its output loses too much in integers: %.1f dB of signal to noise", b.sqnr)
}

// hurting returns the units that add half of all noise, the worst first, but
// never more than a quarter of all: the next round sees what is left.
func hurting(units []quant.IntegerUnit, diffs map[string]nodediff.Diff) map[string]string {
	var list []blamed
	total := 0.0
	for _, u := range units {
		out := noise(u.Outputs, diffs)
		added := out - noise(u.Inputs, diffs)
		if u.Moves || !(added > 0) {
			continue
		}
		added = min(added, math.MaxFloat32) // an output that is not finite counts as very much
		list = append(list, blamed{u.Node, added, -10 * math.Log10(out)})
		total += added
	}
	slices.SortStableFunc(list, func(a, b blamed) int { return cmp.Compare(b.added, a.added) })
	out := map[string]string{}
	sum := 0.0
	for i, b := range list {
		if sum >= total/2 || i > 0 && 4*i >= len(units) {
			break
		}
		sum += b.added
		out[b.node] = b.reason()
	}
	return out
}

// noise is the greatest ratio of noise to signal among values; those that were
// not compared, as inputs of the graph, have none.
func noise(values []string, diffs map[string]nodediff.Diff) float64 {
	worst := 0.0
	for _, v := range values {
		if d, ok := diffs[v]; ok && d.Signal > 0 {
			worst = max(worst, d.Noise/d.Signal)
		}
	}
	return worst
}
