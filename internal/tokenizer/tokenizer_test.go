package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// readText reads a file of the texts that the repository has.
func readText(tb testing.TB, name string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("../../testdata/text", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// TestTexts counts the ids of whole files, which perplexities depend on.
func TestTexts(t *testing.T) {
	tok := load(t, tinygptFile)
	for name, want := range map[string]int{"valid.txt": 49955, "test.txt": 55896} {
		text := readText(t, name)
		e, err := tok.Encode(text, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.IDs) != want {
			t.Errorf("%s: %d ids, want %d", name, len(e.IDs), want)
		}
		if back, err := tok.Decode(e.IDs, false); err != nil || back != text {
			t.Errorf("%s: decoding does not give the text back (%v)", name, err)
		}
	}
}

// TestTrainText encodes three megabytes where they are at hand.
func TestTrainText(t *testing.T) {
	data, err := os.ReadFile("../../../shared/data/text/train.txt")
	if err != nil {
		t.Skip("the text is not here")
	}
	tok := load(t, tinygptFile)
	e, err := tok.Encode(string(data), true)
	if err != nil {
		t.Fatal(err)
	}
	back, err := tok.Decode(e.IDs, false)
	if err != nil || back != string(data) {
		t.Errorf("%d ids do not give the text back (%v)", len(e.IDs), err)
	}
}

// TestLongLines bounds the time of single lines of a quarter megabyte, where
// anything quadratic would take many minutes.
func TestLongLines(t *testing.T) {
	const size = 1 << 18
	lines := map[string]string{
		"letter":  strings.Repeat("a", size),
		"word":    strings.Repeat("abracadabra", size/11),
		"spaces":  strings.Repeat(" ", size),
		"accents": "a" + strings.Repeat("\u0301", size/2),
		"emoji":   strings.Repeat("👩‍👩‍👧", size/18),
		"tags":    strings.Repeat("<", size),
		"text":    strings.ReplaceAll(readText(t, "test.txt"), "\n", " "),
	}
	for _, m := range models {
		tok := load(t, m.file)
		for name, line := range lines {
			start := time.Now()
			if _, err := tok.Encode(line, true); err != nil {
				t.Errorf("%s: %s: %v", m.name, name, err)
			}
			if d := time.Since(start); d > time.Minute {
				t.Errorf("%s: %s: %v for %d bytes", m.name, name, d, len(line))
			}
		}
	}
}

func TestPairs(t *testing.T) {
	tok := load(t, fixtureDir+"/minilm/tokenizer.json")
	e, err := tok.EncodePair("Hello world", "Good bye", true)
	if err != nil {
		t.Fatal(err)
	}
	wantTokens := []string{"[CLS]", "hello", "world", "[SEP]", "good", "bye", "[SEP]"}
	if !slices.Equal(e.Tokens, wantTokens) {
		t.Errorf("tokens %q, want %q", e.Tokens, wantTokens)
	}
	if want := []int64{0, 0, 0, 0, 1, 1, 1}; !slices.Equal(e.TypeIDs, want) {
		t.Errorf("type ids %v, want %v", e.TypeIDs, want)
	}
	if e, _ = tok.EncodePair("Hello", "bye", false); !slices.Equal(e.TypeIDs, []int64{0, 1}) {
		t.Errorf("without special tokens: type ids %v", e.TypeIDs)
	}
}

func TestMaxLength(t *testing.T) {
	tok := load(t, fixtureDir+"/minilm/tokenizer.json")
	long := strings.Repeat("one two three ", 50)
	for _, max := range []int{2, 3, 17, 128, 152, 153} {
		e, err := tok.EncodeWith(long, nil, Options{Special: true, MaxLength: max})
		if err != nil || len(e.IDs) != min(max, 152) {
			t.Errorf("max %d: %d ids, %v", max, len(e.IDs), err)
			continue
		}
		if e.Tokens[0] != "[CLS]" || e.Tokens[len(e.Tokens)-1] != "[SEP]" {
			t.Errorf("max %d: %q", max, e.Tokens)
		}
	}
	if _, err := tok.EncodeWith(long, nil, Options{Special: true, MaxLength: 1}); err == nil {
		t.Error("one id for two special tokens: no error")
	}
}

func TestLookups(t *testing.T) {
	type ids struct{ size, pad, bos, eos int64 }
	want := map[string]ids{ // -1: none
		"tinygpt":      {2048, -1, 0, 0},
		"minilm":       {30522, 0, 101, 102},
		"gpt2":         {50257, -1, 50256, 50256},
		"unigram-t5":   {4010, 0, -1, 1},
		"unigram-xlmr": {4002, 1, 0, 2},
		"bpe-llama":    {3000, -1, 1, 2},
	}
	or := func(id int64, ok bool) int64 {
		if !ok {
			return -1
		}
		return id
	}
	for _, m := range models {
		tok := load(t, m.file)
		got := ids{int64(tok.VocabSize()), or(tok.PadID()), or(tok.BOSID()), or(tok.EOSID())}
		if got != want[m.name] {
			t.Errorf("%s: %+v, want %+v", m.name, got, want[m.name])
		}
	}
	tok := load(t, tinygptFile)
	if id, ok := tok.TokenID("<|endoftext|>"); !ok || id != 0 || !tok.IsSpecial(id) {
		t.Errorf("<|endoftext|>: %d %v", id, ok)
	}
	if _, ok := tok.TokenID("no such token"); ok {
		t.Error("a token that does not exist has an id")
	}
	for _, id := range []int64{-1, 2048, 1 << 40} {
		if _, ok := tok.Token(id); ok || tok.IsSpecial(id) {
			t.Errorf("id %d exists", id)
		}
		if _, err := tok.Decode([]int64{1, id}, false); err == nil || !strings.Contains(err.Error(), "at position 1") {
			t.Errorf("id %d: error %v", id, err)
		}
	}
}

func TestSections(t *testing.T) {
	tok, err := Parse([]byte(`{` + words + `,"padding":{"pad_id":1},"truncation":{"max_length":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := tok.PadID(); !ok || id != 1 {
		t.Errorf("pad id %d %v", id, ok)
	}
	if n, ok := tok.Truncation(); !ok || n != 1 {
		t.Errorf("truncation %d %v", n, ok)
	}
	if _, ok := load(t, tinygptFile).Truncation(); ok {
		t.Error("a truncation that is null")
	}
}

// TestInvalidUTF8 expects the replacements that Unicode recommends.
func TestInvalidUTF8(t *testing.T) {
	tok := load(t, tinygptFile)
	for in, want := range map[string]string{
		"a\xffb": "a\uFFFDb", "\xe2\x82": "\uFFFD", "\xe2\x82\xe2\x82\xac": "\uFFFD€", "\xf0\x9f\x98": "\uFFFD",
		"\xc0\xaf": "\uFFFD\uFFFD", "\xed\xa0\x80": "\uFFFD\uFFFD\uFFFD", "ok\uFFFD": "ok\uFFFD",
	} {
		e, err := tok.Encode(in, false)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tok.Decode(e.IDs, false); err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	text := readText(b, "test.txt")
	for _, m := range models {
		b.Run(m.name, func(b *testing.B) {
			tok := load(b, m.file)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := tok.Encode(text, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
