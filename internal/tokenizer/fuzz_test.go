package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// smallFiles are tokenizers short enough to be mutated.
func smallFiles(tb testing.TB) []string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(fixtureDir, "components.jsonl"))
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		var c componentLine
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			tb.Fatal(err)
		}
		switch {
		case len(c.Config) > 4096:
		case c.Part == "tokenizer":
			out = append(out, string(c.Config))
		case string(c.Config) != "null":
			out = append(out, `{`+words+`,"`+c.Part+`":`+string(c.Config)+`}`)
		}
	}
	if len(out) < 100 {
		tb.Fatalf("%d seeds", len(out))
	}
	return out
}

// FuzzLoad parses any bytes and, where they make a tokenizer, uses it.
func FuzzLoad(f *testing.F) {
	for _, s := range smallFiles(f) {
		f.Add([]byte(s), "the fo fox  12 héé 漢字\n<x>")
	}
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if len(data) > 1<<16 || len(text) > 1<<12 {
			return
		}
		tok, err := Parse(data)
		if err != nil {
			if tok != nil {
				t.Fatal("a tokenizer and an error")
			}
			return
		}
		for _, special := range []bool{false, true} {
			e, err := tok.EncodePair(text, text, special)
			if err != nil {
				continue
			}
			if len(e.IDs) != len(e.TypeIDs) || len(e.IDs) != len(e.Tokens) {
				t.Fatal("lengths differ")
			}
			for _, id := range e.IDs {
				if id < 0 || id >= int64(tok.VocabSize()) {
					t.Fatalf("id %d of a vocabulary of %d", id, tok.VocabSize())
				}
			}
			if _, err := tok.Decode(e.IDs, special); err != nil && !strings.Contains(err.Error(), "grows") && !strings.Contains(err.Error(), "too long") {
				t.Fatalf("decoding what was encoded: %v", err)
			}
		}
	})
}

// FuzzEncode encodes any text with all fixtures; the byte-level models must
// give it back, and encode the result in the same way again.
func FuzzEncode(f *testing.F) {
	for _, x := range readFixtures(f, "gpt2") {
		f.Add(x.Text)
	}
	f.Add("\xff\xc0\xe2\x82")
	var toks []*Tokenizer
	for _, m := range models {
		toks = append(toks, load(f, m.file))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, tok := range toks {
			e, err := tok.Encode(text, true)
			if err != nil {
				t.Fatalf("%s: %v", models[i].name, err)
			}
			back, err := tok.Decode(e.IDs, false)
			if err != nil {
				t.Fatalf("%s: %v", models[i].name, err)
			}
			if !utf8.ValidString(back) {
				t.Fatalf("%s: %q is not UTF-8", models[i].name, back)
			}
			if byteLevel := models[i].name == "tinygpt" || models[i].name == "gpt2"; byteLevel && back != valid(text) {
				t.Fatalf("%s: %q became %q", models[i].name, text, back)
			}
		}
	})
}
