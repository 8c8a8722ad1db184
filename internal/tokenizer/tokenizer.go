// Package tokenizer turns text into the token ids of a model and back, as the
// file tokenizer.json of the Hugging Face library tokenizers describes it.
//
// A text passes added tokens (cut out first), the normalizer, the
// pre-tokenizer (pieces such as words), the model (BPE, WordPiece, WordLevel
// or Unigram: tokens of a piece) and the post-processor (special tokens).
//
// The file is untrusted: sizes are bounded and everything unknown or
// inconsistent is an error that names the file and the field. The sections
// "padding" and "truncation" are read but not applied: callers build batches
// themselves (see PadID, Truncation and Options.MaxLength). A Tokenizer may be
// shared by goroutines.
package tokenizer

import (
	"fmt"
	"math"
)

// Tokenizer is a tokenizer.json, ready for use.
type Tokenizer struct {
	vocab      *vocabulary
	raw        *addedSet // found in the text as given
	normalized *addedSet // found in the normalized text
	norm       normalizer
	pre        preTokenizer
	model      model
	cache      *cache
	post       *postProcessor
	decoder    decoder // nil: tokens are joined by spaces
	padding    *padding
	truncation *truncation
}

// Encoding is a tokenized text. The slices have equal lengths.
type Encoding struct {
	IDs     []int64
	TypeIDs []int64 // which of two texts a token belongs to, as the file has it
	Tokens  []string
}

// Options of EncodeWith.
type Options struct {
	// Special adds the special tokens of the post-processor, for example
	// [CLS] and [SEP].
	Special bool
	// MaxLength cuts the text so that, special tokens included, at most so
	// many ids result; of a pair, the longer text is cut first. 0: no limit.
	MaxLength int
}

// token is an id with its text, which is not always the vocabulary's: unknown
// pieces of Unigram models and added tokens show what stands in the text.
type token struct {
	id   int32
	text string
}

// model cuts a piece, which is not empty, into tokens appended to dst.
type model interface {
	encode(dst []token, piece string) ([]token, error)
}

// Encode tokenizes a text; special adds the tokens of the post-processor. What
// is not UTF-8 counts as U+FFFD. An error means that the model has no token for
// a part of the text, or that the file's patterns take it too long.
func (t *Tokenizer) Encode(text string, special bool) (Encoding, error) {
	return t.EncodeWith(text, nil, Options{Special: special})
}

// EncodePair tokenizes two texts that the model reads together.
func (t *Tokenizer) EncodePair(a, b string, special bool) (Encoding, error) {
	return t.EncodeWith(a, &b, Options{Special: special})
}

// EncodeWith tokenizes a text, or two if pair is not nil.
func (t *Tokenizer) EncodeWith(text string, pair *string, o Options) (Encoding, error) {
	a, err := t.tokens(text)
	if err != nil {
		return Encoding{}, err
	}
	var b []token
	if pair != nil {
		if b, err = t.tokens(*pair); err != nil {
			return Encoding{}, err
		}
	}
	if o.MaxLength > 0 {
		added := 0
		if o.Special {
			added = t.SpecialCount(pair != nil)
		}
		if o.MaxLength < added {
			return Encoding{}, fmt.Errorf("max length %d is less than the %d special tokens", o.MaxLength, added)
		}
		a, b = truncate(a, b, o.MaxLength-added)
	}
	return t.post.assemble(a, b, pair != nil, o.Special)
}

// truncate cuts the longer text first, until both have at most max tokens.
func truncate(a, b []token, max int) ([]token, []token) {
	if len(a)+len(b) <= max {
		return a, b
	}
	short, long := min(len(a), len(b)), max
	if 2*short >= max {
		short = max / 2
	}
	long = max - short
	if len(a) > len(b) {
		return a[:long], b[:short]
	}
	return a[:short], b[:long]
}

// tokens runs a text through everything but the post-processor.
func (t *Tokenizer) tokens(text string) ([]token, error) {
	if len(text) > math.MaxInt32/2 {
		return nil, fmt.Errorf("a text of %d bytes is longer than %d", len(text), math.MaxInt32/2)
	}
	text = valid(text)
	out := make([]token, 0, len(text)/4+4)
	for _, outer := range t.raw.split(text) {
		if outer.added != nil {
			out = append(out, token{int32(*outer.added.ID), outer.text})
			continue
		}
		s, err := t.norm.normalize(outer.text)
		if err != nil {
			return nil, fmt.Errorf("normalizer: %w", err)
		}
		for _, inner := range t.normalized.split(s) {
			if inner.added != nil {
				out = append(out, token{int32(*inner.added.ID), inner.text})
				continue
			}
			first := outer.start == 0 && inner.start == 0
			if out, err = t.pieces(out, piece{inner.text, first}); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// pieces pre-tokenizes a part of the text and appends the tokens of its pieces.
func (t *Tokenizer) pieces(out []token, p piece) ([]token, error) {
	list, err := t.pre.split([]piece{p})
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	for _, p := range list {
		if out, err = t.cache.encode(t.model, out, p.text); err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
	}
	return out, nil
}

// SpecialCount is the number of tokens that the post-processor adds to a text,
// or to a pair of texts.
func (t *Tokenizer) SpecialCount(pair bool) int { return t.post.count(pair) }

// Truncation is the length of the file's truncation section, which Encode does
// not apply.
func (t *Tokenizer) Truncation() (maxLength int, ok bool) {
	if t.truncation == nil {
		return 0, false
	}
	return t.truncation.MaxLength, true
}
