package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is an element of the file's added_tokens: a text that is one
// token wherever it stands, found before the model sees the rest.
type addedToken struct {
	ID         *int64 `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // not within a word
	LStrip     bool   `json:"lstrip"`      // takes the white space before it
	RStrip     bool   `json:"rstrip"`      // takes the white space behind it
	Normalized bool   `json:"normalized"`  // found in the normalized text
	Special    bool   `json:"special"`
}

// addedSet finds added tokens in a text.
type addedSet struct {
	tokens []addedToken
	trie   *trie // values index tokens
}

// segment is a part of a text: an added token, or (added nil) what lies
// between two of them.
type segment struct {
	text  string
	start int // byte offset in the text that was split
	added *addedToken
}

// enterAdded puts the file's added tokens into the vocabulary and returns
// those found in the raw text and those found in the normalized text.
func enterAdded(list []addedToken, v *vocabulary, n normalizer) (raw, normalized *addedSet, err error) {
	var rawTokens, normTokens []addedToken
	limit := int64(len(v.ids)+len(list))*idFactor + idSlack
	for i, a := range list {
		if a.Content == "" {
			continue // the reference library ignores it, too
		}
		if err := enterOne(a, v, limit); err != nil {
			return nil, nil, fmt.Errorf("added_tokens[%d]: %w", i, err)
		}
		if !a.Normalized {
			rawTokens = append(rawTokens, a)
			continue
		}
		if a.Content, err = n.normalize(a.Content); err != nil {
			return nil, nil, fmt.Errorf("added_tokens[%d]: %w", i, err)
		}
		v.tokens[*a.ID].text = a.Content // what Decode gives, as the reference library
		normTokens = append(normTokens, a)
	}
	return newAddedSet(rawTokens), newAddedSet(normTokens), nil
}

func enterOne(a addedToken, v *vocabulary, limit int64) error {
	if a.ID == nil {
		return fmt.Errorf("token %q has no id", a.Content)
	}
	if err := checkID(*a.ID, limit); err != nil {
		return fmt.Errorf("token %q: %w", a.Content, err)
	}
	if old := v.id(a.Content); old >= 0 && int64(old) != *a.ID {
		return fmt.Errorf("token %q has id %d here and %d before", a.Content, *a.ID, old)
	}
	if err := v.set(a.Content, int32(*a.ID), false); err != nil {
		return err
	}
	v.tokens[*a.ID].special = a.Special
	return nil
}

// newAddedSet is nil for no tokens.
func newAddedSet(tokens []addedToken) *addedSet {
	if len(tokens) == 0 {
		return nil
	}
	keys := make([]string, len(tokens))
	values := make([]int32, len(tokens))
	for i, a := range tokens {
		keys[i], values[i] = a.Content, int32(i)
	}
	return &addedSet{tokens: tokens, trie: newTrie(keys, values)}
}

// split cuts s at added tokens, the longest first where several begin at one
// place. Parts that are empty are left out.
func (a *addedSet) split(s string) []segment {
	if s == "" {
		return nil
	}
	if a == nil {
		return []segment{{text: s}}
	}
	var out []segment
	done := 0
	for i := 0; i < len(s); {
		k, n := a.trie.longest(s[i:])
		if k < 0 {
			i++
			continue
		}
		tok := &a.tokens[k]
		start, end := i, i+n
		i = end
		if start < done || tok.SingleWord && (wordBefore(s[:start]) || wordAfter(s[end:])) {
			continue
		}
		if tok.LStrip {
			start = done + len(strings.TrimRightFunc(s[done:start], unicode.IsSpace))
		}
		if tok.RStrip {
			end = len(s) - len(strings.TrimLeftFunc(s[end:], unicode.IsSpace))
		}
		if start > done {
			out = append(out, segment{text: s[done:start], start: done})
		}
		out = append(out, segment{text: s[start:end], start: start, added: tok})
		done = end
	}
	if done < len(s) {
		out = append(out, segment{text: s[done:], start: done})
	}
	return out
}

func wordBefore(s string) bool {
	r, w := utf8.DecodeLastRuneInString(s)
	return w > 0 && isWord(r)
}

func wordAfter(s string) bool {
	r, w := utf8.DecodeRuneInString(s)
	return w > 0 && isWord(r)
}
