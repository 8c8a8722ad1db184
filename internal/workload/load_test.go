package workload

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

const gpt = "models/tinygpt-s/tinygpt-s.onnx"

// pool opens a workload of the small GPT.
func pool(t *testing.T, spec Spec) *Load {
	t.Helper()
	l, err := Open(context.Background(), load(t, testdata(t, gpt)), spec)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestMadeUp: ids inside the vocabulary, masks of ones, the same for the same seed.
func TestMadeUp(t *testing.T) {
	l := pool(t, Spec{Samples: 6, Seed: 3})
	if len(l.Samples) != 6 || !l.Text || !l.Uniform() || l.Batch != 0 || !(l.First > 0) || l.From != "made-up inputs" {
		t.Fatalf("%+v", l)
	}
	for i := range l.Samples {
		for _, id := range l.IDs(i) {
			if id < 0 || id >= 2048 {
				t.Fatalf("id %d", id)
			}
		}
	}
	batches, err := l.Batches(4, 10)
	if err != nil || len(batches) != 2 || batches[0].Items != 4 || batches[0].Tokens != 4*128 {
		t.Fatalf("%+v, %v", batches, err)
	}
	// The second batch has samples 4 and 5, and begins anew.
	ids, first := batches[1].Inputs["input_ids"], l.IDs(0)
	if got, err := ids.Int64s(); err != nil || !slices.Equal(got[2*128:3*128], first) {
		t.Errorf("the batch is not filled up with the first samples: %v", err)
	}
	if again := pool(t, Spec{Samples: 6, Seed: 3}); !slices.Equal(again.IDs(5), l.IDs(5)) {
		t.Error("the same seed gives other ids")
	}
	if other := pool(t, Spec{Samples: 6, Seed: 4}); slices.Equal(other.IDs(5), l.IDs(5)) {
		t.Error("another seed gives the same ids")
	}
}

// TestCutTexts: texts of drawn lengths, padded and masked in a batch.
func TestCutTexts(t *testing.T) {
	l := pool(t, Spec{
		Source: testdata(t, "text/valid.txt"), Samples: 20, Lengths: Lengths{{Low: 3, High: 40, Weight: 1}},
		Read: dataset.Options{Tokenizer: testdata(t, "models/tinygpt/tokenizer.json")},
	})
	lengths := l.Lengths()
	if len(lengths) != 20 || lengths[0] < 3 || lengths[19] > 40 || l.Uniform() {
		t.Fatalf("lengths %v", lengths)
	}
	b, err := l.Collate([]int{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	want := len(l.IDs(0)) + len(l.IDs(1)) + len(l.IDs(2))
	mask, err := b.Inputs["attention_mask"].Int64s()
	if err != nil {
		t.Fatal(err)
	}
	ones := 0
	for _, m := range mask {
		ones += int(m)
	}
	if b.Tokens != want || ones != want {
		t.Errorf("%d tokens, %d ones in the mask, want %d", b.Tokens, ones, want)
	}
}

// TestShapesGiveBatch: the first axis of a shape is the batch.
func TestShapesGiveBatch(t *testing.T) {
	in := []ort.Info{
		{Name: "x", Dims: []int64{-1, 3}, Symbols: []string{"n", ""}},
		{Name: "s", Dims: []int64{2, -1}, Symbols: []string{"", "n"}},
	}
	batch, read, err := takeBatch(in, dataset.Options{Shapes: map[string]tensor.Shape{"x": {8, 3}}, Dims: map[string]int64{"n": 8}})
	if err != nil || batch != 8 || !read.Shapes["x"].Equal(tensor.Shape{1, 3}) {
		t.Errorf("%d, %v, %v", batch, read.Shapes, err)
	}
	if batch, _, err := takeBatch(in, dataset.Options{Dims: map[string]int64{"n": 5}}); err != nil || batch != 5 {
		t.Errorf("--dim: %d, %v", batch, err)
	}
	two := []ort.Info{in[0], {Name: "y", Dims: []int64{-1}, Symbols: []string{"m"}}}
	if _, _, err := takeBatch(two, dataset.Options{Shapes: map[string]tensor.Shape{"x": {8, 3}, "y": {4}}}); err == nil || !strings.Contains(err.Error(), "the batch") {
		t.Errorf("two batches: %v", err)
	}
	if batch, _, err := takeBatch(in, dataset.Options{}); err != nil || batch != 0 {
		t.Errorf("nothing given: %d, %v", batch, err)
	}
}

// TestImpossibleBatches: a batch that contradicts the sizes given, and one that memory
// has no room for.
func TestImpossibleBatches(t *testing.T) {
	l := pool(t, Spec{Samples: 4, Read: dataset.Options{Dims: map[string]int64{"batch": 2}}})
	if b, err := l.Batches(2, 1); err != nil || b[0].Items != 2 {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := l.Batches(3, 1); err == nil || !strings.Contains(err.Error(), "make batches of 2, and cannot make them of 3") {
		t.Errorf("another batch: %v", err)
	}
	l = pool(t, Spec{Samples: 4})
	sample := int64(bytesOf(l.Samples[0].Inputs))
	for n, fits := range map[int]bool{1: true, 8: true, 9: false, 1 << 16: false} {
		l.room = 8 * sample
		if _, err := l.Batches(n, 1); (err == nil) != fits || err != nil && !strings.Contains(err.Error(), "GB of memory") {
			t.Errorf("a batch of %d: %v", n, err)
		}
	}
}

func TestParseLengths(t *testing.T) {
	l, err := ParseLengths("128, 16-64:3")
	if err != nil || !slices.Equal(l, Lengths{{128, 128, 1}, {16, 64, 3}}) || l.Max() != 128 {
		t.Errorf("%v, %v", l, err)
	}
	for _, bad := range []string{"", "a", "0", "5-4", "-5", "5-", "5:0", "5:-1", "5:x", "99999999", "5,,6", "5:NaN", "5:Inf"} {
		if l, err := ParseLengths(bad); err == nil {
			t.Errorf("%q is %v", bad, l)
		}
	}
}

// TestDraw: ranges come by their weight, and every length of a range.
func TestDraw(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	l := Lengths{{128, 128, 1}, {16, 19, 3}}
	count := map[int]int{}
	const draws = 40000
	for range draws {
		count[l.draw(rng)]++
	}
	if len(count) != 5 {
		t.Fatalf("%v", count)
	}
	for n, want := range map[int]float64{128: 0.25, 16: 0.1875, 17: 0.1875, 18: 0.1875, 19: 0.1875} {
		if share := float64(count[n]) / draws; share < want-0.01 || share > want+0.01 { // four standard errors
			t.Errorf("length %d: a share of %.4f, want %.4f", n, share, want)
		}
	}
}

// FuzzParseLengths: what is read can be drawn from.
func FuzzParseLengths(f *testing.F) {
	for _, s := range []string{"128", "16-128", "16-64:3,128:1", "1:1e9", "5:0.5", ":", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLengths(text)
		if err != nil {
			return
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 10 {
			if n := l.draw(rng); n < 1 || n > l.Max() {
				t.Fatalf("%q: %d", text, n)
			}
		}
	})
}
