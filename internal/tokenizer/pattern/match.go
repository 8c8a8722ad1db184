package pattern

import (
	"fmt"
	"unicode/utf8"
)

// Bounds of one All: steps grow with the text, the stack does not.
const (
	baseSteps    = 1 << 16
	stepsPerByte = 256
	maxStack     = 1 << 20
)

// frame is an alternative to come back to: go on at pc from pos, or, where pos
// is above low, from any character boundary between low and pos, last first.
type frame struct{ pc, pos, low int }

type matcher struct {
	prog  []inst
	text  string
	stack []frame
	steps int // left
	over  bool
}

// All returns the leftmost matches that do not overlap, as pairs of byte
// offsets. A match may be empty, but not right behind another one.
func (re *Regexp) All(text string) ([][2]int, error) {
	m := &matcher{prog: re.prog, text: text, steps: baseSteps + stepsPerByte*len(text)}
	var out [][2]int
	last := -1
	for at := 0; at <= len(text); {
		end, ok := m.run(0, at)
		if m.over {
			return nil, fmt.Errorf("pattern %q: takes too long on a text of %d bytes", re.expr, len(text))
		}
		if ok && (end > at || at != last) {
			out = append(out, [2]int{at, end})
			last = end
		}
		if ok && end > at {
			at = end
			continue
		}
		_, w := utf8.DecodeRuneInString(text[at:])
		at += max(w, 1)
	}
	return out, nil
}

// run executes the program from pc at pos until its opMatch and returns the
// end of the match. It leaves the stack as it found it.
func (m *matcher) run(pc, pos int) (end int, ok bool) {
	base := len(m.stack)
	defer func() { m.stack = m.stack[:base] }()
	for {
		if m.steps--; m.steps < 0 || len(m.stack) > maxStack {
			m.over = true
			return 0, false
		}
		i := &m.prog[pc]
		ok := true
		switch i.op {
		case opMatch:
			return pos, true
		case opJump:
			pc = i.x
			continue
		case opSplit:
			m.stack = append(m.stack, frame{i.y, pos, pos})
			pc = i.x
			continue
		case opAhead:
			_, ok = m.run(pc+1, pos)
			if ok = ok != i.negated; ok {
				pc = i.x
			}
		case opAtomic:
			var stop int
			if stop, ok = m.run(pc+1, pos); ok {
				pc, pos = i.x, stop
			}
		default:
			if pos, ok = m.simple(i, pc, pos); ok {
				pc++
			}
		}
		if m.over {
			return 0, false
		}
		if !ok {
			if len(m.stack) == base {
				return 0, false
			}
			pc, pos = m.pop()
		}
	}
}

// simple executes an instruction that goes on at the next one.
func (m *matcher) simple(i *inst, pc, pos int) (int, bool) {
	switch i.op {
	case opSet:
		r, w := m.at(pos)
		return pos + w, w > 0 && i.set.contains(r)
	case opRepeat:
		return m.repeat(i, pc, pos)
	case opBehind:
		r, w := utf8.DecodeLastRuneInString(m.text[:pos])
		return pos, (w > 0 && i.set.contains(r)) != i.negated
	}
	return pos, m.holds(i.assert, pos)
}

// repeat consumes as much as it may and leaves the shorter ways on the stack.
func (m *matcher) repeat(i *inst, pc, pos int) (int, bool) {
	low := pos
	for n := 0; ; n++ {
		if n == i.min {
			low = pos
		}
		r, w := m.at(pos)
		if n == i.max || w == 0 || !i.set.contains(r) {
			if n < i.min {
				return pos, false
			}
			break
		}
		pos += w
		m.steps--
	}
	if pos > low && !i.possessive {
		m.stack = append(m.stack, frame{pc + 1, m.before(pos), low})
	}
	return pos, true
}

// pop takes the latest alternative, and puts back what is left of it.
func (m *matcher) pop() (pc, pos int) {
	f := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	if f.pos > f.low {
		m.stack = append(m.stack, frame{f.pc, m.before(f.pos), f.low})
	}
	return f.pc, f.pos
}

// at decodes the character at pos; its width is 0 at the end of the text.
func (m *matcher) at(pos int) (rune, int) {
	if pos < len(m.text) && m.text[pos] < utf8.RuneSelf {
		return rune(m.text[pos]), 1
	}
	return utf8.DecodeRuneInString(m.text[pos:])
}

func (m *matcher) before(pos int) int {
	_, w := utf8.DecodeLastRuneInString(m.text[:pos])
	return pos - w
}

func (m *matcher) holds(a assertion, pos int) bool {
	switch a {
	case lineStart:
		return pos == 0 || m.text[pos-1] == '\n'
	case lineEnd:
		return pos == len(m.text) || m.text[pos] == '\n'
	case textStart:
		return pos == 0
	case textEnd:
		return pos == len(m.text)
	case textEndLine:
		return pos == len(m.text) || m.text[pos:] == "\n"
	}
	return m.wordAt(m.before(pos), pos) != m.wordAt(pos, len(m.text)) == (a == wordEdge)
}

// wordAt tells whether the character that starts at pos, before end, is one
// of a word.
func (m *matcher) wordAt(pos, end int) bool {
	r, w := m.at(pos)
	return pos < end && w > 0 && wordSet.contains(r)
}
