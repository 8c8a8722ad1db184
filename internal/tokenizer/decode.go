package tokenizer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decoder rewrites the tokens of a text, which are then joined. It may change
// the slice in place.
type decoder interface {
	decode(tokens []string) ([]string, error)
}

// Decode turns ids back into text. Special tokens are left out if skipSpecial;
// an id that the vocabulary has not is an error.
func (t *Tokenizer) Decode(ids []int64, skipSpecial bool) (string, error) {
	tokens := make([]string, 0, len(ids))
	size := 0
	for i, id := range ids {
		text, ok := t.Token(id)
		if !ok {
			return "", fmt.Errorf("id %d at position %d is not in the vocabulary of %d", id, i, t.VocabSize())
		}
		if skipSpecial && t.IsSpecial(id) {
			continue
		}
		if size += len(text); size > math.MaxInt32/2 {
			return "", fmt.Errorf("the text of %d ids is longer than %d bytes", len(ids), math.MaxInt32/2)
		}
		tokens = append(tokens, text)
	}
	if t.decoder == nil {
		return strings.Join(tokens, " "), nil
	}
	tokens, err := t.decoder.decode(tokens)
	if err != nil {
		return "", fmt.Errorf("decoder: %w", err)
	}
	return strings.Join(tokens, ""), nil
}

func readDecoder(c component) (decoder, error) {
	if c.absent() {
		return nil, nil
	}
	kind, err := c.kind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		return readDecoderSequence(c)
	case "ByteLevel":
		return whole(decodeByteLevel), nil
	case "WordPiece":
		return readWordPieceDecoder(c)
	case "Metaspace":
		return readMetaspaceDecoder(c)
	case "BPEDecoder":
		return readSuffixDecoder(c)
	case "CTC":
		return readCTC(c)
	case "Replace":
		return readReplace(c)
	case "ByteFallback":
		return whole(decodeByteFallback), nil
	case "Fuse":
		return whole(func(t []string) []string { return []string{strings.Join(t, "")} }), nil
	case "Strip":
		return readStripDecoder(c)
	}
	return nil, c.unknown(kind)
}

// whole is a decoder that sees all tokens and cannot fail.
type whole func([]string) []string

func (f whole) decode(tokens []string) ([]string, error) { return f(tokens), nil }

// each is a decoder that rewrites token i of n.
type each func(i, n int, token string) string

func (f each) decode(tokens []string) ([]string, error) {
	for i, s := range tokens {
		tokens[i] = f(i, len(tokens), s)
	}
	return tokens, nil
}

func (n *replaceNormalizer) decode(tokens []string) ([]string, error) {
	for i, s := range tokens {
		var err error
		if tokens[i], err = n.normalize(s); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

type decoders []decoder

func readDecoderSequence(c component) (decoder, error) {
	list, err := c.sequence("decoders")
	if err != nil {
		return nil, err
	}
	out := decoders{}
	for _, sub := range list {
		d, err := readDecoder(sub)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func (list decoders) decode(tokens []string) ([]string, error) {
	limit := maxGrowth(length(tokens)) + len(tokens)
	var err error
	for _, d := range list {
		if tokens, err = d.decode(tokens); err != nil {
			return nil, err
		}
		if length(tokens) > limit {
			return nil, fmt.Errorf("a text grows to more than %d bytes", limit)
		}
	}
	return tokens, nil
}

func length(tokens []string) int {
	n := 0
	for _, s := range tokens {
		n += len(s)
	}
	return n
}

// decodeByteLevel maps characters back to bytes. A token that has others, such
// as an added one, is its own text.
func decodeByteLevel(tokens []string) []string {
	var out []byte
	for _, s := range tokens {
		start := len(out)
		for _, r := range s {
			if int(r) >= len(runeToByte) || runeToByte[r] < 0 {
				out = append(out[:start], s...)
				break
			}
			out = append(out, byte(runeToByte[r]))
		}
	}
	return []string{valid(string(out))}
}

// decodeByteFallback joins runs of <0xHH> into text; a run that is not UTF-8
// becomes one U+FFFD per byte.
func decodeByteFallback(tokens []string) []string {
	out := make([]string, 0, len(tokens))
	var run []byte
	flush := func() {
		switch {
		case len(run) == 0:
		case utf8.Valid(run):
			out = append(out, string(run))
		default:
			out = append(out, strings.Repeat("\uFFFD", len(run)))
		}
		run = run[:0]
	}
	for _, s := range tokens {
		if b, ok := byteToken(s); ok {
			run = append(run, b)
			continue
		}
		flush()
		out = append(out, s)
	}
	flush()
	return out
}

// byteToken parses <0xHH>.
func byteToken(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(s[3:5], 16, 8)
	return byte(b), err == nil
}
