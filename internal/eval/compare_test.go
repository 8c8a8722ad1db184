package eval

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Cosine, mse and SQNR against the tensor package, agreement against counting.
func TestCompare(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	m := echo(-1, 6)
	rows := randomRows(r, 25, 6)
	change := func(v []float32) {
		for i := range v {
			v[i] += float32(math.Sin(float64(v[i]) * 40))
		}
	}
	noisy := m.with(change)
	set := labelled(t, m, rows, nil)
	cos, worst, agreed := 0.0, 2.0, 0
	var all, changed []float32
	for _, row := range rows {
		other := append([]float32(nil), row...)
		change(other)
		c := tensor.Cosine(row, other)
		cos, worst = cos+c/25, min(worst, c)
		if argmax(row) == argmax(other) {
			agreed++
		}
		all, changed = append(all, row...), append(changed, other...)
	}
	want := map[string]float64{Cosine: cos, "worst_cosine": worst, MSE: tensor.MSE(all, changed),
		"sqnr_db": tensor.SQNR(all, changed), Agreement: float64(agreed) / 25}
	for _, batch := range []int{1, 4} {
		for _, metric := range []string{Auto, Cosine, MSE, Agreement} {
			got, err := Against(bg, m, noisy, set, Options{Metric: metric, Batch: batch})
			if err != nil {
				t.Fatal(err)
			}
			if metric == Auto && got.Metric != Cosine || got.Samples != 25 {
				t.Errorf("%+v", got)
			}
			wantNear(t, got.Metric, got.Value, want[got.Metric], 1e-9)
			for name, v := range want {
				if name != got.Metric {
					wantNear(t, name, got.Extras[name], v, 1e-6)
				}
			}
		}
	}
	same, err := Against(bg, m, m, set, Options{})
	if err != nil || same.Value != 1 || same.Extras[Agreement] != 1 || same.Extras[MSE] != 0 {
		t.Errorf("a model and itself: %+v, %v", same, err)
	}
	if _, there := same.Extras["sqnr_db"]; there {
		t.Error("an infinite figure is not left out")
	}
}

// What is computed on padding does not count, nor do caches.
func TestCompareMasked(t *testing.T) {
	m := language(300)
	other := m
	other.f = func(in map[string]tensor.Tensor) map[string]tensor.Tensor {
		out := m.f(in)
		mask, err := in["attention_mask"].Int64s()
		if err != nil {
			panic(err)
		}
		v, _ := out["logits"].Float32s()
		for i, real := range mask {
			if real == 0 {
				clear(v[i*300 : (i+1)*300])
			}
		}
		out["present.0.key"] = reals([]float32{1}, 1, 1, 1)
		return out
	}
	set := records(t, m,
		map[string]any{"input_ids": []int{1, 2, 3}, "attention_mask": []int{1, 1, 1}},
		map[string]any{"input_ids": []int{4, 5, 6}, "attention_mask": []int{1, 0, 0}},
		map[string]any{"input_ids": []int{7}, "attention_mask": []int{1}})
	for _, batch := range []int{1, 3} {
		got, err := Against(bg, m, other, set, Options{Metric: Cosine, Batch: batch})
		if err != nil {
			t.Fatal(err)
		}
		if got.Value != 1 || got.Extras[MSE] != 0 || got.Extras[Agreement] != 1 {
			t.Errorf("batch %d: %+v", batch, got)
		}
	}
}

// Agreement is per position for logits over positions.
func TestAgreementPerPosition(t *testing.T) {
	m := language(300)
	set := records(t, m, map[string]any{"input_ids": []int{1, 2, 3, 4}})
	got, err := Against(bg, m, m.with(func(v []float32) {
		if len(v) > 12 { // the logits: at the first of four positions another id wins
			v[(argmax(v[:300])+1)%300] = 1000
		}
	}), set, Options{Metric: Agreement})
	if err != nil {
		t.Fatal(err)
	}
	wantNear(t, "agreement", got.Value, 0.75, 1e-15)
}

func TestCompareErrors(t *testing.T) {
	m := echo(-1, 2)
	set := labelled(t, m, make4(), nil)
	nan := m.with(func(v []float32) { v[0] = float32(math.NaN()) })
	_, err := Against(bg, nan, m, set, Options{})
	wantError(t, err, false, "the source", "NaN")
	_, err = Against(bg, m, nan, set, Options{})
	wantError(t, err, false, "the result", "NaN")
	inf := m.with(func(v []float32) { v[0] = float32(math.Inf(1)) })
	_, err = Against(bg, m, inf, set, Options{})
	wantError(t, err, false, "infinite")
	renamed := m
	renamed.out = []ort.Info{info("y", tensor.Float32, -1, 2)}
	_, err = Against(bg, m, renamed, set, Options{})
	wantError(t, err, false, "share no output")
	cut := m
	cut.f = func(in map[string]tensor.Tensor) map[string]tensor.Tensor {
		return map[string]tensor.Tensor{"logits": reals([]float32{0}, 1, 1)}
	}
	_, err = Against(bg, m, cut, set, Options{})
	wantError(t, err, false, "[1x2] in the source and [1x1] in the result")
}

func TestZeroVectors(t *testing.T) {
	for _, tt := range []struct {
		x, y []float32
		want float64
	}{{[]float32{0, 0}, []float32{0, 0}, 1}, {[]float32{0, 0}, []float32{0, 1}, 0}, {[]float32{1, 0}, []float32{-2, 0}, -1}} {
		if got := multiply(tt.x, tt.y).cosine(); got != tt.want {
			t.Errorf("%v, %v: %v, want %v", tt.x, tt.y, got, tt.want)
		}
	}
}

func TestRetention(t *testing.T) {
	tests := []struct {
		metric        string
		before, after float64
		want          float64 // NaN: an error
		data          bool
	}{
		{Accuracy, 0.8, 0.6, 0.75, false},
		{F1, 0.5, 0.6, 1.2, false},
		{Spearman, 0.8, -0.4, -0.5, false},
		{Perplexity, 20, 25, 0.8, false},
		{Cosine, 0, 0.99, 0.99, false},
		{Agreement, 0, 0.9, 0.9, false},
		{Accuracy, 0, 0.5, math.NaN(), true},
		{Spearman, -0.1, 0.5, math.NaN(), true},
		{Perplexity, 0, 5, math.NaN(), false},
		{MSE, 1, 1, math.NaN(), false},
		{Accuracy, math.NaN(), 1, math.NaN(), false},
		{Perplexity, 20, math.Inf(1), math.NaN(), false},
	}
	for _, tt := range tests {
		got, err := Retention(tt.metric, tt.before, tt.after)
		if math.IsNaN(tt.want) {
			var de *dataset.Error
			if err == nil || errors.As(err, &de) != tt.data {
				t.Errorf("%+v: %v, %v", tt, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
		wantNear(t, tt.metric, got, tt.want, 1e-12)
	}
}
