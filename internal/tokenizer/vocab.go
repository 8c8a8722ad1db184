package tokenizer

import (
	"fmt"
	"math"
)

// Limits on a vocabulary, which comes from an untrusted file.
const (
	maxToken = 2048 // bytes of one token; the longest in use have a few hundred
	idSlack  = 1 << 16
	idFactor = 8
)

// vocabulary maps tokens to ids and back. Added tokens are part of it.
type vocabulary struct {
	ids    map[string]int32
	tokens []entry // by id
}

type entry struct {
	text    string
	known   bool
	special bool // left out by Decode when asked to skip special tokens
}

// newVocabulary takes a model's tokens. Of several tokens with one id, Decode
// gives the first in byte order.
func newVocabulary(ids map[string]int64, path string) (*vocabulary, error) {
	v := &vocabulary{ids: make(map[string]int32, len(ids))}
	limit := int64(len(ids))*idFactor + idSlack
	for token, id := range ids {
		if err := checkID(id, limit); err != nil {
			return nil, fmt.Errorf("%s: token %q: %w", path, token, err)
		}
		if err := v.set(token, int32(id), true); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return v, nil
}

// checkID refuses ids that no vocabulary of this size would have: the table
// from ids to tokens is as long as the largest.
func checkID(id, limit int64) error {
	if id < 0 || id >= min(limit, math.MaxInt32) {
		return fmt.Errorf("id %d is out of range 0…%d", id, min(limit, math.MaxInt32)-1)
	}
	return nil
}

// set enters a token; keep tells that an id's lesser text stays.
func (v *vocabulary) set(token string, id int32, keep bool) error {
	if len(token) > maxToken {
		return fmt.Errorf("token %q… has %d bytes, more than %d", token[:32], len(token), maxToken)
	}
	v.ids[token] = id
	if n := int(id) + 1; n > len(v.tokens) {
		v.tokens = append(v.tokens, make([]entry, n-len(v.tokens))...)
	}
	e := &v.tokens[id]
	if !keep || !e.known || token < e.text {
		e.text, e.known = token, true
	}
	return nil
}

// id looks a token up; -1 if it is not there.
func (v *vocabulary) id(token string) int32 {
	if id, ok := v.ids[token]; ok {
		return id
	}
	return -1
}

// token pairs an id with its text.
func (v *vocabulary) token(id int32) token { return token{id, v.tokens[id].text} }

// require looks up a token that the model names.
func (v *vocabulary) require(name, path string) (int32, error) {
	id := v.id(name)
	if id < 0 {
		return 0, fmt.Errorf("%s: token %q is not in the vocabulary", path, name)
	}
	return id, nil
}

// VocabSize is one more than the largest id: the rows an embedding needs.
func (t *Tokenizer) VocabSize() int { return len(t.vocab.tokens) }

// TokenID gives the id of a token, added or of the model, by its exact text in
// the file (byte-level models write a space as "Ġ").
func (t *Tokenizer) TokenID(token string) (int64, bool) {
	id, ok := t.vocab.ids[token]
	return int64(id), ok
}

// Token gives the text of an id as it stands in the file.
func (t *Tokenizer) Token(id int64) (string, bool) {
	if id < 0 || id >= int64(len(t.vocab.tokens)) || !t.vocab.tokens[id].known {
		return "", false
	}
	return t.vocab.tokens[id].text, true
}

// IsSpecial tells whether the file marks the token of this id as special.
func (t *Tokenizer) IsSpecial(id int64) bool {
	return id >= 0 && id < int64(len(t.vocab.tokens)) && t.vocab.tokens[id].special
}

// PadID is the id that the file's padding section names, else that of a token
// with one of the usual names.
func (t *Tokenizer) PadID() (int64, bool) {
	if t.padding != nil {
		return t.padding.PadID, true
	}
	return t.firstOf("<pad>", "[PAD]", "<PAD>", "<|pad|>", "<|padding|>", "<|finetune_right_pad_id|>")
}

// BOSID is the id that begins a text: the first special token that the
// post-processor puts before it, else a token with one of the usual names.
func (t *Tokenizer) BOSID() (int64, bool) {
	if p := t.post.single; len(p) > 0 && len(p[0].tokens) > 0 {
		return int64(p[0].tokens[0].id), true
	}
	return t.firstOf("<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "[CLS]", "<|endoftext|>")
}

// EOSID is the id that ends a text: the last special token that the
// post-processor puts behind it, else a token with one of the usual names.
func (t *Tokenizer) EOSID() (int64, bool) {
	if p := t.post.single; len(p) > 0 && len(p[len(p)-1].tokens) > 0 {
		last := p[len(p)-1].tokens
		return int64(last[len(last)-1].id), true
	}
	return t.firstOf("</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "[SEP]")
}

func (t *Tokenizer) firstOf(names ...string) (int64, bool) {
	for _, n := range names {
		if id, ok := t.vocab.ids[n]; ok {
			return int64(id), true
		}
	}
	return 0, false
}
