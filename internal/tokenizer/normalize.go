package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites a text before it is split.
type normalizer interface {
	normalize(s string) (string, error)
}

// rewrite is a normalizer that cannot fail.
type rewrite func(string) string

func (f rewrite) normalize(s string) (string, error) { return f(s), nil }

func readNormalizer(c component) (normalizer, error) {
	if c.absent() {
		return rewrite(func(s string) string { return s }), nil
	}
	kind, err := c.kind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		return readNormalizerSequence(c)
	case "BertNormalizer":
		return readBertNormalizer(c)
	case "Precompiled":
		return readPrecompiled(c)
	case "Replace":
		return readReplace(c)
	case "Prepend":
		return readPrepend(c)
	case "Strip":
		return readStrip(c)
	case "NFC":
		return unicodeForm(norm.NFC), nil
	case "NFD":
		return unicodeForm(norm.NFD), nil
	case "NFKC":
		return unicodeForm(norm.NFKC), nil
	case "NFKD":
		return unicodeForm(norm.NFKD), nil
	case "Lowercase":
		return rewrite(lower), nil
	case "StripAccents":
		return rewrite(func(s string) string { return drop(s, unicode.IsMark) }), nil
	case "Nmt":
		return rewrite(func(s string) string { return strings.Map(nmt, s) }), nil
	case "ByteLevel":
		return rewrite(bytesToRunes), nil
	}
	return nil, c.unknown(kind)
}

// normalizers apply one after the other.
type normalizers []normalizer

func readNormalizerSequence(c component) (normalizer, error) {
	list, err := c.sequence("normalizers")
	if err != nil {
		return nil, err
	}
	var out normalizers
	for _, sub := range list {
		n, err := readNormalizer(sub)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func (list normalizers) normalize(s string) (string, error) {
	limit := maxGrowth(len(s))
	var err error
	for _, n := range list {
		if s, err = n.normalize(s); err != nil {
			return "", err
		}
		if len(s) > limit {
			return "", fmt.Errorf("a text grows to more than %d bytes", limit)
		}
	}
	return s, nil
}

type replaceNormalizer struct {
	Pattern patternField `json:"pattern"`
	Content string       `json:"content"`
	match   matcher
}

func readReplace(c component) (*replaceNormalizer, error) {
	n := &replaceNormalizer{}
	if err := c.decode(n); err != nil {
		return nil, err
	}
	if err := c.short("content", n.Content); err != nil {
		return nil, err
	}
	var err error
	n.match, err = n.Pattern.compile(c.path)
	return n, err
}

func (n *replaceNormalizer) normalize(s string) (string, error) {
	return replace(n.match, s, n.Content)
}

func readPrepend(c component) (normalizer, error) {
	var n struct {
		Prepend string `json:"prepend"`
	}
	if err := c.decode(&n); err != nil {
		return nil, err
	}
	return rewrite(func(s string) string {
		if s == "" {
			return s
		}
		return n.Prepend + s
	}), c.short("prepend", n.Prepend)
}

func readStrip(c component) (normalizer, error) {
	var n struct {
		Left  bool `json:"strip_left"`
		Right bool `json:"strip_right"`
	}
	if err := c.decode(&n); err != nil {
		return nil, err
	}
	return rewrite(func(s string) string {
		if n.Left {
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
		}
		if n.Right {
			s = strings.TrimRightFunc(s, unicode.IsSpace)
		}
		return s
	}), nil
}

// unicodeForm is a Unicode normal form. The package norm puts a U+034F behind
// every thirtieth combining mark of one character ("stream-safe text"), which
// the reference library does not: it is taken out again.
func unicodeForm(f norm.Form) rewrite {
	const joiner = '\u034f'
	return func(s string) string {
		out := f.String(s)
		if strings.ContainsRune(out, joiner) && !strings.ContainsRune(s, joiner) {
			out = drop(out, func(r rune) bool { return r == joiner })
		}
		return out
	}
}

// drop leaves out the characters beyond ASCII that the predicate holds for.
func drop(s string, unwanted func(rune) bool) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf && unwanted(r) {
			return -1
		}
		return r
	}, s)
}

// nmt is the character clean-up of the library NMT: controls go, other kinds
// of space become a space.
func nmt(r rune) rune {
	switch {
	case 0x01 <= r && r <= 0x08, r == 0x0b, 0x0e <= r && r <= 0x1f, r == 0x7f, r == 0x8f, r == 0x9f:
		return -1
	case r == 0x09, r == 0x0a, r == 0x0c, r == 0x0d, r == 0x1680, 0x200b <= r && r <= 0x200f,
		r == 0x2028, r == 0x2029, r == 0x2581, r == 0xfeff, r == 0xfffd:
		return ' '
	}
	return r
}
