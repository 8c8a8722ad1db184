package eval

import (
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/dataset"
)

// pairOf returns a classifier, one that errs more, and n samples of which the first
// decides about four in five rightly.
func pairOf(t testing.TB, n, classes int) (m, worse function, set *dataset.Set, rows [][]float32, labels []int) {
	t.Helper()
	r := rand.New(rand.NewPCG(21, uint64(n)))
	rows, labels = randomRows(r, n, classes), make([]int, n)
	for i := range labels {
		if labels[i] = argmax(rows[i]); r.IntN(5) == 0 {
			labels[i] = r.IntN(classes)
		}
	}
	m = echo(-1, int64(classes))
	worse = m.with(func(v []float32) {
		for at := 0; at < len(v); at += classes {
			v[at] += 1.5
		}
	})
	return m, worse, labelled(t, m, rows, labels), rows, labels
}

// Accuracy and F1 of two classifiers, decisions and discordant pairs, by counting.
func TestAgainstClasses(t *testing.T) {
	m, worse, set, rows, labels := pairOf(t, 300, 3)
	var same, lost, gained, before, after int
	for i, row := range rows {
		other := append([]float32(nil), row...)
		other[0] += 1.5
		a, b := argmax(row), argmax(other)
		if a == b {
			same++
		}
		if a == labels[i] {
			before++
			if b != labels[i] {
				lost++
			}
		}
		if b == labels[i] {
			after++
			if a != labels[i] {
				gained++
			}
		}
	}
	for _, batch := range []int{1, 64, 0} {
		k, err := Against(bg, m, worse, set, Options{Batch: batch})
		if err != nil {
			t.Fatal(err)
		}
		wantNear(t, "retention", *k.Retention, float64(after)/float64(before), 1e-12)
		if *k.Agreement != (Decisions{same, 300, Samples}) || k.McNemar.Lost != lost || k.McNemar.Gained != gained {
			t.Errorf("%+v, %+v; want %d equal, %d lost, %d gained", k.Agreement, k.McNemar, same, lost, gained)
		}
		if k.McNemar.P > 1e-3 || k.McNemar.P != signTest(min(lost, gained), lost+gained) {
			t.Errorf("p = %v of %d against %d", k.McNemar.P, lost, gained)
		}
		if !(k.Interval.Low < *k.Retention && *k.Retention < k.Interval.High && k.Interval.High < 1) {
			t.Errorf("interval %+v of %v", k.Interval, *k.Retention)
		}
	}
	k, err := Against(bg, m, worse, set, Options{Metric: F1})
	if err != nil || k.McNemar != nil || k.Divergence != nil || k.Agreement.Same != same {
		t.Fatalf("%+v, %v", k, err)
	}
	wantNear(t, "retention of f1", *k.Retention, k.Value/k.Reference.Value, 1e-12)
	if !(k.Interval.Low < *k.Retention && *k.Retention < k.Interval.High) {
		t.Errorf("interval %+v of %v", k.Interval, *k.Retention)
	}
}

// The paired interval is much narrower than the two accuracies would give apart: the
// samples that both decide alike tell nothing about the difference.
func TestIntervalIsPaired(t *testing.T) {
	m, worse, set, _, _ := pairOf(t, 400, 4)
	k, err := Against(bg, m, worse, set, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := k.Reference.Value, k.Value
	apart := 2 * 1.96 * *k.Retention * math.Sqrt((1-a)/(a*400)+(1-b)/(b*400))
	if width := k.Interval.High - k.Interval.Low; width > 0.85*apart {
		t.Errorf("width %v, of independent samples %v", width, apart)
	}
}

// A model and itself keep everything, for certain, in every metric that keeps.
func TestAgainstItself(t *testing.T) {
	m, _, set, _, _ := pairOf(t, 60, 3)
	for _, metric := range []string{Accuracy, F1, Cosine, Agreement} {
		k, err := Against(bg, m, m, set, Options{Metric: metric, Batch: 0})
		if err != nil || *k.Retention != 1 || k.Interval == nil || *k.Interval != (Interval{1, 1}) || k.Agreement.Share() != 1 {
			t.Errorf("%s: %+v, %v", metric, k, err)
		}
		if metric == Accuracy && *k.McNemar != (McNemar{0, 0, 1}) {
			t.Errorf("%+v", k.McNemar)
		}
	}
	k, err := Against(bg, m, m, set, Options{Metric: MSE})
	if err != nil || k.Retention != nil || k.Interval != nil {
		t.Errorf("mse: %+v, %v", k, err)
	}
}

// scored opens n pairs with scores near what echo answers.
func scored(t *testing.T, m Model, n int) *dataset.Set {
	r := rand.New(rand.NewPCG(31, 31))
	list := make([]map[string]any, n)
	for i := range list {
		x := r.NormFloat64()
		list[i] = map[string]any{"x": []float64{x}, "score": x + r.NormFloat64()*0.3}
	}
	return records(t, m, list...)
}

func TestAgainstSpearman(t *testing.T) {
	m := echo(-1, 1)
	worse := m.with(func(v []float32) {
		for i, x := range v {
			v[i] += float32(math.Sin(float64(x) * 50))
		}
	})
	set := scored(t, m, 120)
	k, err := Against(bg, m, worse, set, Options{})
	if err != nil || k.Metric != Spearman || k.Agreement != nil {
		t.Fatalf("%+v, %v", k, err)
	}
	if !(0 < *k.Retention && *k.Retention < 1 && k.Interval.Low < *k.Retention && *k.Retention < k.Interval.High) {
		t.Errorf("retention %v, interval %+v", *k.Retention, k.Interval)
	}
	again, err := Against(bg, m, worse, set, Options{Batch: 7})
	if err != nil || *again.Interval != *k.Interval {
		t.Errorf("%+v, then %+v, %v", k.Interval, again.Interval, err)
	}
	same, err := Against(bg, m, m, set, Options{})
	if err != nil || *same.Retention != 1 || *same.Interval != (Interval{1, 1}) {
		t.Errorf("itself: %+v, %v", same, err)
	}
}

// Cosine and agreement are means over the samples, and so is their interval.
func TestAgainstCosine(t *testing.T) {
	m, worse, set, _, _ := pairOf(t, 200, 5)
	for _, metric := range []string{Cosine, Agreement} {
		k, err := Against(bg, m, worse, set, Options{Metric: metric})
		if err != nil || k.Reference != nil || *k.Retention != k.Value {
			t.Fatalf("%s: %+v, %v", metric, k, err)
		}
		if !(k.Interval.Low < k.Value && k.Value < k.Interval.High) || k.Interval.High-k.Interval.Low > 0.3 {
			t.Errorf("%s: interval %+v of %v", metric, k.Interval, k.Value)
		}
	}
}

// More samples, a narrower interval; of one there is none.
func TestIntervalShrinks(t *testing.T) {
	width := func(n int) float64 {
		m, worse, set, _, _ := pairOf(t, n, 3)
		k, err := Against(bg, m, worse, set, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return k.Interval.High - k.Interval.Low
	}
	if few, many := width(60), width(960); many > few/2 {
		t.Errorf("width %v of 60 samples, %v of 960", few, many)
	}
	m := echo(-1, 2)
	k, err := Against(bg, m, m, labelled(t, m, [][]float32{{1, 0}}, []int{0}), Options{})
	if err != nil || k.Interval != nil || *k.Retention != 1 {
		t.Errorf("one sample: %+v, %v", k, err)
	}
}

func TestAgainstErrors(t *testing.T) {
	m := echo(-1, 2)
	wrong := labelled(t, m, [][]float32{{1, 0}, {1, 0}}, []int{1, 1})
	_, err := Against(bg, m, m, wrong, Options{})
	wantError(t, err, true, "nothing to retain")
	_, err = Against(bg, m, m, wrong, Options{Metric: "recall"})
	wantError(t, err, false, `unknown metric "recall"`)
	_, err = Against(bg, m, m, wrong, Options{Metric: Spearman})
	wantError(t, err, true, "needs scores")
	other := echo(-1, 2)
	other.out[0].Dims = []int64{-1}
	_, err = Against(bg, m, other, wrong, Options{})
	wantError(t, err, false, "the result", "no output [batch, classes]")
}
