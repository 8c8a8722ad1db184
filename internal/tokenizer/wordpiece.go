package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// wordPiece takes the longest token that a piece begins with, then the longest
// continuation, and so on; a piece that cannot be covered is unknown as a whole.
type wordPiece struct {
	vocab    *vocabulary
	starts   *trie // tokens that begin a piece
	rests    *trie // tokens that continue it, without the prefix
	unk      int32
	maxChars int // longer pieces are unknown
}

func newWordPiece(f *modelFile, v *vocabulary) (*wordPiece, error) {
	m := &wordPiece{vocab: v, maxChars: 100}
	if f.MaxChars != nil {
		m.maxChars = *f.MaxChars
	}
	if m.maxChars < 0 {
		return nil, fmt.Errorf("model.max_input_chars_per_word: %d is negative", m.maxChars)
	}
	prefix, unk := "##", "[UNK]"
	if f.Prefix != nil {
		prefix = *f.Prefix
	}
	if f.UnkToken != nil {
		unk = *f.UnkToken
	}
	var err error
	if m.unk, err = v.require(unk, "model.unk_token"); err != nil {
		return nil, err
	}
	m.starts, m.rests = newWordPieceTries(v, prefix)
	return m, nil
}

// newWordPieceTries indexes all tokens, and those with the prefix by the rest.
func newWordPieceTries(v *vocabulary, prefix string) (starts, rests *trie) {
	var keys, restKeys []string
	var values, restValues []int32
	for token, id := range v.ids {
		keys, values = append(keys, token), append(values, id)
		if len(token) > len(prefix) && token[:len(prefix)] == prefix {
			restKeys, restValues = append(restKeys, token[len(prefix):]), append(restValues, id)
		}
	}
	return newTrie(keys, values), newTrie(restKeys, restValues)
}

func (m *wordPiece) encode(dst []token, piece string) ([]token, error) {
	if len(piece) > m.maxChars && utf8.RuneCountInString(piece) > m.maxChars {
		return append(dst, m.vocab.token(m.unk)), nil
	}
	start := len(dst)
	set := m.starts
	for rest := piece; rest != ""; set = m.rests {
		id, n := set.longest(rest)
		if id < 0 {
			return append(dst[:start], m.vocab.token(m.unk)), nil
		}
		dst = append(dst, m.vocab.token(id))
		rest = rest[n:]
	}
	return dst, nil
}

// wordLevel knows whole pieces only.
type wordLevel struct {
	vocab *vocabulary
	unk   int32 // -1: none, unknown pieces are an error
}

func newWordLevel(f *modelFile, v *vocabulary) (*wordLevel, error) {
	m := &wordLevel{vocab: v, unk: -1}
	// The reference library misses the token only when it needs it.
	if name := text(f.UnkToken); name != "" {
		m.unk = v.id(name)
	}
	return m, nil
}

func (m *wordLevel) encode(dst []token, piece string) ([]token, error) {
	id := m.vocab.id(piece)
	if id < 0 {
		id = m.unk
	}
	if id < 0 {
		return nil, fmt.Errorf("%.50q is not in the vocabulary, and there is no unknown token", piece)
	}
	return append(dst, m.vocab.token(id)), nil
}
