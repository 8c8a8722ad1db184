package tokenizer

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// piece is a part of a text on its way to the model.
type piece struct {
	text  string
	first bool // the text given to Encode begins with it
}

// preTokenizer cuts pieces into smaller ones. None that it returns is empty,
// unless it was given so.
type preTokenizer interface {
	split(in []piece) ([]piece, error)
}

func readPreTokenizer(c component) (preTokenizer, error) {
	if c.absent() {
		return preTokenizers(nil), nil
	}
	kind, err := c.kind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		return readPreTokenizerSequence(c)
	case "ByteLevel":
		return readByteLevel(c)
	case "Metaspace":
		return readMetaspace(c)
	case "Split":
		return readSplit(c)
	case "BertPreTokenizer":
		return preTokenizers{
			&splitter{predicate(unicode.IsSpace), removed, false},
			&splitter{predicate(isPunctuation), isolated, false},
		}, nil
	case "WhitespaceSplit":
		return &splitter{predicate(unicode.IsSpace), removed, false}, nil
	case "Whitespace":
		return wordsAndSigns{}, nil
	case "CharDelimiterSplit":
		return readDelimiter(c)
	case "Punctuation":
		return readPunctuation(c)
	case "Digits":
		return readDigits(c)
	case "FixedLength":
		return readFixedLength(c)
	}
	return nil, c.unknown(kind)
}

// preTokenizers apply one after the other; none leaves the text whole.
type preTokenizers []preTokenizer

func readPreTokenizerSequence(c component) (preTokenizer, error) {
	list, err := c.sequence("pretokenizers")
	if err != nil {
		return nil, err
	}
	var out preTokenizers
	for _, sub := range list {
		p, err := readPreTokenizer(sub)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (list preTokenizers) split(in []piece) ([]piece, error) {
	limit := maxGrowth(total(in))
	var err error
	for _, p := range list {
		if in, err = p.split(in); err != nil {
			return nil, err
		}
		if total(in) > limit {
			return nil, fmt.Errorf("a text grows to more than %d bytes", limit)
		}
	}
	return in, nil
}

// total is the length of the pieces in bytes.
func total(in []piece) int {
	n := 0
	for _, p := range in {
		n += len(p.text)
	}
	return n
}

// wordsAndSigns is \w+|[^\w\s]+: runs of word characters and runs of what is
// neither part of a word nor white space.
type wordsAndSigns struct{}

func (wordsAndSigns) split(in []piece) ([]piece, error) {
	kind := func(r rune) class {
		switch {
		case isWord(r):
			return classLetter
		case unicode.IsSpace(r):
			return classSpace
		}
		return classOther
	}
	var out []piece
	for _, p := range in {
		start, last := 0, classSpace
		for i, r := range p.text {
			c := kind(r)
			if c == last {
				continue
			}
			if last != classSpace {
				out = append(out, piece{p.text[start:i], p.first && start == 0})
			}
			start, last = i, c
		}
		if last != classSpace {
			out = append(out, piece{p.text[start:], p.first && start == 0})
		}
	}
	return out, nil
}

// width is the length of the character at s[i:].
func width(s string, i int) int {
	if s[i] < utf8.RuneSelf {
		return 1
	}
	_, w := utf8.DecodeRuneInString(s[i:])
	return w
}

func readDelimiter(c component) (*splitter, error) {
	var f struct {
		Delimiter string `json:"delimiter"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(f.Delimiter) != 1 {
		return nil, fmt.Errorf("%s: delimiter %q is not one character", c.path, f.Delimiter)
	}
	return &splitter{literal(f.Delimiter), removed, false}, nil
}

func readPunctuation(c component) (*splitter, error) {
	f := struct {
		Behavior behavior `json:"behavior"`
	}{isolated}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	return &splitter{predicate(isPunctuation), f.Behavior, false}, f.Behavior.check(c.path)
}

func readDigits(c component) (*splitter, error) {
	var f struct {
		Individual bool `json:"individual_digits"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if f.Individual {
		return &splitter{predicate(unicode.IsNumber), isolated, false}, nil
	}
	return &splitter{predicate(unicode.IsNumber), contiguous, false}, nil
}

// fixedLength cuts pieces of so many characters.
type fixedLength int

func readFixedLength(c component) (fixedLength, error) {
	f := struct {
		Length int `json:"length"`
	}{5}
	if err := c.decode(&f); err != nil {
		return 0, err
	}
	if f.Length < 1 {
		return 0, fmt.Errorf("%s: length %d is not positive", c.path, f.Length)
	}
	return fixedLength(f.Length), nil
}

func (n fixedLength) split(in []piece) ([]piece, error) {
	var out []piece
	for _, p := range in {
		start, count := 0, 0
		for i := range p.text {
			if count == int(n) {
				out = append(out, piece{p.text[start:i], p.first && start == 0})
				start, count = i, 0
			}
			count++
		}
		out = append(out, piece{p.text[start:], p.first && start == 0})
	}
	return out, nil
}
