package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/tensor"
)

// probabilities returns softmax in float64.
func probabilities(logits []float32) []float64 {
	p, sum := make([]float64, len(logits)), 0.0
	for i, x := range logits {
		p[i] = math.Exp(float64(x))
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// moment returns mean and standard error by their definitions.
func moment(v []float64) Estimate {
	n, sum, square := float64(len(v)), 0.0, 0.0
	for _, x := range v {
		sum += x
	}
	for _, x := range v {
		square += (x - sum/n) * (x - sum/n)
	}
	return Estimate{sum / n, math.Sqrt(square / (n - 1) / n)}
}

// TestDivergence compares every figure with its definition, over texts of many
// lengths, some padded, at any batch.
func TestDivergence(t *testing.T) {
	const vocab = 61
	m := language(vocab)
	other := m.with(func(v []float32) {
		for i := range v {
			v[i] = v[i]*0.9 + 0.3*float32(math.Sin(float64(i%vocab)))
		}
	})
	r := rand.New(rand.NewPCG(5, 5))
	var list []map[string]any
	var x, y, kl, delta, ratios []float64
	same := 0
	for _, length := range []int{2, 9, 1, 5, 30, 9, 4} {
		ids, mask := make([]int64, length), make([]int64, length)
		for i := range ids {
			ids[i], mask[i] = r.Int64N(vocab), 1
			if length == 5 && i < 2 { // padded on the left
				mask[i] = 0
			}
		}
		list = append(list, map[string]any{"input_ids": ids, "attention_mask": mask})
		logits := m.f(inputsOf(ids, mask))["logits"]
		changed := other.f(inputsOf(ids, mask))["logits"]
		a, _ := logits.Float32s()
		b, _ := changed.Float32s()
		for i := 0; i+1 < length; i++ {
			if mask[i] == 0 || mask[i+1] == 0 {
				continue
			}
			u, v := a[i*vocab:(i+1)*vocab], b[i*vocab:(i+1)*vocab]
			p, q := probabilities(u), probabilities(v)
			d := 0.0
			for k := range p {
				d += p[k] * math.Log(p[k]/q[k])
			}
			next := ids[i+1]
			kl, delta = append(kl, d), append(delta, q[next]-p[next])
			x, y = append(x, -math.Log(p[next])), append(y, -math.Log(q[next]))
			ratios = append(ratios, math.Log(p[next]/q[next]))
			if argmax(u) == argmax(v) {
				same++
			}
		}
	}
	set := records(t, m, list...)
	for _, batch := range []int{0, 1, 3} {
		k, err := Against(bg, m, other, set, Options{Metric: Perplexity, Batch: batch})
		if err != nil {
			t.Fatal(err)
		}
		d := k.Divergence
		equal := func(what string, got, want Estimate) {
			t.Helper()
			wantNear(t, what, got.Value, want.Value, 1e-6*(math.Abs(want.Value)+1e-3))
			wantNear(t, "error of "+what, got.StdErr, want.StdErr, 1e-6*(want.StdErr+1e-3))
		}
		n := len(kl)
		if d.Predictions != n || k.Agreement.Of != n || k.Agreement.Same != same || k.Agreement.Unit != Positions {
			t.Fatalf("%d predictions, agreement %+v, want %d of %d", d.Predictions, k.Agreement, same, n)
		}
		equal("the log ratio", d.LogRatio, moment(ratios))
		equal("KL", Estimate{d.KL.Mean, d.KL.StdErr}, moment(kl))
		equal("Δp", Estimate{d.DeltaP.Mean, d.DeltaP.StdErr}, moment(delta))
		squares := make([]float64, n)
		for i, v := range delta {
			squares[i] = v * v
		}
		root := math.Sqrt(moment(squares).Value)
		equal("RMS", d.RMS, Estimate{root, moment(squares).StdErr / (2 * root)})
		wantNear(t, "the greatest divergence", d.KL.Max, slices.Max(kl), 1e-6)
		wantNear(t, "the least Δp", d.DeltaP.Min, slices.Min(delta), 1e-9)
		wantNear(t, "reference", k.Reference.Value, math.Exp(moment(x).Value), 1e-6)
		wantNear(t, "its error", k.Reference.StdErr, math.Exp(moment(x).Value)*moment(x).StdErr, 1e-6)
		wantNear(t, "difference", d.Difference.Value, math.Exp(moment(y).Value)-math.Exp(moment(x).Value), 1e-6)
		wantNear(t, "same choice", d.SameTop.Value, float64(same)/float64(n), 1e-12)
		wantNear(t, "correlation", *d.Correlation, correlationOf(x, y), 1e-6)
		if !(k.Interval.Low <= *k.Retention && *k.Retention <= k.Interval.High) || k.Interval.Low == k.Interval.High {
			t.Errorf("retention %v in %+v", *k.Retention, k.Interval)
		}
	}
}

func correlationOf(x, y []float64) float64 {
	mx, my := moment(x).Value, moment(y).Value
	xy, xx, yy := 0.0, 0.0, 0.0
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	return xy / math.Sqrt(xx*yy)
}

// TestDivergenceOfItself: nothing differs, and the interval has no width.
func TestDivergenceOfItself(t *testing.T) {
	m := language(40)
	set := records(t, m, map[string]any{"input_ids": []int{1, 2, 3, 4}}, map[string]any{"input_ids": []int{7, 9}})
	k, err := Against(bg, m, m, set, Options{Metric: Perplexity})
	if err != nil {
		t.Fatal(err)
	}
	d := k.Divergence
	if *k.Retention != 1 || *k.Interval != (Interval{1, 1}) || d.LogRatio.Value != 0 || d.SameTop.Value != 1 || d.KL.Max > 1e-12 || d.RMS.Value != 0 {
		t.Errorf("%+v, %+v", k, d)
	}
}

// TestNoDivergence: where one rules out what the other deems possible, or the
// vocabularies differ, there is none, and the note says so.
func TestNoDivergence(t *testing.T) {
	m := language(40)
	set := records(t, m, map[string]any{"input_ids": []int{1, 2, 3, 4}}, map[string]any{"input_ids": []int{7, 9}})
	sure := m.with(func(v []float32) {
		if len(v)%40 == 0 { // the logits
			v[33] = float32(math.Inf(-1))
		}
	})
	k, err := Against(bg, m, sure, set, Options{Metric: Perplexity})
	if err != nil || k.Divergence.KL != nil || len(k.Notes) != 1 {
		t.Errorf("%v, %+v", err, k.Notes)
	}
	if k, err = Against(bg, sure, m, set, Options{Metric: Perplexity}); err != nil || k.Divergence.KL == nil {
		t.Errorf("the other way round: %v, %+v", err, k.Notes)
	}
	k, err = Against(bg, m, language(50), set, Options{Metric: Perplexity})
	if err != nil || k.Divergence.KL != nil || len(k.Notes) != 1 {
		t.Errorf("two vocabularies: %v, %+v", err, k.Notes)
	}
}

// TestSpreadBound: memory is bounded, and quantiles stay near those of all values.
func TestSpreadBound(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	s := spread{most: 1000}
	for range 100_000 {
		s.add(r.Float64())
	}
	if len(s.kept) > 1000 {
		t.Errorf("%d values are kept", len(s.kept))
	}
	got := s.result()
	wantNear(t, "mean", got.Mean, 0.5, 0.005)
	wantNear(t, "p90", got.P90, 0.9, 0.05)
	wantNear(t, "p10", got.P10, 0.1, 0.05)
	if got.Min > 0.001 || got.Max < 0.999 {
		t.Errorf("extremes %v, %v", got.Min, got.Max)
	}
}

// inputsOf are the inputs of a language model for one text.
func inputsOf(ids, mask []int64) map[string]tensor.Tensor {
	shape := tensor.Shape{1, int64(len(ids))}
	return map[string]tensor.Tensor{
		"input_ids": tensor.Of(tensor.Int64, shape, ids), "attention_mask": tensor.Of(tensor.Int64, shape, mask),
	}
}
