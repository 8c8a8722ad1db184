// Package pattern matches the regular expressions that tokenizer.json files
// contain: Oniguruma's Ruby syntax as far as tokenizers use it, with Unicode
// classes, look-ahead, possessive repetition and case folding, which Go's
// regexp has not or reads differently (its \s, \d, \w and \b are ASCII's).
//
// The matcher backtracks, with leftmost-first alternatives as in Oniguruma.
// Patterns are untrusted, so the steps and the memory of a search are bounded
// in proportion to the text; a search that needs more is an error.
package pattern

import "fmt"

// maxProgram bounds the instructions of a compiled pattern.
const maxProgram = 1 << 14

// assertion is a condition on a position.
type assertion int

const (
	lineStart   assertion = iota // ^, which in Ruby syntax means every line
	lineEnd                      // $
	textStart                    // \A
	textEnd                      // \z
	textEndLine                  // \Z: also before a last line end
	wordEdge                     // \b
	notWordEdge                  // \B
)

type opcode int

const (
	opMatch  opcode = iota // the (sub)program has matched
	opSet                  // one character of set
	opRepeat               // min to max characters of set, as many as possible
	opSplit                // go on at x; should that fail, at y
	opJump                 // go on at x
	opAhead                // the subprogram after it matches (negated: not); go on at x
	opBehind               // the character before is in set
	opAtomic               // as opAhead, but consumes what matched
	opAssert
)

type inst struct {
	op         opcode
	set        *set
	x, y       int
	min, max   int
	negated    bool
	possessive bool
	assert     assertion
}

// Regexp is a compiled pattern. It is immutable: goroutines may share it.
type Regexp struct {
	expr string
	prog []inst
}

// String gives the expression back.
func (re *Regexp) String() string { return re.expr }

// Compile reads an expression. The error names the part that is wrong or not
// supported (back-references, named groups, long look-behinds).
func Compile(expr string) (*Regexp, error) {
	n, err := parse(expr)
	if err != nil {
		return nil, err
	}
	c := &compiler{}
	c.node(n)
	c.add(inst{op: opMatch})
	if c.full {
		return nil, fmt.Errorf("pattern %q: needs more than %d instructions", expr, maxProgram)
	}
	return &Regexp{expr: expr, prog: c.prog}, nil
}

type compiler struct {
	prog []inst
	full bool // maxProgram was reached; nothing more is added
}

// add appends an instruction and returns its place.
func (c *compiler) add(i inst) int {
	if len(c.prog) >= maxProgram {
		c.full = true
		return 0
	}
	c.prog = append(c.prog, i)
	return len(c.prog) - 1
}

func (c *compiler) node(n *node) {
	if c.full {
		return
	}
	switch n.kind {
	case kindSet:
		c.add(inst{op: opSet, set: n.set})
	case kindCat:
		for _, s := range n.subs {
			c.node(s)
		}
	case kindAlt:
		c.alternatives(n.subs)
	case kindRepeat:
		c.repeat(n)
	case kindAhead:
		c.sub(inst{op: opAhead, negated: n.negated}, n.subs[0])
	case kindAtomic:
		c.sub(inst{op: opAtomic}, n.subs[0])
	case kindBehind:
		c.add(inst{op: opBehind, set: n.set, negated: n.negated})
	case kindAssert:
		c.add(inst{op: opAssert, assert: n.assert})
	}
}

// sub emits head, the program of n, and its end; head.x is what comes after.
func (c *compiler) sub(head inst, n *node) {
	at := c.add(head)
	c.node(n)
	end := c.add(inst{op: opMatch})
	c.prog[at].x = end + 1
}

func (c *compiler) alternatives(subs []*node) {
	var exits []int
	for i, s := range subs {
		if i == len(subs)-1 {
			c.node(s)
			break
		}
		split := c.add(inst{op: opSplit})
		c.prog[split].x = split + 1
		c.node(s)
		exits = append(exits, c.add(inst{op: opJump}))
		c.prog[split].y = len(c.prog)
	}
	for _, e := range exits {
		c.prog[e].x = len(c.prog)
	}
}

func (c *compiler) repeat(n *node) {
	sub := n.subs[0]
	if sub.kind == kindSet && !n.lazy {
		c.add(inst{op: opRepeat, set: sub.set, min: n.min, max: n.max, possessive: n.possessive})
		return
	}
	if n.possessive {
		plain := *n
		plain.possessive = false
		c.sub(inst{op: opAtomic}, &plain)
		return
	}
	for i := 0; i < n.min; i++ {
		before := len(c.prog)
		c.node(sub)
		if len(c.prog) == before { // nothing to repeat, or the program is full
			break
		}
	}
	if n.max < 0 {
		split := c.add(inst{op: opSplit})
		c.node(sub)
		c.add(inst{op: opJump, x: split})
		c.branch(split, n.lazy)
		return
	}
	var splits []int
	for i := n.min; i < n.max && !c.full; i++ {
		splits = append(splits, c.add(inst{op: opSplit}))
		c.node(sub)
	}
	for _, s := range splits {
		c.branch(s, n.lazy)
	}
}

// branch completes a split into "once more", which follows it, and "enough",
// which is the next instruction to be added.
func (c *compiler) branch(split int, lazy bool) {
	more, enough := split+1, len(c.prog)
	if lazy {
		more, enough = enough, more
	}
	c.prog[split].x, c.prog[split].y = more, enough
}
