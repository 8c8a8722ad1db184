package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Byte-level models see every byte as a printable character: the printable
// ones of Latin-1 as themselves, the others as U+0100 and up, in order.
var (
	byteToRune [256]rune
	byteText   [256]string
	runeToByte [256 + 68]int16 // -1: stands for no byte
)

func init() {
	for i := range runeToByte {
		runeToByte[i] = -1
	}
	next := rune(256)
	for i := range byteToRune {
		r := rune(i)
		if !('!' <= r && r <= '~' || 0xa1 <= r && r <= 0xac || 0xae <= r) {
			r = next
			next++
		}
		byteToRune[i], byteText[i], runeToByte[r] = r, string(r), int16(i)
	}
}

// bytesToRunes writes every byte as its character.
func bytesToRunes(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := 0; i < len(s); i++ {
		b.WriteString(byteText[s[i]])
	}
	return b.String()
}

// byteLevel is the pre-tokenizer of GPT-2 and its kin.
type byteLevel struct {
	AddPrefixSpace bool `json:"add_prefix_space"`
	UseRegex       bool `json:"use_regex"`
}

func readByteLevel(c component) (*byteLevel, error) {
	b := &byteLevel{UseRegex: true}
	return b, c.decode(b)
}

// split cuts words out and maps all of them in one buffer.
func (b *byteLevel) split(in []piece) ([]piece, error) {
	var out []piece
	for _, p := range in {
		text := p.text
		if b.AddPrefixSpace && text != "" && text[0] != ' ' {
			text = " " + text
		}
		if !b.UseRegex {
			out = append(out, piece{text, p.first})
			continue
		}
		out = appendWords(out, text, p.first)
	}
	var buf strings.Builder
	ends := make([]int, len(out))
	for i, p := range out {
		for k := 0; k < len(p.text); k++ {
			buf.WriteString(byteText[p.text[k]])
		}
		ends[i] = buf.Len()
	}
	mapped, start := buf.String(), 0
	for i, end := range ends {
		out[i].text = mapped[start:end]
		start = end
	}
	return out, nil
}

// class is what GPT-2's pattern distinguishes.
type class int

const (
	classSpace class = iota
	classLetter
	classNumber
	classOther
)

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		switch {
		case 'a' <= r|32 && r|32 <= 'z':
			return classLetter
		case '0' <= r && r <= '9':
			return classNumber
		case r == ' ' || '\t' <= r && r <= '\r':
			return classSpace
		}
		return classOther
	case unicode.IsLetter(r):
		return classLetter
	case unicode.IsNumber(r):
		return classNumber
	case unicode.IsSpace(r):
		return classSpace
	}
	return classOther
}

// gpt2Pattern is what appendWords scans for, by hand because most text of
// language models goes through it.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// appendWords cuts s into the matches of gpt2Pattern, which cover it.
func appendWords(out []piece, s string, first bool) []piece {
	for len(s) > 0 {
		n := contraction(s)
		if n == 0 {
			n = wordLength(s)
		}
		out = append(out, piece{s[:n], first})
		s, first = s[n:], false
	}
	return out
}

// contraction measures an English contraction at the start of s.
func contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if strings.HasPrefix(s, "'re") || strings.HasPrefix(s, "'ve") || strings.HasPrefix(s, "'ll") {
		return 3
	}
	return 0
}

// wordLength measures a run of one class at the start of s. A run that is no
// white space may begin with one space; white space before something else
// leaves its last character to it.
func wordLength(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	c := classOf(r)
	if r == ' ' && len(s) > 1 {
		r2, w2 := utf8.DecodeRuneInString(s[1:])
		if c2 := classOf(r2); c2 != classSpace {
			c, n = c2, 1+w2
		}
	}
	last := 0 // start of the last character of the run
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if classOf(r) != c {
			break
		}
		last = n
		n += w
	}
	if c == classSpace && n < len(s) && last > 0 {
		return last
	}
	return n
}
