package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// metaspace is SentencePiece's way: spaces become a visible character, and
// pieces begin with it.
type metaspace struct {
	Replacement    string  `json:"replacement"`
	PrependScheme  *string `json:"prepend_scheme"`   // always, first, never
	AddPrefixSpace *bool   `json:"add_prefix_space"` // false: never, in older files
	Split          *bool   `json:"split"`
	scheme         string
	words          splitter
}

func readMetaspace(c component) (*metaspace, error) {
	m := &metaspace{scheme: "always"}
	if err := c.decode(m); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(m.Replacement) != 1 {
		return nil, fmt.Errorf("%s: replacement %q is not one character", c.path, m.Replacement)
	}
	switch {
	case m.PrependScheme != nil:
		m.scheme = *m.PrependScheme
	case m.AddPrefixSpace != nil && !*m.AddPrefixSpace:
		m.scheme = "never"
	}
	if m.scheme != "always" && m.scheme != "first" && m.scheme != "never" {
		return nil, fmt.Errorf("%s: prepend_scheme %q is not supported", c.path, m.scheme)
	}
	m.words = splitter{literal(m.Replacement), mergedWithNext, false}
	return m, nil
}

func (m *metaspace) split(in []piece) ([]piece, error) {
	spaced := make([]piece, len(in))
	for i, p := range in {
		s := strings.ReplaceAll(p.text, " ", m.Replacement)
		wanted := m.scheme == "always" || m.scheme == "first" && p.first
		if wanted && s != "" && !strings.HasPrefix(s, m.Replacement) {
			s = m.Replacement + s
		}
		spaced[i] = piece{s, p.first}
	}
	if m.Split != nil && !*m.Split {
		return spaced, nil
	}
	if !slices.ContainsFunc(spaced, func(p piece) bool { return strings.LastIndex(p.text, m.Replacement) > 0 }) {
		return spaced, nil // words already, as behind WhitespaceSplit
	}
	return m.words.split(spaced)
}
