package pattern

import (
	"strings"
	"unicode"
)

// set is a set of code points: a table for ASCII, where most text lies, and a
// predicate for the rest. It is immutable once made by newSet.
type set struct {
	ascii [128]bool
	has   func(rune) bool
}

// newSet tabulates the predicate.
func newSet(has func(rune) bool) *set {
	s := &set{has: has}
	for r := range s.ascii {
		s.ascii[r] = has(rune(r))
	}
	return s
}

func (s *set) contains(r rune) bool {
	if uint32(r) < uint32(len(s.ascii)) {
		return s.ascii[r]
	}
	return s.has(r)
}

func single(want rune) *set {
	return newSet(func(r rune) bool { return r == want })
}

func (s *set) negate() *set {
	return newSet(func(r rune) bool { return !s.contains(r) })
}

// fold widens s by the characters that differ from a member only in case.
func (s *set) fold() *set {
	return newSet(func(r rune) bool {
		if s.contains(r) {
			return true
		}
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			if s.contains(f) {
				return true
			}
		}
		return false
	})
}

func union(sets []*set) *set {
	if len(sets) == 1 {
		return sets[0]
	}
	return newSet(func(r rune) bool {
		for _, s := range sets {
			if s.contains(r) {
				return true
			}
		}
		return false
	})
}

func intersect(a, b *set) *set {
	return newSet(func(r rune) bool { return a.contains(r) && b.contains(r) })
}

func span(lo, hi rune) *set {
	return newSet(func(r rune) bool { return lo <= r && r <= hi })
}

func tables(t ...*unicode.RangeTable) *set {
	return newSet(func(r rune) bool { return unicode.In(r, t...) })
}

// The shorthand classes, with Oniguruma's meaning for UTF-8 text: all of
// Unicode, not ASCII alone.
var (
	spaceSet = newSet(unicode.IsSpace)
	digitSet = tables(unicode.Nd)
	hexSet   = newSet(func(r rune) bool {
		return '0' <= r && r <= '9' || 'a' <= r|32 && r|32 <= 'f'
	})
	posixWord = tables(unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic)
	// wordSet is posixWord and, as an oddity of Oniguruma outside of classes,
	// Latin-1's raised digits and fractions.
	wordSet    = union([]*set{posixWord, span('²', '³'), span('¹', '¹'), span('¼', '¾')})
	anySet     = newSet(func(rune) bool { return true })
	notLineSet = newSet(func(r rune) bool { return r != '\n' })
)

// named holds the properties that are not simply a general
// category or a script; names are in the form that canonical gives.
var named = map[string]*set{
	"any":         anySet,
	"alnum":       tables(unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.Nd),
	"alpha":       tables(unicode.L, unicode.Nl, unicode.Other_Alphabetic),
	"alphabetic":  tables(unicode.L, unicode.Nl, unicode.Other_Alphabetic),
	"ascii":       span(0, 0x7f),
	"blank":       newSet(func(r rune) bool { return r == '\t' || unicode.Is(unicode.Zs, r) }),
	"cntrl":       tables(unicode.Cc),
	"digit":       digitSet,
	"letter":      tables(unicode.L),
	"lower":       tables(unicode.Ll, unicode.Other_Lowercase),
	"mark":        tables(unicode.M),
	"number":      tables(unicode.N),
	"punct":       tables(unicode.P),
	"punctuation": tables(unicode.P),
	"separator":   tables(unicode.Z),
	"space":       spaceSet,
	"symbol":      tables(unicode.S),
	"upper":       tables(unicode.Lu, unicode.Other_Uppercase),
	"word":        wordSet,
	"xdigit":      hexSet,
}

// posix holds the brackets [:name:] that differ from the property \p{name}.
var posix = map[string]*set{
	"punct": tables(unicode.P, unicode.S),
	"word":  posixWord,
}

// canonical drops what property names may differ in: case, spaces, "_", "-".
func canonical(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", " ", "", "-", "").Replace(name))
}

// property finds the set of \p{name}.
func property(name string) (*set, bool) {
	name = canonical(name)
	if s, ok := named[name]; ok {
		return s, true
	}
	for _, group := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts, unicode.Properties} {
		for key, table := range group {
			if canonical(key) == name {
				return tables(table), true
			}
		}
	}
	return nil, false
}
