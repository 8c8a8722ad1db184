package tokenizer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// bertNormalizer is the clean-up of BERT's tokenizer.
type bertNormalizer struct {
	CleanText    bool  `json:"clean_text"`           // drop controls, every white space is a space
	ChineseChars bool  `json:"handle_chinese_chars"` // spaces around each ideograph
	StripAccents *bool `json:"strip_accents"`        // missing: as Lowercase
	Lowercase    bool  `json:"lowercase"`
}

func readBertNormalizer(c component) (*bertNormalizer, error) {
	n := &bertNormalizer{CleanText: true, ChineseChars: true, Lowercase: true}
	return n, c.decode(n)
}

func (n *bertNormalizer) normalize(s string) (string, error) {
	if n.CleanText || n.ChineseChars {
		s = n.clean(s)
	}
	strip := n.Lowercase
	if n.StripAccents != nil {
		strip = *n.StripAccents
	}
	if strip && !isASCII(s) {
		s = drop(norm.NFD.String(s), isAccent)
	}
	if n.Lowercase {
		s = lower(s)
	}
	return s, nil
}

func (n *bertNormalizer) clean(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if n.CleanText {
			if r == 0 || r == 0xfffd || isControl(r) {
				continue
			}
			if unicode.IsSpace(r) {
				r = ' '
			}
		}
		if n.ChineseChars && isCJK(r) {
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
