package pattern

import (
	"fmt"
	"strconv"
	"strings"
)

// repetitions wraps n in the quantifiers that follow.
func (p *parser) repetitions(n *node) (*node, error) {
	for p.more() {
		r := &node{kind: kindRepeat, subs: []*node{n}, max: -1}
		braces := false
		switch {
		case p.accept("*"):
		case p.accept("+"):
			r.min = 1
		case p.accept("?"):
			r.max = 1
		case p.counts(r):
			braces = true
		default:
			return n, nil
		}
		if r.min > maxCount || r.max > maxCount || r.max >= 0 && r.min > r.max {
			return nil, fmt.Errorf("repetition {%d,%d} before byte %d is not within 0…%d", r.min, r.max, p.pos, maxCount)
		}
		if r.max < 0 && n.canBeEmpty() {
			return nil, fmt.Errorf("the repetition before byte %d repeats what can be empty", p.pos)
		}
		if p.accept("?") {
			r.lazy = true
		} else if !braces && p.accept("+") {
			r.possessive = true
		}
		if p.depth++; p.depth > maxDepth {
			return nil, fmt.Errorf("repetitions are nested deeper than %d", maxDepth)
		}
		n = r
		defer func() { p.depth-- }()
	}
	return n, nil
}

// counts parses {n}, {n,}, {,m} or {n,m}; anything else is a literal "{".
func (p *parser) counts(r *node) bool {
	end := strings.IndexByte(p.in[p.pos:], '}')
	if p.in[p.pos] != '{' || end < 2 {
		return false
	}
	low, high, comma := strings.Cut(p.in[p.pos+1:p.pos+end], ",")
	min, errLow := count(low, 0)
	max, errHigh := count(high, -1)
	if errLow != nil || errHigh != nil || low == "" && high == "" {
		return false
	}
	if !comma {
		max = min
	}
	r.min, r.max = min, max
	p.pos += end + 1
	return true
}

// count reads a decimal number, missing where the text is empty.
func count(s string, missing int) (int, error) {
	if s == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err
}
