package tokenizer

import (
	"fmt"
	"slices"
)

// behavior tells what becomes of the matches that a text is split at.
type behavior string

const (
	removed            behavior = "Removed"
	isolated           behavior = "Isolated"
	mergedWithPrevious behavior = "MergedWithPrevious"
	mergedWithNext     behavior = "MergedWithNext"
	contiguous         behavior = "Contiguous" // as isolated, but neighbours are one
)

func (b behavior) check(path string) error {
	switch b {
	case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous:
		return nil
	}
	return fmt.Errorf("%s: behavior %q is not supported", path, string(b))
}

// splitter is a pre-tokenizer that cuts at the matches of a pattern.
type splitter struct {
	match    matcher
	behavior behavior
	invert   bool // what lies between the matches counts as matches
}

func readSplit(c component) (*splitter, error) {
	var f struct {
		Pattern  patternField `json:"pattern"`
		Behavior behavior     `json:"behavior"`
		Invert   bool         `json:"invert"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	m, err := f.Pattern.compile(c.path)
	if err != nil {
		return nil, err
	}
	return &splitter{m, f.Behavior, f.Invert}, f.Behavior.check(c.path)
}

// part is a range of a text and whether it is a match.
type part struct {
	start, end int
	match      bool
}

func (s *splitter) split(in []piece) ([]piece, error) {
	var out []piece
	for _, p := range in {
		found, err := s.match.All(p.text)
		if err != nil {
			return nil, err
		}
		for _, r := range s.behavior.apply(parts(found, len(p.text), s.invert)) {
			if r.end > r.start {
				out = append(out, piece{p.text[r.start:r.end], p.first && r.start == 0})
			}
		}
	}
	return out, nil
}

// parts fills in what lies between the matches.
func parts(found [][2]int, length int, invert bool) []part {
	out := make([]part, 0, 2*len(found)+1)
	done := 0
	for _, f := range found {
		if f[0] > done {
			out = append(out, part{done, f[0], invert})
		}
		out = append(out, part{f[0], f[1], !invert})
		done = f[1]
	}
	if done < length {
		out = append(out, part{done, length, invert})
	}
	return out
}

// apply joins and drops parts. A match joins its neighbour only if that is not
// a match that stays by itself: of two adjacent matches the second is alone.
func (b behavior) apply(in []part) []part {
	switch b {
	case removed:
		return slices.DeleteFunc(in, func(p part) bool { return p.match })
	case contiguous:
		return join(in, func(p, previous part) bool { return p.match == previous.match })
	case mergedWithPrevious:
		return join(in, func(p, previous part) bool { return p.match && !previous.match })
	case mergedWithNext:
		slices.Reverse(in)
		in = join(in, func(p, next part) bool { return p.match && !next.match })
		slices.Reverse(in)
	}
	return in
}

// join unites a part with the one before it in the list where the predicate
// holds for the two as they were.
func join(in []part, joins func(p, before part) bool) []part {
	var out []part
	for i, p := range in {
		if i > 0 && joins(p, in[i-1]) {
			last := &out[len(out)-1]
			last.start, last.end = min(last.start, p.start), max(last.end, p.end)
			continue
		}
		out = append(out, p)
	}
	return out
}
