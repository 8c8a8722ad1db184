package tokenizer

import (
	"fmt"
	"strings"
	"sync"
)

// bpe is byte pair encoding: a piece starts as its characters, and of all
// neighbours the pair that was learnt first is merged, the leftmost of several,
// until none is left.
type bpe struct {
	vocab        *vocabulary
	small        [512]int32 // ids of the first characters of Unicode; -1: none
	merges       map[uint64]merge
	unk          int32 // -1: unknown characters are dropped
	fuseUnk      bool
	ignoreMerges bool        // a piece that is a token stays whole
	bytes        *[256]int32 // unknown characters become bytes; nil: they do not
	prefix       string      // of every character but the first of a piece
	suffix       string      // of the last one
	scratch      sync.Pool   // *symbols
}

// merge is what a pair becomes, and when it was learnt.
type merge struct {
	rank uint32
	id   int32
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

func newBPE(f *modelFile, v *vocabulary) (*bpe, error) {
	m := &bpe{
		vocab: v, merges: make(map[uint64]merge, len(f.Merges)), unk: -1,
		fuseUnk: f.FuseUnk, ignoreMerges: f.IgnoreMerges,
		prefix: text(f.Prefix), suffix: text(f.Suffix),
	}
	m.scratch.New = func() any { return new(symbols) }
	var err error
	// Older files write "" for no unknown token.
	if name := text(f.UnkToken); name != "" {
		if m.unk, err = v.require(name, "model.unk_token"); err != nil {
			return nil, err
		}
	}
	if f.ByteFallback {
		m.bytes = byteTokens(v)
	}
	for r := range m.small {
		m.small[r] = v.id(string(rune(r)))
	}
	for i, pair := range f.Merges {
		if err := m.learn(i, pair); err != nil {
			return nil, fmt.Errorf("model.merges[%d]: %w", i, err)
		}
	}
	return m, nil
}

// learn enters the merge of this rank. Of a pair given twice the last counts.
func (m *bpe) learn(rank int, pair mergePair) error {
	left, right := m.vocab.id(pair[0]), m.vocab.id(pair[1])
	if left < 0 {
		return fmt.Errorf("token %q is not in the vocabulary", pair[0])
	}
	if right < 0 {
		return fmt.Errorf("token %q is not in the vocabulary", pair[1])
	}
	joined := pair[0] + strings.TrimPrefix(pair[1], m.prefix)
	id := m.vocab.id(joined)
	if id < 0 {
		return fmt.Errorf("the merged token %q is not in the vocabulary", joined)
	}
	m.merges[pairKey(left, right)] = merge{uint32(rank), id}
	return nil
}

func (m *bpe) encode(dst []token, piece string) ([]token, error) {
	if m.ignoreMerges {
		if id := m.vocab.id(piece); id >= 0 {
			return append(dst, m.vocab.token(id)), nil
		}
	}
	s := m.scratch.Get().(*symbols)
	s.ids = m.characters(s.ids[:0], piece)
	s.merge(m.merges)
	for _, id := range s.ids {
		if id != merged {
			dst = append(dst, m.vocab.token(id))
		}
	}
	if cap(s.ids) <= maxScratch {
		m.scratch.Put(s)
	}
	return dst, nil
}

// characters appends the ids of the characters of a piece. Unknown ones are
// held back until a known one follows, as in the reference library: what byte
// fallback yields in between comes before them.
func (m *bpe) characters(ids []int32, piece string) []int32 {
	unknown := false
	for i := 0; i < len(piece); {
		w := width(piece, i)
		id := m.character(piece, i, i+w)
		s := piece[i : i+w]
		i += w
		if id >= 0 {
			if unknown {
				ids, unknown = append(ids, m.unk), false
			}
			ids = append(ids, id)
			continue
		}
		if m.bytes != nil {
			var ok bool
			if ids, ok = appendBytes(ids, m.bytes, m.affixed(s, i-w, i == len(piece))); ok {
				continue
			}
		}
		if m.unk < 0 {
			continue
		}
		if unknown && !m.fuseUnk {
			ids = append(ids, m.unk)
		}
		unknown = true
	}
	if unknown {
		ids = append(ids, m.unk)
	}
	return ids
}

// character looks up the character piece[i:end]; -1 if it is unknown.
func (m *bpe) character(piece string, i, end int) int32 {
	if m.prefix == "" && m.suffix == "" {
		if end-i <= 2 {
			if r := firstRune(piece[i:end]); r < rune(len(m.small)) {
				return m.small[r]
			}
		}
		return m.vocab.id(piece[i:end])
	}
	return m.vocab.id(m.affixed(piece[i:end], i, end == len(piece)))
}

// affixed writes a character the way the vocabulary has it at this place.
func (m *bpe) affixed(s string, at int, last bool) string {
	if at > 0 {
		s = m.prefix + s
	}
	if last {
		s += m.suffix
	}
	return s
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}
