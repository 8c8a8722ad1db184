package pattern

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on a pattern, which comes from an untrusted file.
const (
	maxPattern = 1 << 14 // bytes of the expression
	maxDepth   = 50      // nested groups and classes
	maxCount   = 1000    // of a {n,m} repetition
)

// kind tells what a node matches.
type kind int

const (
	kindEmpty  kind = iota
	kindSet         // one character of set
	kindCat         // subs one after the other
	kindAlt         // the first of subs that leads to a match
	kindRepeat      // subs[0] min to max times (max < 0: no limit)
	kindAhead       // subs[0] follows (not: negated), nothing is consumed
	kindBehind      // the character before is in set
	kindAtomic      // subs[0], never tried a second way
	kindAssert      // a position: assert
)

type node struct {
	kind       kind
	set        *set
	subs       []*node
	min, max   int
	lazy       bool
	possessive bool
	negated    bool
	assert     assertion
}

// flags are the options of (?im).
type flags struct{ fold, dotAll bool }

type parser struct {
	in    string
	pos   int
	depth int
}

func parse(expr string) (*node, error) {
	if len(expr) > maxPattern {
		return nil, fmt.Errorf("pattern of %d bytes is longer than %d", len(expr), maxPattern)
	}
	if !utf8.ValidString(expr) {
		return nil, fmt.Errorf("pattern %q is not UTF-8", expr)
	}
	p := &parser{in: expr}
	n, err := p.alternatives(flags{})
	if err == nil && p.pos < len(p.in) {
		err = fmt.Errorf("unmatched ) at byte %d", p.pos)
	}
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", expr, err)
	}
	return n, nil
}

func (p *parser) more() bool { return p.pos < len(p.in) }

func (p *parser) accept(prefix string) bool {
	if strings.HasPrefix(p.in[p.pos:], prefix) {
		p.pos += len(prefix)
		return true
	}
	return false
}

func (p *parser) next() rune {
	r, w := utf8.DecodeRuneInString(p.in[p.pos:])
	p.pos += w
	return r
}

// alternatives parses up to the end or an unmatched ")".
func (p *parser) alternatives(f flags) (*node, error) {
	alt := &node{kind: kindAlt}
	for {
		n, err := p.sequence(&f)
		if err != nil {
			return nil, err
		}
		alt.subs = append(alt.subs, n)
		if !p.accept("|") {
			break
		}
	}
	if len(alt.subs) == 1 {
		return alt.subs[0], nil
	}
	return alt, nil
}

// sequence parses atoms with their repetitions. An option such as (?i) holds
// from where it stands to the end of the group, so f is shared with the caller.
func (p *parser) sequence(f *flags) (*node, error) {
	cat := &node{kind: kindCat}
	for p.more() && p.in[p.pos] != '|' && p.in[p.pos] != ')' {
		n, err := p.atom(f)
		if err != nil {
			return nil, err
		}
		if n, err = p.repetitions(n); err != nil {
			return nil, err
		}
		if n.kind != kindEmpty {
			cat.subs = append(cat.subs, n)
		}
	}
	return cat, nil
}

func (p *parser) atom(f *flags) (*node, error) {
	at := p.pos
	switch r := p.next(); r {
	case '(':
		return p.group(f)
	case '[':
		s, err := p.class(f.fold)
		return &node{kind: kindSet, set: s}, err
	case '.':
		if f.dotAll {
			return &node{kind: kindSet, set: anySet}, nil
		}
		return &node{kind: kindSet, set: notLineSet}, nil
	case '^':
		return &node{kind: kindAssert, assert: lineStart}, nil
	case '$':
		return &node{kind: kindAssert, assert: lineEnd}, nil
	case '*', '+', '?':
		return nil, fmt.Errorf("nothing to repeat at byte %d", at)
	case '\\':
		if n := p.position(); n != nil {
			return n, nil
		}
		s, err := p.escape()
		if err == nil && f.fold {
			s = s.fold()
		}
		return &node{kind: kindSet, set: s}, err
	default:
		s := single(r)
		if f.fold {
			s = s.fold()
		}
		return &node{kind: kindSet, set: s}, nil
	}
}

// position parses the escapes that match a position; nil if it is none.
func (p *parser) position() *node {
	for name, a := range map[string]assertion{
		"A": textStart, "z": textEnd, "Z": textEndLine, "b": wordEdge, "B": notWordEdge,
	} {
		if p.accept(name) {
			return &node{kind: kindAssert, assert: a}
		}
	}
	return nil
}

// group parses what follows "(".
func (p *parser) group(f *flags) (*node, error) {
	at := p.pos - 1
	n := &node{kind: kindCat}
	inner := *f
	switch {
	case p.accept("?:"):
	case p.accept("?>"):
		n.kind = kindAtomic
	case p.accept("?="):
		n.kind = kindAhead
	case p.accept("?!"):
		n.kind, n.negated = kindAhead, true
	case p.accept("?<="):
		n.kind = kindBehind
	case p.accept("?<!"):
		n.kind, n.negated = kindBehind, true
	case p.accept("?"):
		scoped, err := p.options(&inner)
		if err != nil {
			return nil, err
		}
		if !scoped {
			*f = inner
			return &node{kind: kindEmpty}, nil
		}
	}
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("groups are nested deeper than %d", maxDepth)
	}
	sub, err := p.alternatives(inner)
	if err != nil {
		return nil, err
	}
	p.depth--
	if !p.accept(")") {
		return nil, fmt.Errorf("the group at byte %d is not closed", at)
	}
	n.subs = []*node{sub}
	if n.kind == kindBehind {
		return behind(n, at)
	}
	return n, nil
}

// behind reduces a look-behind to the one form that is supported.
func behind(n *node, at int) (*node, error) {
	sub := n.subs[0]
	for sub.kind == kindCat && len(sub.subs) == 1 {
		sub = sub.subs[0]
	}
	if sub.kind != kindSet {
		return nil, fmt.Errorf("the look-behind at byte %d is not a single character", at)
	}
	return &node{kind: kindBehind, set: sub.set, negated: n.negated}, nil
}

// options parses "i-m:" or "i)" after "(?"; scoped tells that a group follows.
func (p *parser) options(f *flags) (scoped bool, err error) {
	on := true
	for p.more() {
		switch r := p.next(); r {
		case '-':
			on = false
		case 'i':
			f.fold = on
		case 'm':
			f.dotAll = on
		case ':':
			return true, nil
		case ')':
			return false, nil
		default:
			return false, fmt.Errorf("group option %q at byte %d is not supported", r, p.pos-1)
		}
	}
	return false, fmt.Errorf("the group at the end is not closed")
}

// canBeEmpty tells whether n can match without consuming a character.
func (n *node) canBeEmpty() bool {
	switch n.kind {
	case kindSet:
		return false
	case kindCat, kindAtomic:
		for _, s := range n.subs {
			if !s.canBeEmpty() {
				return false
			}
		}
		return true
	case kindAlt:
		for _, s := range n.subs {
			if s.canBeEmpty() {
				return true
			}
		}
		return false
	case kindRepeat:
		return n.min == 0 || n.subs[0].canBeEmpty()
	}
	return true
}
