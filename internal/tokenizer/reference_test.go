package tokenizer

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"optim/internal/tokenizer/pattern"
)

// randomText mixes a few characters so that repetitions are frequent.
func randomText(rng *rand.Rand, alphabet []rune, n int) string {
	var b strings.Builder
	for range n {
		b.WriteRune(alphabet[rng.IntN(len(alphabet))])
	}
	return b.String()
}

// TestWordsAgainstPattern compares the hand-written scanner of GPT-2's pattern
// with the pattern itself.
func TestWordsAgainstPattern(t *testing.T) {
	re, err := pattern.Compile(gpt2Pattern)
	if err != nil {
		t.Fatal(err)
	}
	alphabet := []rune("  \n\t\u00a0\u2003''''strevmlldxé漢①1२.,!\u0301\u200d😀")
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 20000 {
		text := randomText(rng, alphabet, 1+i%24)
		found, err := re.All(text)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, f := range found {
			want = append(want, text[f[0]:f[1]])
		}
		for _, p := range appendWords(nil, text, true) {
			got = append(got, p.text)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
	}
}

// slowMerge is byte pair encoding word by word as it is defined: look for the
// lowest rank, the leftmost of equal ones, and start again.
func slowMerge(ids []int32, merges map[uint64]merge) []int32 {
	for {
		best, at := merge{rank: math.MaxUint32}, -1
		for i := 0; i+1 < len(ids); i++ {
			if m, ok := merges[pairKey(ids[i], ids[i+1])]; ok && m.rank < best.rank {
				best, at = m, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = slices.Replace(slices.Clone(ids), at, at+2, best.id)
	}
}

func TestMergeAgainstSlow(t *testing.T) {
	m := load(t, fixtureDir+"/bpe-llama/tokenizer.json").model.(*bpe)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 3000 {
		ids := m.characters(nil, randomText(rng, []rune("▁▁thenaioérrs漢"), i%60))
		s := &symbols{ids: slices.Clone(ids)}
		s.merge(m.merges)
		got := slices.DeleteFunc(s.ids, func(id int32) bool { return id == merged })
		if want := slowMerge(ids, m.merges); !slices.Equal(got, want) {
			t.Fatalf("%v: %v, want %v", ids, got, want)
		}
	}
}

// TestUnigramAgainstAll compares the score found with that of all ways to cut
// a short text.
func TestUnigramAgainstAll(t *testing.T) {
	tok := load(t, fixtureDir+"/unigram-t5/tokenizer.json")
	m := tok.model.(*unigram)
	var best func(s string) float64
	best = func(s string) float64 {
		if s == "" {
			return 0
		}
		w := width(s, 0)
		top := m.unkCost + best(s[w:])
		if m.vocab.id(s[:w]) >= 0 {
			top = math.Inf(-1)
		}
		for n := 1; n <= len(s); n++ {
			if id := m.vocab.id(s[:n]); id >= 0 {
				top = max(top, m.scores[id]+best(s[n:]))
			}
		}
		return top
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		text := randomText(rng, []rune("▁thenaiors漢"), 1+rng.IntN(9))
		tokens, err := m.encode(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		sum, joined := 0.0, ""
		for _, k := range tokens {
			joined += k.text
			if k.id == m.unk {
				sum += m.unkCost * float64(len([]rune(k.text)))
				continue
			}
			sum += m.scores[k.id]
		}
		if joined != text || math.Abs(sum-best(text)) > 1e-9 {
			t.Fatalf("%q: %v scores %v, want %v", text, tokens, sum, best(text))
		}
	}
}

func TestTrieAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		want := map[string]int32{}
		var keys []string
		var values []int32
		for i := range int32(1 + rng.IntN(300)) {
			key := randomText(rng, []rune("abc\x00é漢"), rng.IntN(6))
			keys, values = append(keys, key), append(values, i)
			if _, ok := want[key]; !ok && key != "" {
				want[key] = i
			}
		}
		tr := newTrie(keys, values)
		for range 50 {
			text := randomText(rng, []rune("abc\x00é漢"), rng.IntN(9))
			value, length := int32(-1), 0
			for n := 1; n <= len(text); n++ {
				if v, ok := want[text[:n]]; ok {
					value, length = v, n
				}
			}
			if v, n := tr.longest(text); v != value || n != length {
				t.Fatalf("%q in %q: %d %d, want %d %d", text, keys, v, n, value, length)
			}
		}
	}
}

// TestTrieWide has a node with every byte, which is searched by halves.
func TestTrieWide(t *testing.T) {
	var keys []string
	var values []int32
	for i := range 256 {
		keys, values = append(keys, "x"+string([]byte{byte(i)})), append(values, int32(i))
	}
	tr := newTrie(keys, values)
	for i, k := range keys {
		if v, n := tr.longest(k + "y"); v != int32(i) || n != 2 {
			t.Errorf("%q: %d %d", k, v, n)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	tok, err := Load(tinygptFile)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(9, 10))
	for range 60 {
		words := make([]string, 1000)
		for i := range words {
			words[i] = randomText(rng, []rune("abcdefghijklmnop"), 4+rng.IntN(40))
		}
		if _, err := tok.Encode(strings.Join(words, " "), false); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(tok.cache.words); n > cacheWords || n < cacheWords/2 {
		t.Errorf("%d words", n)
	}
	for w := range tok.cache.words {
		if len(w) > cacheBytes {
			t.Errorf("%q has %d bytes", w, len(w))
		}
	}
}
