package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/rangetable"
)

// unicode8 holds what Unicode 8.0 had assigned. The reference library takes
// general categories of punctuation, marks and controls from tables of that
// version, so characters added later are none of these to it.
var unicode8 = rangetable.Assigned("8.0.0")

// isPunctuation is ASCII's punctuation and symbols, and general category P.
func isPunctuation(r rune) bool {
	if r < 0x80 {
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
	return unicode.IsPunct(r) && unicode.Is(unicode8, r)
}

// isControl is general category C, but for the characters used as white space.
func isControl(r rune) bool {
	if r == '\t' || r == '\n' || r == '\r' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) && unicode.Is(unicode8, r)
}

// isAccent is general category Mn.
func isAccent(r rune) bool {
	return r >= 0x300 && unicode.Is(unicode.Mn, r) && unicode.Is(unicode8, r)
}

// isWord is the class \w of UTS 18: what is part of a word.
func isWord(r rune) bool {
	if r < 0x80 {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r|32 && r|32 <= 'z'
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc,
		unicode.Other_Alphabetic, unicode.Join_Control)
}

// isCJK tells whether BERT's normalizer sets r apart. The block that begins at
// 2B920 is written so in the reference library (Unicode has 2B820).
func isCJK(r rune) bool {
	switch {
	case r < 0x3400:
		return false
	case r <= 0x4dbf, 0x4e00 <= r && r <= 0x9fff, 0xf900 <= r && r <= 0xfaff:
		return true
	case 0x20000 <= r && r <= 0x2a6df, 0x2a700 <= r && r <= 0x2b73f, 0x2b740 <= r && r <= 0x2b81f:
		return true
	}
	return 0x2b920 <= r && r <= 0x2ceaf || 0x2f800 <= r && r <= 0x2fa1f
}

// isASCII tells whether s has no character beyond ASCII.
func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// lower maps every character to lower case by itself: no final sigma, and the
// one character whose lower case is two of them (U+0130).
func lower(s string) string {
	if strings.ContainsRune(s, 'İ') {
		s = strings.ReplaceAll(s, "İ", "i\u0307")
	}
	return strings.ToLower(s)
}

// valid replaces what is not UTF-8 by U+FFFD, one for every longest prefix of
// a sequence (as Unicode recommends and the decoders of Rust and Python do).
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		r, w := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && w == 1 {
			b.WriteString("\uFFFD")
			s = s[brokenPrefix(s):]
			continue
		}
		b.WriteString(s[:w])
		s = s[w:]
	}
	return b.String()
}

// brokenPrefix measures the invalid sequence at the start of s: as long as it
// could still have become a character.
func brokenPrefix(s string) int {
	n := 1
	for n < len(s) && n < utf8.UTFMax && !utf8.FullRuneInString(s[:n]) {
		n++
	}
	if n > 1 && utf8.FullRuneInString(s[:n]) {
		n--
	}
	return n
}
