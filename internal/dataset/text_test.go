package dataset

import (
	"os"
	"slices"
	"strings"
	"testing"

	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/tokenizer"
)

const (
	gptTokenizer  = "models/tinygpt/tokenizer.json"
	bertTokenizer = "tokenizers/minilm/tokenizer.json"
)

func TestWindows(t *testing.T) {
	tests := []struct {
		n, size, stride int
		want            [][3]int // start, length, first prediction
	}{
		{10, 4, 4, [][3]int{{0, 4, 0}, {4, 4, 0}}},
		{8, 4, 4, [][3]int{{0, 4, 0}, {4, 4, 0}}},
		{7, 4, 4, [][3]int{{0, 4, 0}}},
		{4, 4, 4, [][3]int{{0, 4, 0}}},
		{3, 4, 4, [][3]int{{0, 3, 0}}},
		{10, 4, 2, [][3]int{{0, 4, 0}, {2, 4, 1}, {4, 4, 1}, {6, 4, 1}}},
		{6, 4, 1, [][3]int{{0, 4, 0}, {1, 4, 2}, {2, 4, 2}}},
		{10, 4, 5, [][3]int{{0, 4, 0}, {5, 4, 0}}},
	}
	for _, tt := range tests {
		w := &windows{ids: make([]int32, tt.n), size: tt.size, stride: tt.stride}
		for i := range w.ids {
			w.ids[i] = int32(i)
		}
		src := &textSource{set: &Set{shape: mustShape(t, decoder, Options{})}}
		predicted := map[int]int{}
		var got [][3]int
		for {
			sample, err := w.next(src)
			if err != nil {
				break
			}
			ids := ints(t, sample, "input_ids")
			got = append(got, [3]int{int(ids[0]), len(ids), sample.First})
			for i := sample.First; i+1 < len(ids); i++ {
				predicted[int(ids[i+1])]++
			}
		}
		if !slices.Equal(got, tt.want) || w.count() != len(got) {
			t.Errorf("%+v: got %v, %d", tt, got, w.count())
		}
		for id, n := range predicted {
			if n != 1 {
				t.Errorf("%+v: id %d is predicted %d times", tt, id, n)
			}
		}
	}
}

func mustShape(t testing.TB, m ModelInfo, o Options) *shaper {
	t.Helper()
	sh, err := newShaper(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return sh
}

func gpt(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(testdata(t, gptTokenizer))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// A text file for a causal model is one running text, also when only its
// beginning is read.
func TestStream(t *testing.T) {
	path := testdata(t, "text/test.txt")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := gpt(t).Encode(string(text), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{0, 1, 3, 100, 1000} {
		o := Options{Tokenizer: testdata(t, gptTokenizer), SeqLen: 64, Stride: 32, Samples: limit, Vocab: 2048}
		s := open(t, path, decoder, o)
		want := (len(enc.IDs)-64)/32 + 1
		if limit > 0 {
			want = min(want, limit)
		}
		samples := all(t, s)
		if n, known := s.Len(); len(samples) != want || n != want || !known || !s.Causal || s.SeqLen != 64 {
			t.Fatalf("limit %d: %d samples, Len %d, %v, want %d", limit, len(samples), n, known, want)
		}
		for k, sample := range samples {
			if !slices.Equal(ints(t, sample, "input_ids"), enc.IDs[32*k:32*k+64]) || (sample.First != 31) != (k == 0) {
				t.Fatalf("limit %d: window %d differs", limit, k)
			}
		}
	}
}

func TestEndsInRune(t *testing.T) {
	text := []byte("añ€𝄞")
	for cut := range len(text) + 1 {
		part := text[:cut]
		for len(part) > 0 && !endsInRune(part) {
			part = part[:len(part)-1]
		}
		if strings.ContainsRune(string(part), '\ufffd') || len(text[:cut])-len(part) > 3 {
			t.Errorf("cut at %d leaves %q", cut, part)
		}
	}
}

func TestTexts(t *testing.T) {
	bert := Options{Tokenizer: testdata(t, bertTokenizer), SeqLen: 6}
	fixed := ModelInfo{Inputs: slices.Clone(encoder.Inputs), Outputs: encoder.Outputs}
	for i := range fixed.Inputs {
		fixed.Inputs[i] = info(fixed.Inputs[i].Name, tensor.Int32, "batch", -1, 8)
	}
	fixed.Inputs = append(fixed.Inputs, info("position_ids", tensor.Int64, "batch", -1, 8))
	t.Run("lines", func(t *testing.T) {
		s := open(t, writeFile(t, "d.txt", []byte("hello world\n\nthe quick brown fox jumps over\n")), encoder, bert)
		samples := all(t, s)
		if n, known := s.Len(); n != 2 || !known || s.Causal {
			t.Errorf("Len %d, %v", n, known)
		}
		if got := ints(t, samples[0], "input_ids"); !slices.Equal(got, []int64{101, 7592, 2088, 102}) {
			t.Errorf("ids %v", got)
		}
		long := ints(t, samples[1], "input_ids")
		if len(long) != 6 || long[0] != 101 || long[5] != 102 {
			t.Errorf("a long text is cut to %v", long)
		}
		if got := ints(t, samples[1], "attention_mask"); !slices.Equal(got, []int64{1, 1, 1, 1, 1, 1}) {
			t.Errorf("mask %v", got)
		}
	})
	t.Run("fixed length", func(t *testing.T) {
		s := open(t, writeFile(t, "d.txt", []byte("hello world\n")), fixed, bert)
		sample := all(t, s)[0]
		for name, want := range map[string][]int64{
			"input_ids": {101, 7592, 2088, 102, 0, 0, 0, 0}, "attention_mask": {1, 1, 1, 1, 0, 0, 0, 0},
			"token_type_ids": {0, 0, 0, 0, 0, 0, 0, 0}, "position_ids": {0, 1, 2, 3, 4, 5, 6, 7},
		} {
			if got := ints(t, sample, name); !slices.Equal(got, want) {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
		if !slices.Equal(sample.Mask, []bool{true, true, true, true, false, false, false, false}) {
			t.Errorf("mask %v", sample.Mask)
		}
	})
	t.Run("label", func(t *testing.T) {
		s := open(t, writeFile(t, "d.csv", []byte("label,sentence1,sentence2\n1,hello,world\n")), encoder, bert)
		sample := all(t, s)[0]
		if !s.HasLabels || sample.Pair != nil || *sample.Label != 1 {
			t.Errorf("label %v, pair %v", sample.Label, sample.Pair)
		}
		if got := ints(t, sample, "token_type_ids"); !slices.Equal(got, []int64{0, 0, 0, 1, 1}) {
			t.Errorf("types %v", got)
		}
	})
	t.Run("pairs", func(t *testing.T) {
		path := testdata(t, "sts/sts-test.tsv")
		o := bert
		o.SeqLen = 128
		s := open(t, path, encoder, o)
		samples := all(t, s)
		if n, known := s.Len(); len(samples) != 500 || n != 500 || !known || !s.HasScores {
			t.Fatalf("%d samples, Len %d, %v", len(samples), n, known)
		}
		if samples[0].Pair == nil || *samples[0].Score != 4.4 {
			t.Errorf("%+v", samples[0])
		}
		o.SplitPairs = true
		s = open(t, path, encoder, o)
		if got := all(t, s); len(got) != 1000 || got[0].Pair != nil || s.HasScores {
			t.Errorf("%d samples of split pairs", len(got))
		}
		cross := encoder
		cross.Outputs = []ort.Info{info("score", tensor.Float32, "batch", -1, 1)}
		s = open(t, path, cross, bert)
		if !s.HasScores || all(t, s)[0].Pair != nil {
			t.Error("a model with one number per sample gets both texts at once")
		}
	})
	t.Run("same in jsonl", func(t *testing.T) {
		a := all(t, open(t, testdata(t, "sts/sts-test.tsv"), encoder, bert))
		b := all(t, open(t, testdata(t, "sts/sts-test.jsonl"), encoder, bert))
		for i := range a {
			if *a[i].Score != *b[i].Score || !slices.Equal(ints(t, a[i], "input_ids"), ints(t, b[i], "input_ids")) {
				t.Fatalf("line %d differs", i)
			}
		}
	})
	t.Run("arrays", func(t *testing.T) {
		s := open(t, writeFile(t, "d.jsonl", []byte(`{"input":[[[0,1,2],[3,4,5]]],"label":1}`+"\n")), vision, Options{})
		sample := all(t, s)[0]
		if got := floats(t, sample, "input"); !slices.Equal(got, []float32{0, 1, 2, 3, 4, 5}) || *sample.Label != 1 {
			t.Errorf("%v, label %v", got, sample.Label)
		}
	})
}

// Documents of a .jsonl are cut one by one; no window spans two.
func TestDocuments(t *testing.T) {
	path := writeFile(t, "d.jsonl", []byte(`{"text":"one two three four five six"}`+"\n"+`{"text":"seven eight"}`+"\n"))
	o := Options{Tokenizer: testdata(t, gptTokenizer), SeqLen: 5}
	tok := gpt(t)
	var want [][]int64
	for _, text := range []string{"one two three four five six", "seven eight"} {
		enc, err := tok.Encode(text, false)
		if err != nil {
			t.Fatal(err)
		}
		ids := enc.IDs
		for from := 0; from == 0 || from+5 <= len(ids); from += 5 {
			want = append(want, ids[from:min(from+5, len(ids))])
		}
	}
	check := func(o Options, want [][]int64) {
		t.Helper()
		samples := all(t, open(t, path, decoder, o))
		if len(samples) != len(want) {
			t.Fatalf("%d samples, want %d", len(samples), len(want))
		}
		for i, s := range samples {
			if got := ints(t, s, "input_ids"); !slices.Equal(got, want[i]) {
				t.Errorf("sample %d: %v, want %v", i, got, want[i])
			}
		}
	}
	check(o, want)
	o.TextAs = "lines" // cut, not divided
	check(o, [][]int64{want[0], want[len(want)-1]})
}

func TestTextErrors(t *testing.T) {
	bert, bpe := testdata(t, bertTokenizer), testdata(t, gptTokenizer)
	unmasked := ModelInfo{Path: "m.onnx", Inputs: []ort.Info{info("input_ids", tensor.Int64, "batch", -1, 8)}, Outputs: encoder.Outputs}
	tests := []struct {
		name, file, data string
		model            ModelInfo
		o                Options
		words            []string
	}{
		{"no tokenizer", "d.txt", "a\n", encoder, Options{}, []string{"--tokenizer"}},
		{"bad tokenizer", "d.txt", "a\n", encoder, Options{Tokenizer: "absent.json"}, []string{"absent.json"}},
		{"no ids", "d.txt", "a\n", vision, Options{Tokenizer: bert}, []string{"without ids"}},
		{"empty", "d.txt", "\n\n", encoder, Options{Tokenizer: bert}, []string{"no samples"}},
		{"empty stream", "d.txt", "", decoder, Options{Tokenizer: bpe}, []string{"0 ids", "below 2"}},
		{"one id", "d.txt", "a", decoder, Options{Tokenizer: bpe}, []string{"1 ids", "below 2"}},
		{"empty document", "d.jsonl", `{"text":""}`, decoder, Options{Tokenizer: bpe}, []string{"line 1", "0 ids"}},
		{"not UTF-8", "d.txt", "ab\xffcd", decoder, Options{Tokenizer: bpe}, []string{"UTF-8"}},
		{"no mask", "d.txt", "a\n", unmasked, Options{Tokenizer: bert}, []string{"line 1", "3 ids", "exactly 8", "no mask"}},
		{"too long", "d.txt", "a\n", unmasked, Options{Tokenizer: bert, SeqLen: 9}, []string{"9 is above the model's fixed 8"}},
		{"positions", "d.txt", "a\n", encoder, Options{Tokenizer: bert, SeqLen: 600, PositionRows: 512}, []string{"512 positions"}},
		{"text-as", "d.txt", "a\n", encoder, Options{Tokenizer: bert, TextAs: "words"}, []string{`"words"`, "lines"}},
		{"stride", "d.txt", "a\n", decoder, Options{Tokenizer: bpe, Stride: -1}, []string{"stride"}},
		{"mixed", "d.jsonl", `{"text":"a","label":1}` + "\n" + `{"text":"b"}`, encoder, Options{Tokenizer: bert}, []string{"line 2: has text, the first one has text, label"}},
		{"array", "d.jsonl", `{"input":[1,2]}`, vision, Options{}, []string{"line 1", `field "input"`, "1 deep"}},
		{"array shape", "d.jsonl", `{"input":[[[1,2]]]}`, vision, Options{}, []string{"line 1", "[1x1x1x2]"}},
		{"lack", "d.jsonl", `{"input":[[[0,1,2],[3,4,5]]]}`, encoderAndMore, Options{}, []string{"line 1", `no data for input "input_ids"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, drain(writeFile(t, tt.file, []byte(tt.data)), tt.model, tt.o), tt.words...)
		})
	}
}
