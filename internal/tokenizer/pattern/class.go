package pattern

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// class parses what follows "[": characters, ranges, escapes, POSIX brackets,
// nested classes, and intersections with "&&".
func (p *parser) class(fold bool) (*set, error) {
	at := p.pos - 1
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("classes are nested deeper than %d", maxDepth)
	}
	negated := p.accept("^")
	var parts []*set
	var left *set // of the last "&&"
	for first := true; ; first = false {
		if !p.more() {
			return nil, fmt.Errorf("the class at byte %d is not closed", at)
		}
		if !first && p.accept("]") {
			break
		}
		if p.accept("&&") {
			left, parts = meet(left, parts), nil
			continue
		}
		s, err := p.classItem(fold)
		if err != nil {
			return nil, err
		}
		parts = append(parts, s)
	}
	p.depth--
	s := meet(left, parts)
	// Case is folded before the class is negated: [^a] under (?i) excludes A.
	if fold {
		s = s.fold()
	}
	if negated {
		s = s.negate()
	}
	return s, nil
}

// meet is the union of parts, intersected with left where there is one.
func meet(left *set, parts []*set) *set {
	right := newSet(func(rune) bool { return false })
	if len(parts) > 0 {
		right = union(parts)
	}
	if left == nil {
		return right
	}
	return intersect(left, right)
}

// classItem parses a nested class, a shorthand, a character or a range.
func (p *parser) classItem(fold bool) (*set, error) {
	if p.accept("[:") {
		return p.posix()
	}
	if p.accept("[") {
		return p.class(fold)
	}
	at := p.pos
	lo, s, err := p.classChar()
	if err != nil || s != nil {
		return s, err
	}
	rest := p.in[p.pos:]
	if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
		return single(lo), nil
	}
	p.pos++
	hi, s, err := p.classChar()
	if err != nil {
		return nil, err
	}
	if s != nil || hi < lo {
		return nil, fmt.Errorf("the range at byte %d has no valid end", at)
	}
	return span(lo, hi), nil
}

// classChar parses one character, or an escape that stands for a set.
func (p *parser) classChar() (rune, *set, error) {
	if !p.more() {
		return 0, nil, fmt.Errorf("the pattern ends within a class")
	}
	if !p.accept(`\`) {
		return p.next(), nil, nil
	}
	switch {
	case p.accept("b"):
		return '\b', nil, nil
	case p.accept("w"):
		return 0, posixWord, nil
	case p.accept("W"):
		return 0, posixWord.negate(), nil
	}
	return p.escaped()
}

// posix parses "alpha:]" or "^alpha:]".
func (p *parser) posix() (*set, error) {
	end := strings.Index(p.in[p.pos:], ":]")
	if end < 0 {
		return nil, fmt.Errorf("the bracket at byte %d is not closed", p.pos-2)
	}
	name, negated := strings.CutPrefix(p.in[p.pos:p.pos+end], "^")
	p.pos += end + 2
	s, ok := posix[name]
	if !ok {
		s, ok = named[name]
	}
	if !ok {
		return nil, fmt.Errorf("POSIX bracket %q is not known", name)
	}
	if negated {
		s = s.negate()
	}
	return s, nil
}

// escape parses what follows a backslash outside of classes.
func (p *parser) escape() (*set, error) {
	r, s, err := p.escaped()
	if err == nil && s == nil {
		s = single(r)
	}
	return s, err
}

// escaped parses what follows a backslash: a set, or else a character.
func (p *parser) escaped() (rune, *set, error) {
	if !p.more() {
		return 0, nil, fmt.Errorf("the pattern ends in a backslash")
	}
	at := p.pos - 1
	switch r := p.next(); r {
	case 's':
		return 0, spaceSet, nil
	case 'S':
		return 0, spaceSet.negate(), nil
	case 'd':
		return 0, digitSet, nil
	case 'D':
		return 0, digitSet.negate(), nil
	case 'w':
		return 0, wordSet, nil
	case 'W':
		return 0, wordSet.negate(), nil
	case 'h':
		return 0, hexSet, nil
	case 'H':
		return 0, hexSet.negate(), nil
	case 'p', 'P':
		s, err := p.propertyName(r == 'P')
		return 0, s, err
	case 'n':
		return '\n', nil, nil
	case 'r':
		return '\r', nil, nil
	case 't':
		return '\t', nil, nil
	case 'f':
		return '\f', nil, nil
	case 'v':
		return '\v', nil, nil
	case 'a':
		return '\a', nil, nil
	case 'e':
		return 0x1b, nil, nil
	case 'u':
		r, err := p.hex(4)
		return r, nil, err
	case 'x':
		r, err := p.hexEscape()
		return r, nil, err
	default:
		if '0' <= r && r <= '9' || 'a' <= r|32 && r|32 <= 'z' {
			return 0, nil, fmt.Errorf("escape \\%c at byte %d is not supported", r, at)
		}
		return r, nil, nil
	}
}

// propertyName parses "{L}" or "{^L}" after \p or \P.
func (p *parser) propertyName(negated bool) (*set, error) {
	end := strings.IndexByte(p.in[p.pos:], '}')
	if end < 0 || p.in[p.pos] != '{' {
		return nil, fmt.Errorf("\\p at byte %d has no {name}", p.pos-2)
	}
	name, caret := strings.CutPrefix(p.in[p.pos+1:p.pos+end], "^")
	p.pos += end + 1
	s, ok := property(name)
	if !ok {
		return nil, fmt.Errorf("property %q is not known", name)
	}
	if negated != caret {
		s = s.negate()
	}
	return s, nil
}

// hexEscape parses \xHH and \x{H…}, whose \x is already read.
func (p *parser) hexEscape() (rune, error) {
	if !p.accept("{") {
		return p.hex(2)
	}
	end := strings.IndexByte(p.in[p.pos:], '}')
	if end < 1 || end > 8 {
		return 0, fmt.Errorf("\\x{ at byte %d has no number", p.pos-3)
	}
	r, err := p.hex(end)
	p.pos++
	return r, err
}

func (p *parser) hex(digits int) (rune, error) {
	if len(p.in)-p.pos < digits {
		return 0, fmt.Errorf("the escape at the end lacks %d hexadecimal digits", digits)
	}
	v, err := strconv.ParseUint(p.in[p.pos:p.pos+digits], 16, 32)
	if err != nil || !utf8.ValidRune(rune(v)) {
		return 0, fmt.Errorf("%q at byte %d is no code point", p.in[p.pos:p.pos+digits], p.pos)
	}
	p.pos += digits
	return rune(v), nil
}
