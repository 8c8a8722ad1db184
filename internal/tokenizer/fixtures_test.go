package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

const (
	fixtureDir  = "../../testdata/tokenizers"
	tinygptFile = "../../testdata/models/tinygpt/tokenizer.json"
)

// load reads a tokenizer of the fixtures once for all tests.
func load(tb testing.TB, path string) *Tokenizer {
	tb.Helper()
	if tok, ok := loaded.Load(path); ok {
		return tok.(*Tokenizer)
	}
	tok, err := Load(path)
	if err != nil {
		tb.Fatal(err)
	}
	loaded.Store(path, tok)
	return tok
}

var loaded sync.Map // path: *Tokenizer

// fixture is a line that the reference library computed.
type fixture struct {
	Text    string   `json:"text"`
	IDs     []int64  `json:"ids"`
	Plain   []int64  `json:"ids_plain"`
	Tokens  []string `json:"tokens"`
	Decoded string   `json:"decoded"`
}

func readFixtures(tb testing.TB, name string) []fixture {
	tb.Helper()
	f, err := os.Open(filepath.Join(fixtureDir, name+".jsonl"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var out []fixture
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var x fixture
		if err := json.Unmarshal(scanner.Bytes(), &x); err != nil {
			tb.Fatal(err)
		}
		out = append(out, x)
	}
	if err := scanner.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}

// models lists the fixtures and their tokenizers.
var models = []struct{ name, file string }{
	{"tinygpt", tinygptFile},
	{"minilm", fixtureDir + "/minilm/tokenizer.json"},
	{"gpt2", fixtureDir + "/gpt2/tokenizer.json"},
	{"unigram-t5", fixtureDir + "/unigram-t5/tokenizer.json"},
	{"unigram-xlmr", fixtureDir + "/unigram-xlmr/tokenizer.json"},
	{"bpe-llama", fixtureDir + "/bpe-llama/tokenizer.json"},
}

func TestFixtures(t *testing.T) {
	for _, m := range models {
		t.Run(m.name, func(t *testing.T) {
			tok := load(t, m.file)
			lines := readFixtures(t, m.name)
			if len(lines) != 200 {
				t.Fatalf("%d lines, want 200", len(lines))
			}
			for i, x := range lines {
				checkLine(t, tok, i+1, x)
			}
		})
	}
}

func checkLine(t *testing.T, tok *Tokenizer, line int, x fixture) {
	t.Helper()
	full, err := tok.Encode(x.Text, true)
	if err != nil {
		t.Fatalf("line %d: %v", line, err)
	}
	plain, err := tok.Encode(x.Text, false)
	if err != nil {
		t.Fatalf("line %d: %v", line, err)
	}
	decoded, err := tok.Decode(x.Plain, true)
	if err != nil {
		t.Fatalf("line %d: %v", line, err)
	}
	if !slices.Equal(full.IDs, x.IDs) {
		t.Errorf("line %d: %q: ids\n%v, want\n%v", line, x.Text, full.IDs, x.IDs)
	}
	if !slices.Equal(plain.IDs, x.Plain) {
		t.Errorf("line %d: %q: plain ids\n%v, want\n%v", line, x.Text, plain.IDs, x.Plain)
	}
	if !slices.Equal(plain.Tokens, x.Tokens) {
		t.Errorf("line %d: %q: tokens\n%q, want\n%q", line, x.Text, plain.Tokens, x.Tokens)
	}
	if decoded != x.Decoded {
		t.Errorf("line %d: decoded\n%q, want\n%q", line, decoded, x.Decoded)
	}
	if len(full.TypeIDs) != len(full.IDs) || len(full.Tokens) != len(full.IDs) {
		t.Errorf("line %d: lengths %d %d %d differ", line, len(full.IDs), len(full.TypeIDs), len(full.Tokens))
	}
}

// TestSharedByGoroutines encodes the same lines in several goroutines, each in
// another order, with one tokenizer and its cache.
func TestSharedByGoroutines(t *testing.T) {
	for _, m := range models {
		tok, err := Load(m.file) // anew, with an empty cache
		if err != nil {
			t.Fatal(err)
		}
		lines := readFixtures(t, m.name)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range lines {
					x := lines[(i*(2*g+1)+g)%len(lines)]
					if e, err := tok.Encode(x.Text, true); err != nil || !slices.Equal(e.IDs, x.IDs) {
						t.Errorf("%s: %q: %v %v, want %v", m.name, x.Text, e.IDs, err, x.IDs)
					}
				}
			})
		}
		wg.Wait()
	}
}
