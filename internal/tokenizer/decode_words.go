package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// cleanup undoes the spaces that splitting left around English punctuation.
// The replacements apply one after the other, as in the reference library.
func cleanup(s string) string {
	for _, r := range [...][2]string{
		{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
		{" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
	} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}

// readWordPieceDecoder joins continuations and separates the rest by spaces.
func readWordPieceDecoder(c component) (decoder, error) {
	f := struct {
		Prefix  string `json:"prefix"`
		Cleanup bool   `json:"cleanup"`
	}{"##", true}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	return each(func(i, _ int, s string) string {
		if i > 0 {
			rest, continues := strings.CutPrefix(s, f.Prefix)
			if s = rest; !continues {
				s = " " + rest
			}
		}
		if f.Cleanup {
			s = cleanup(s)
		}
		return s
	}), nil
}

// readMetaspaceDecoder turns the visible character back into spaces, and drops
// it from the first token where the pre-tokenizer had added it.
func readMetaspaceDecoder(c component) (decoder, error) {
	m, err := readMetaspace(c)
	if err != nil {
		return nil, err
	}
	return each(func(i, _ int, s string) string {
		if i == 0 && m.scheme != "never" {
			return strings.ReplaceAll(s, m.Replacement, "")
		}
		return strings.ReplaceAll(s, m.Replacement, " ")
	}), nil
}

// readSuffixDecoder turns the suffix that ends words into spaces.
func readSuffixDecoder(c component) (decoder, error) {
	f := struct {
		Suffix string `json:"suffix"`
	}{"</w>"}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if f.Suffix == "" {
		return nil, fmt.Errorf("%s: suffix is empty", c.path)
	}
	return each(func(i, n int, s string) string {
		if i == n-1 {
			return strings.ReplaceAll(s, f.Suffix, "")
		}
		return strings.ReplaceAll(s, f.Suffix, " ")
	}), nil
}

// readCTC is for outputs of speech models: repeats and padding go.
func readCTC(c component) (decoder, error) {
	f := struct {
		Pad       string `json:"pad_token"`
		Delimiter string `json:"word_delimiter_token"`
		Cleanup   bool   `json:"cleanup"`
	}{"<pad>", "|", true}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if f.Pad == "" || f.Delimiter == "" {
		return nil, fmt.Errorf("%s: pad_token or word_delimiter_token is empty", c.path)
	}
	return whole(func(tokens []string) []string {
		tokens = slices.Compact(tokens)
		for i, s := range tokens {
			s = strings.ReplaceAll(s, f.Pad, "")
			if f.Cleanup {
				s = strings.ReplaceAll(cleanup(s), f.Delimiter, " ")
			}
			tokens[i] = s
		}
		return slices.DeleteFunc(tokens, func(s string) bool { return s == "" })
	}), nil
}

// readStripDecoder takes up to so many of a character from the ends of tokens.
func readStripDecoder(c component) (decoder, error) {
	var f struct {
		Content string `json:"content"`
		Start   int    `json:"start"`
		Stop    int    `json:"stop"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(f.Content) != 1 || f.Start < 0 || f.Stop < 0 {
		return nil, fmt.Errorf("%s: content %q is not one character, or start or stop is negative", c.path, f.Content)
	}
	return each(func(_, _ int, s string) string {
		for k := 0; k < f.Start && strings.HasPrefix(s, f.Content); k++ {
			s = s[len(f.Content):]
		}
		for k := 0; k < f.Stop && strings.HasSuffix(s, f.Content); k++ {
			s = s[:len(s)-len(f.Content)]
		}
		return s
	}), nil
}
