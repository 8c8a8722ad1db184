package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

var bg = context.Background()

func randomRows(r *rand.Rand, n, width int) [][]float32 {
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = make([]float32, width)
		for k := range rows[i] {
			rows[i][k] = float32(r.NormFloat64() * 3)
		}
	}
	return rows
}

// Accuracy and F1 against counting by hand, in every batch size.
func TestClasses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, classes := range []int{2, 3, 5} {
		rows := randomRows(r, 41, classes)
		labels := make([]int, len(rows))
		right := 0
		for i := range rows {
			labels[i] = r.IntN(max(classes-1, 2)) // for 3 and more, the last one never occurs
			if argmax(rows[i]) == labels[i] {
				right++
			}
		}
		m := echo(-1, int64(classes))
		set := labelled(t, m, rows, labels)
		for _, batch := range []int{0, 1, 7, 41, 100} {
			acc, err := Run(bg, m, set, Options{Batch: batch})
			if err != nil {
				t.Fatal(err)
			}
			if acc.Metric != Accuracy || acc.Samples != 41 {
				t.Errorf("%+v", acc)
			}
			wantNear(t, "accuracy", acc.Value, float64(right)/41, 1e-15)
			f1, err := Run(bg, m, set, Options{Metric: F1, Batch: batch})
			if err != nil {
				t.Fatal(err)
			}
			wantNear(t, fmt.Sprintf("f1 of %d classes", classes), f1.Value, slowF1(rows, labels, classes), 1e-12)
		}
	}
}

// slowF1 computes precision and recall apart.
func slowF1(rows [][]float32, labels []int, classes int) float64 {
	sum, n := 0.0, 0
	for c := range classes {
		var hit, decided, actual float64
		for i := range rows {
			d, a := argmax(rows[i]) == c, labels[i] == c
			if d {
				decided++
			}
			if a {
				actual++
			}
			if d && a {
				hit++
			}
		}
		f := 0.0
		if hit > 0 {
			p, r := hit/decided, hit/actual
			f = 2 * p * r / (p + r)
		}
		if classes == 2 && c == 1 {
			return f
		}
		if decided+actual > 0 {
			sum, n = sum+f, n+1
		}
	}
	return sum / float64(n)
}

func TestClassErrors(t *testing.T) {
	m := echo(-1, 3)
	rows := [][]float32{{1, 2, 3}, {3, 2, 1}}
	_, err := Run(bg, m, labelled(t, m, rows, []int{0, 3}), Options{})
	wantError(t, err, true, "line 2", "label 3", "classes 0 to 2")
	_, err = Run(bg, m, labelled(t, m, rows, nil), Options{Metric: Accuracy})
	wantError(t, err, true, "metric accuracy needs labels")
	_, err = Run(bg, m, labelled(t, m, rows, nil), Options{Metric: "recall"})
	wantError(t, err, false, `unknown metric "recall"`, "auto, accuracy, f1, perplexity, spearman, cosine, mse, agreement")
	_, err = Run(bg, m, labelled(t, m, rows, nil), Options{})
	wantError(t, err, false, "metric cosine compares two models")
	one := echo(-1, 1)
	_, err = Run(bg, one, labelled(t, one, [][]float32{{1}}, []int{0}), Options{})
	wantError(t, err, false, "[1x1]", "two classes or more")
	bad := m.with(func(v []float32) { v[1] = float32(math.NaN()) })
	_, err = Run(bg, bad, labelled(t, m, rows, []int{0, 0}), Options{})
	wantError(t, err, false, `the model: output "logits" has NaN for line 1 of the data`)
	_, err = Against(bg, m, bad, labelled(t, m, rows, []int{0, 0}), Options{})
	var oe *OutputError
	if !errors.As(err, &oe) || oe.Model != "the result" {
		t.Errorf("%v", err)
	}
}

// A model may answer with the class itself.
func TestClassOutput(t *testing.T) {
	m := echo(-1, 2)
	m.out = []ort.Info{info("label", tensor.Int64, -1)}
	m.f = func(in map[string]tensor.Tensor) map[string]tensor.Tensor {
		n := in["x"].Shape[0]
		v := make([]int64, n)
		for i := range v {
			v[i] = int64(i) % 2
		}
		return map[string]tensor.Tensor{"label": tensor.Of(tensor.Int64, tensor.Shape{n}, v)}
	}
	got, err := Run(bg, m, labelled(t, m, make4(), []int{0, 1, 1, 1}), Options{Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	wantNear(t, "accuracy", got.Value, 0.75, 0)
}

func make4() [][]float32 { return [][]float32{{0, 0}, {0, 0}, {0, 0}, {0, 0}} }

// A model with a fixed batch gets full batches; what fills the last one does not
// count.
func TestFixedBatch(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	rows, labels := randomRows(r, 11, 3), make([]int, 11)
	free, fixed := echo(-1, 3), echo(4, 3)
	want, err := Run(bg, free, labelled(t, free, rows, labels), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Run(bg, fixed, labelled(t, fixed, rows, labels), Options{Batch: 3})
	if err != nil || got.Value != want.Value || got.Samples != 11 {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestAgainstIsTwoRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	m := echo(-1, 4)
	worse := m.with(func(v []float32) { v[0] += 2 })
	labels := make([]int, 30)
	for i := range labels {
		labels[i] = r.IntN(4)
	}
	set := labelled(t, m, randomRows(r, 30, 4), labels)
	kept, err := Against(bg, m, worse, set, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := *kept.Reference, kept.Result
	for i, model := range []Model{m, worse} {
		one, err := Run(bg, model, set, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := []Result{a, b}[i]; got.Value != one.Value || got.Samples != 30 {
			t.Errorf("model %d: %+v, alone %+v", i, got, one)
		}
	}
	if a.Value == b.Value {
		t.Error("both models are equal, and the test shows nothing")
	}
}

// language is a model with random logits that depend on id and position.
func language(vocab int64) function {
	return function{
		in: []ort.Info{info("input_ids", tensor.Int64, -1, -1), info("attention_mask", tensor.Int64, -1, -1)},
		out: []ort.Info{
			info("present.0.key", tensor.Float32, -1, -1, 3), info("logits", tensor.Float32, -1, -1, vocab),
		},
		f: func(in map[string]tensor.Tensor) map[string]tensor.Tensor {
			ids, err := in["input_ids"].Int64s()
			if err != nil {
				panic(err)
			}
			shape := in["input_ids"].Shape
			v := make([]float32, 0, len(ids)*int(vocab))
			for i, id := range ids {
				v = append(v, logitsOf(id, i%int(shape[1]), vocab)...)
			}
			return map[string]tensor.Tensor{
				"logits":        reals(v, shape[0], shape[1], vocab),
				"present.0.key": reals(make([]float32, len(ids)*3), shape[0], shape[1], 3),
			}
		},
	}
}

func logitsOf(id int64, at int, vocab int64) []float32 {
	r := rand.New(rand.NewPCG(uint64(id), uint64(at)))
	v := make([]float32, vocab)
	for k := range v {
		v[k] = float32(r.NormFloat64() * 5)
	}
	return v
}

// Perplexity against the definition, with texts of several lengths, masks of
// their own, and padding.
func TestPerplexity(t *testing.T) {
	const vocab = 300
	m := language(vocab)
	r := rand.New(rand.NewPCG(3, 3))
	var list []map[string]any
	nll, n, right := 0.0, 0, 0
	for _, length := range []int{2, 9, 1, 5, 9} {
		ids, mask := make([]int64, length), make([]int64, length)
		for i := range ids {
			ids[i], mask[i] = r.Int64N(vocab), 1
			if length == 5 && i < 2 { // padded on the left
				mask[i] = 0
			}
		}
		list = append(list, map[string]any{"input_ids": ids, "attention_mask": mask})
		for i := 0; i+1 < length; i++ {
			if mask[i] == 0 || mask[i+1] == 0 {
				continue
			}
			logits := logitsOf(ids[i], i, vocab)
			sum := 0.0
			for _, x := range logits {
				sum += math.Exp(float64(x))
			}
			nll -= math.Log(math.Exp(float64(logits[ids[i+1]])) / sum)
			if argmax(logits) == int(ids[i+1]) {
				right++
			}
			n++
		}
	}
	set := records(t, m, list...)
	for _, batch := range []int{1, 2, 5} {
		got, err := Run(bg, m, set, Options{Batch: batch})
		if err != nil {
			t.Fatal(err)
		}
		want := math.Exp(nll / float64(n))
		wantNear(t, "perplexity", got.Value, want, 1e-9*want)
		wantNear(t, "predictions", got.Extras["predictions"], float64(n), 0)
		wantNear(t, "top1", got.Extras["top1"], float64(right)/float64(n), 1e-15)
	}
	_, err := Run(bg, m, records(t, m, map[string]any{"input_ids": []int{5}}), Options{})
	wantError(t, err, true, "nothing to predict")
	_, err = Run(bg, m, records(t, m, map[string]any{"input_ids": []int{5, vocab}}), Options{})
	wantError(t, err, true, "line 1", "id 300", "vocabulary of 300")
	inf := m.with(func(v []float32) { v[0] = float32(math.Inf(1)) })
	_, err = Run(bg, inf, set, Options{})
	wantError(t, err, false, "infinite logits", "line 1")
}

func TestScoreBoundaries(t *testing.T) {
	for _, tt := range []struct {
		logits []float32
		next   int64
		want   float64
	}{
		{[]float32{0}, 0, 0},
		{[]float32{1000, 0}, 0, 0},
		{[]float32{1000, 0}, 1, 1000},
		{[]float32{-1e30, -1e30}, 0, math.Ln2},
		{[]float32{0, float32(math.Inf(-1)), 0}, 2, math.Ln2},
		{[]float32{0, float32(math.Inf(-1))}, 1, math.Inf(1)},
	} {
		row := logits{view: view{v: tt.logits}, width: len(tt.logits), next: []int64{tt.next}}
		got := row.score(0).nll
		if got != tt.want && math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%v: %v, want %v", tt.logits, got, tt.want)
		}
	}
}

// Ranks against counting; the correlation against the formula without ties.
func TestSpearman(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for n := 2; n < 40; n++ {
		x, y := make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], y[i] = r.NormFloat64(), float64(r.IntN(5)) // y has ties
		}
		for _, v := range [][]float64{x, y} {
			for i, got := range newRanking(v).ranks(nil) {
				less, equal := 0, 0
				for _, o := range v {
					if o < v[i] {
						less++
					} else if o == v[i] {
						equal++
					}
				}
				wantNear(t, "rank", got, float64(less)+float64(equal+1)/2, 1e-12)
			}
		}
		z := r.Perm(n)
		d2 := 0.0
		rx, rz := newRanking(x).ranks(nil), make([]float64, n)
		for i := range z {
			rz[i] = float64(z[i] + 1)
			d2 += (rx[i] - rz[i]) * (rx[i] - rz[i])
		}
		got := pearson(rx, rz, nil)
		fn := float64(n)
		wantNear(t, "rho", got, 1-6*d2/(fn*(fn*fn-1)), 1e-9)
	}
}

// A model that judges pairs itself: scores and answers in the same order.
func TestSpearmanOfScores(t *testing.T) {
	m := echo(-1, 1)
	list := []map[string]any{}
	for i, s := range []float64{0.5, 3, 1, 4} {
		list = append(list, map[string]any{"x": []float64{float64(i * i)}, "score": s})
	}
	got, err := Run(bg, m, records(t, m, list...), Options{Batch: 2})
	if err != nil {
		t.Fatal(err)
	}
	if got.Metric != Spearman {
		t.Errorf("auto chose %s", got.Metric)
	}
	wantNear(t, "spearman", got.Value, 0.8, 1e-12) // ranks 1 3 2 4 against 1 2 3 4
	_, err = Run(bg, m, records(t, m, list[0]), Options{})
	wantError(t, err, true, "1 pairs")
	_, err = Run(bg, m.with(func(v []float32) { v[0] = 1 }), records(t, m, list...), Options{})
	wantError(t, err, true, "are equal")
	wide := echo(-1, 2)
	_, err = Run(bg, wide, records(t, wide, map[string]any{"x": []int{1, 2}, "score": 1}), Options{})
	wantError(t, err, true, "no pair of texts")
}

func TestEmbedding(t *testing.T) {
	b := &dataset.Batch{Samples: make([]dataset.Sample, 2), Rows: 2, Length: 3, Masks: [][]bool{nil, {true, true, false}}}
	v := view{shape: tensor.Shape{2, 3, 2}, v: []float32{1, 2, 3, 4, 5, 6, 1, 0, 3, 8, 100, 100}}
	for i, want := range [][]float64{{3, 4}, {2, 4}} {
		got := embedding(answer{b, v}, i)
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("sample %d: %v, want %v", i, got, want)
		}
	}
	flat := view{shape: tensor.Shape{2, 3}, v: []float32{1, 2, 3, 4, 5, 6}}
	if got := embedding(answer{b, flat}, 1); len(got) != 3 || got[2] != 6 {
		t.Errorf("a row per sample: %v", got)
	}
}

func TestCancelAndProgress(t *testing.T) {
	m := echo(-1, 2)
	set := labelled(t, m, make4(), []int{0, 0, 0, 0})
	ctx, cancel := context.WithCancel(bg)
	var calls []string
	_, err := Run(ctx, m, set, Options{Batch: 1, Progress: func(done, total int) {
		calls = append(calls, fmt.Sprint(done, "/", total))
		if done == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || fmt.Sprint(calls) != "[1/4 2/4]" {
		t.Errorf("%v after %v", err, calls)
	}
}
