package dataset

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"optim/internal/ort"
	"optim/internal/tensor"
)

func TestCausal(t *testing.T) {
	ids := info("input_ids", tensor.Int64, "batch sequence", -1, -1)
	logits := func(symbols string, dims ...int64) []ort.Info {
		return []ort.Info{info("logits", tensor.Float32, symbols, dims...)}
	}
	tests := []struct {
		name  string
		m     ModelInfo
		vocab int64
		want  bool
	}{
		{"gpt", decoder, 2048, true},
		{"gpt, vocabulary unknown", decoder, 0, true},
		{"gpt with cache", cached, 0, true},
		{"another vocabulary", decoder, 2000, false},
		{"bert", encoder, 30522, false},
		{"tags", ModelInfo{Inputs: []ort.Info{ids}, Outputs: logits("batch sequence", -1, -1, 9)}, 0, false},
		{"classes", ModelInfo{Inputs: []ort.Info{ids}, Outputs: logits("batch", -1, 300)}, 0, false},
		{"another length", ModelInfo{Inputs: []ort.Info{ids}, Outputs: logits("batch other", -1, -1, 300)}, 0, false},
		{"unnamed length", ModelInfo{Inputs: []ort.Info{ids}, Outputs: logits("batch", -1, -1, 300)}, 0, true},
		{"masked language model", ModelInfo{Inputs: encoder.Inputs, Outputs: logits("batch sequence", -1, -1, 30522)}, 30522, false},
		{"encoder without token types", ModelInfo{Inputs: decoder.Inputs, Outputs: encoder.Outputs}, 0, false},
		{"pictures", vision, 0, false},
	}
	for _, tt := range tests {
		if got := tt.m.Causal(tt.vocab); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestSizes(t *testing.T) {
	tests := []struct {
		o     Options
		want  []int64
		words []string
	}{
		{Options{}, []int64{-1, -1}, nil},
		{Options{Dims: map[string]int64{"sequence": 64}}, []int64{-1, 64}, nil},
		{Options{Shapes: map[string]tensor.Shape{"input_ids": {2, 32}}, Dims: map[string]int64{"sequence": 64}}, []int64{2, 32}, nil},
		{Options{Dims: map[string]int64{"seq": 64}}, nil, []string{`dimension "seq"`, `"batch", "sequence"`}},
		{Options{Shapes: map[string]tensor.Shape{"ids": {2, 32}}}, nil, []string{`shape for "ids"`, `"input_ids"`}},
		{Options{Shapes: map[string]tensor.Shape{"input_ids": {2}}}, nil, []string{"2 dimensions"}},
	}
	for _, tt := range tests {
		sh, err := newShaper(encoder, tt.o)
		if tt.words != nil {
			wantError(t, err, tt.words...)
			continue
		}
		if err != nil || !slices.Equal(sh.dims["input_ids"], tt.want) {
			t.Errorf("%+v: %v, %v", tt.o, sh.dims, err)
		}
	}
	_, err := newShaper(vision, Options{Shapes: map[string]tensor.Shape{"input": {1, 3, 2, 3}}})
	wantError(t, err, "[1x3x2x3]", "float32[batch x 1 x 2 x 3]")
}

func TestContextLength(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fixed := ModelInfo{Inputs: []ort.Info{info("input_ids", tensor.Int64, "batch", -1, 77)}}
	m := decoder
	m.Path = filepath.Join(dir, "m.onnx")
	check := func(m ModelInfo, o Options, want int) {
		t.Helper()
		if got, from, err := ContextLength(m, o); err != nil || got != want {
			t.Errorf("got %d (%s), %v, want %d", got, from, err, want)
		}
	}
	check(m, Options{}, 512)
	check(m, Options{PositionRows: 300}, 300)
	check(fixed, Options{PositionRows: 300}, 77)
	check(m, Options{Dims: map[string]int64{"sequence": 40}}, 40)
	check(m, Options{SeqLen: 13}, 13)
	write(`{"n_positions": 128}`)
	check(m, Options{}, 128)
	check(m, Options{PositionRows: 100}, 100)
	check(decoder, Options{Tokenizer: filepath.Join(dir, "tokenizer.json")}, 128)
	write(`{"max_position_embeddings": 256}`)
	check(m, Options{PositionRows: 1000}, 256)
	for _, bad := range []string{`{"n_positions": -1}`, `{"n_positions": 1e30}`, `{`, `{"n_positions": "128"}`} {
		write(bad)
		check(m, Options{}, 512)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "config.json")), syscall.Mkfifo(filepath.Join(dir, "config.json"), 0o600)); err != nil {
		t.Fatal(err)
	}
	check(m, Options{}, 512) // without waiting for a writer
	_, _, err := ContextLength(fixed, Options{SeqLen: 78})
	wantError(t, err, "78", "77")
	_, _, err = ContextLength(m, Options{SeqLen: -1})
	wantError(t, err, "-1")
}

func TestRandom(t *testing.T) {
	m := ModelInfo{Inputs: append(slices.Clone(cached.Inputs),
		info("pixels", tensor.Uint8, "batch", -1, 4), info("noise", tensor.Float32, "batch", -1, 1000), info("index", tensor.Int64, "", 1))}
	o := Options{Vocab: 10, SeqLen: 50, Seed: 3}
	s := open(t, Random, m, o)
	if n, _ := s.Len(); n != 128 || s.Real || s.Causal {
		t.Errorf("Len %d, real %v", n, s.Real)
	}
	samples := all(t, s)
	seen := map[int64]bool{}
	for _, sample := range samples {
		for _, id := range ints(t, sample, "input_ids") {
			seen[id] = true
		}
	}
	if len(seen) != 10 || seen[10] || seen[-1] {
		t.Errorf("ids %v", seen)
	}
	var sum, squares float64
	for _, x := range floats(t, samples[0], "noise") {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	if mean, variance := sum/1000, squares/1000; math.Abs(mean) > 0.15 || math.Abs(variance-1) > 0.2 {
		t.Errorf("noise of mean %v and variance %v", mean, variance)
	}
	again := all(t, open(t, Random, m, o))
	o.Seed = 4
	other := all(t, open(t, Random, m, o))
	if !bytes.Equal(samples[5].Inputs["noise"].Data, again[5].Inputs["noise"].Data) ||
		bytes.Equal(samples[5].Inputs["noise"].Data, other[5].Inputs["noise"].Data) ||
		bytes.Equal(samples[5].Inputs["noise"].Data, samples[6].Inputs["noise"].Data) {
		t.Error("the seed does not rule")
	}
	free := ModelInfo{Inputs: []ort.Info{info("x", tensor.Float32, "batch width", -1, -1)}}
	wantError(t, drain(Random, free, Options{}), `input "x"`, "--dim")
	wantError(t, drain(Random, free, Options{Dims: map[string]int64{"width": 1 << 40}}), "too large")
	if err := drain(Random, free, Options{Dims: map[string]int64{"width": 3}, Samples: 2}); err != nil {
		t.Error(err)
	}
}

func TestBatch(t *testing.T) {
	file := writeFile(t, "d.jsonl", []byte(`{"input_ids":[1,2,3],"position_ids":[0,1,2]}
{"input_ids":[4],"position_ids":[5]}
{"input_ids":[6,7],"position_ids":[0,1]}
`))
	m := ModelInfo{Inputs: append(slices.Clone(encoder.Inputs), info("position_ids", tensor.Int64, "batch sequence", -1, -1))}
	s := open(t, file, m, Options{})
	b, err := s.Batch(2)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int64{
		"input_ids": {1, 2, 3, 4, 0, 0}, "attention_mask": {1, 1, 1, 1, 0, 0},
		"token_type_ids": {0, 0, 0, 0, 0, 0}, "position_ids": {0, 1, 2, 5, 1, 2},
	} {
		got, err := b.Inputs[name].Int64s()
		if err != nil || !slices.Equal(got, want) || !b.Inputs[name].Shape.Equal(tensor.Shape{2, 3}) {
			t.Errorf("%s = %v, %v, want %v", name, got, err, want)
		}
	}
	if b.Length != 3 || b.Masks[0] != nil || !slices.Equal(b.Masks[1], []bool{true, false, false}) {
		t.Errorf("length %d, masks %v", b.Length, b.Masks)
	}
	if b, err = s.Batch(2); err != nil || len(b.Samples) != 1 || b.Rows != 1 {
		t.Errorf("last batch: %+v, %v", b, err)
	}
	unmasked := ModelInfo{Inputs: []ort.Info{info("input_ids", tensor.Int64, "batch sequence", -1, -1)}}
	ids := writeFile(t, "d.jsonl", []byte("{\"input_ids\":[1,2,3]}\n{\"input_ids\":[4]}\n"))
	_, err = open(t, ids, unmasked, Options{}).Batch(2)
	wantError(t, err, "1 to 3 ids", "no attention mask")
}

func TestFixedBatch(t *testing.T) {
	m := ModelInfo{Inputs: []ort.Info{info("input", tensor.Float32, "", 2, 1, 2, 3)}}
	file := writeFile(t, "d.npy", npy("<f4", false, []int64{3, 1, 2, 3}, pack(le, somePixels())))
	s := open(t, file, m, Options{})
	for i, want := range []int{2, 1} {
		b, err := s.Batch(1)
		if err != nil || len(b.Samples) != want || b.Rows != 2 || !b.Inputs["input"].Shape.Equal(tensor.Shape{2, 1, 2, 3}) {
			t.Fatalf("batch %d: %+v, %v", i, b, err)
		}
		if i == 1 && !bytes.Equal(b.Inputs["input"].Data[:24], b.Inputs["input"].Data[24:]) {
			t.Error("the last sample is not repeated")
		}
	}
	if err := drain(Random, m, Options{Samples: 3}); err != nil {
		t.Error(err)
	}
	whole := open(t, Random, m, Options{Samples: 3})
	if b, err := whole.Batch(1); err != nil || b.Rows != 1 || !b.Inputs["input"].Shape.Equal(tensor.Shape{2, 1, 2, 3}) {
		t.Errorf("a sample that is a batch: %+v, %v", b, err)
	}
}
