package tokenizer

import (
	"fmt"
	"math"
	"slices"
)

// unknownPenalty is what an unknown character scores below the worst token.
const unknownPenalty = 10

// unigram finds the tokens whose scores (logarithms of probabilities) have the
// greatest sum, by dynamic programming from left to right (Viterbi).
type unigram struct {
	vocab   *vocabulary
	tokens  *trie // values are ids
	scores  []float64
	unk     int32       // -1: unknown characters are an error
	unkCost float64     // score of an unknown character
	bytes   *[256]int32 // unknown characters become bytes; nil: they do not
}

// scored is a vocabulary element, written as ["token", score].
type scored struct {
	token string
	score float64
}

// UnmarshalJSON reads the two elements.
func (s *scored) UnmarshalJSON(data []byte) error {
	return twoElements(data, &s.token, &s.score)
}

func readUnigram(f *modelFile) (*vocabulary, model, error) {
	var list []scored
	if err := (component{f.Vocab, "model.vocab", 0}).decode(&list); err != nil {
		return nil, nil, err
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("model.vocab: is empty")
	}
	v := &vocabulary{ids: make(map[string]int32, len(list))}
	m := &unigram{vocab: v, unk: -1, unkCost: math.Inf(1)}
	keys, values := make([]string, len(list)), make([]int32, len(list))
	for i, s := range list {
		if err := v.set(s.token, int32(i), false); err != nil {
			return nil, nil, fmt.Errorf("model.vocab[%d]: %w", i, err)
		}
		keys[i], values[i] = s.token, int32(i)
		m.scores = append(m.scores, s.score)
		m.unkCost = min(m.unkCost, s.score-unknownPenalty)
	}
	// Of a token that is listed twice the last counts, for text and trie alike.
	slices.Reverse(keys)
	slices.Reverse(values)
	m.tokens = newTrie(keys, values)
	if f.UnkID != nil {
		if *f.UnkID < 0 || *f.UnkID >= int64(len(list)) {
			return nil, nil, fmt.Errorf("model.unk_id: %d is out of range 0…%d", *f.UnkID, len(list)-1)
		}
		m.unk = int32(*f.UnkID)
	}
	if f.ByteFallback {
		m.bytes = byteTokens(v)
	}
	return v, m, nil
}

// step is the best way to a byte offset: its last token and where that begins.
type step struct {
	score float64
	from  int32 // -1: no way yet
	id    int32
}

func (m *unigram) encode(dst []token, piece string) ([]token, error) {
	steps := make([]step, len(piece)+1)
	for i := range steps {
		steps[i].from = -1
	}
	for i := 0; i < len(piece); {
		w := width(piece, i)
		if known := m.extend(steps, piece, i, w); !known {
			if m.unk < 0 {
				return nil, fmt.Errorf("%q is not in the vocabulary, and there is no unknown token", piece[i:i+w])
			}
			better(&steps[i+w], step{steps[i].score + m.unkCost, int32(i), m.unk})
		}
		i += w
	}
	return m.trace(dst, steps, piece), nil
}

// extend tries all tokens that begin at i; known tells whether one of them is
// just the one character there.
func (m *unigram) extend(steps []step, piece string, i, width int) (known bool) {
	base := steps[i].score
	n := int32(0)
	for j := i; j < len(piece); j++ {
		if n = m.tokens.step(n, piece[j]); n < 0 {
			break
		}
		id := m.tokens.nodes[n].value
		if id < 0 {
			continue
		}
		better(&steps[j+1], step{base + m.scores[id], int32(i), id})
		known = known || j+1-i == width
	}
	return known
}

func better(s *step, candidate step) {
	if s.from < 0 || candidate.score > s.score {
		*s = candidate
	}
}

// trace follows the best way back from the end. Unknown characters in a row
// are one token, which shows them.
func (m *unigram) trace(dst []token, steps []step, piece string) []token {
	start := len(dst)
	for end := len(piece); end > 0; {
		s := steps[end]
		from := int(s.from)
		if s.id != m.unk {
			dst = append(dst, m.vocab.token(s.id))
			end = from
			continue
		}
		for from > 0 && steps[from].id == m.unk {
			from = int(steps[from].from)
		}
		dst = m.unknown(dst, piece[from:end])
		end = from
	}
	slices.Reverse(dst[start:])
	return dst
}

// unknown appends the tokens of an unknown text, last first.
func (m *unigram) unknown(dst []token, s string) []token {
	if id := m.vocab.id(s); id >= 0 {
		return append(dst, token{id, s})
	}
	if m.bytes != nil {
		if ids, ok := appendBytes(nil, m.bytes, s); ok {
			for _, id := range slices.Backward(ids) {
				dst = append(dst, m.vocab.token(id))
			}
			return dst
		}
	}
	return append(dst, token{m.unk, s})
}
