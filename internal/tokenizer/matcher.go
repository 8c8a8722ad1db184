package tokenizer

import (
	"fmt"
	"strings"

	"optim/internal/tokenizer/pattern"
)

// patternField is {"String": "…"} or {"Regex": "…"}.
type patternField struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// matcher finds all matches in a text that do not overlap, as byte offsets.
type matcher interface {
	All(text string) ([][2]int, error)
}

// literal matches a text that is not empty.
type literal string

// All finds the places where the literal stands.
func (l literal) All(text string) ([][2]int, error) {
	var out [][2]int
	for at := 0; ; {
		i := strings.Index(text[at:], string(l))
		if i < 0 {
			return out, nil
		}
		out = append(out, [2]int{at + i, at + i + len(l)})
		at += i + len(l)
	}
}

// predicate matches each character that it holds for.
type predicate func(rune) bool

// All finds the characters.
func (p predicate) All(text string) ([][2]int, error) {
	var out [][2]int
	for i, r := range text {
		if p(r) {
			out = append(out, [2]int{i, i + width(text, i)})
		}
	}
	return out, nil
}

// compile makes the matcher of a pattern field.
func (f patternField) compile(path string) (matcher, error) {
	switch {
	case f.String != nil && *f.String != "":
		return literal(*f.String), nil
	case f.Regex != nil && *f.Regex != "":
		re, err := pattern.Compile(*f.Regex)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return re, nil
	}
	return nil, fmt.Errorf("%s: pattern is neither a String nor a Regex, or empty", path)
}

// replace puts content in place of every match.
func replace(m matcher, s, content string) (string, error) {
	found, err := m.All(s)
	if err != nil || len(found) == 0 {
		return s, err
	}
	b := newBuilder(s)
	done := 0
	for _, f := range found {
		if err := b.add(s[done:f[0]], content); err != nil {
			return "", err
		}
		done = f[1]
	}
	err = b.add(s[done:])
	return b.String(), err
}

// builder collects a text and refuses to let it grow out of proportion: a
// hostile file could otherwise ask for any amount of memory.
type builder struct {
	strings.Builder
	limit int
}

// maxGrowth is how much longer a text may become; Unicode's own normal forms
// need up to a factor of 11.
func maxGrowth(n int) int { return 16*n + 4*maxReplace }

func newBuilder(s string) *builder {
	b := &builder{limit: maxGrowth(len(s))}
	b.Grow(len(s))
	return b
}

func (b *builder) add(parts ...string) error {
	for _, p := range parts {
		if b.Len()+len(p) > b.limit {
			return fmt.Errorf("a text grows to more than %d bytes", b.limit)
		}
		b.WriteString(p)
	}
	return nil
}
