package offline

import "slices"

// needs returns the bytes that a setting is expected to take; 0: unknown.
func (s *sweep) needs(c Config) int64 {
	if c.By == Sessions {
		// Each has the weights and the memory of its runs; all of the process once too
		// often is little beside that.
		return int64(c.Concurrency) * s.extrapolate(c.Batch, func(p Point) bool { return p.Concurrency == 1 })
	}
	return s.extrapolate(c.items(), func(p Point) bool { return p.By != Sessions })
}

// extrapolate returns the bytes with so many items in work: what those settings
// took that are taken into account, on the line through the two that are next
// below. From one alone nothing can be told but that it will not be less.
func (s *sweep) extrapolate(items int, counts func(Point) bool) int64 {
	var below []Point
	for _, p := range s.points {
		if p.Bytes > 0 && p.items() <= items && counts(p) {
			below = append(below, p)
		}
	}
	slices.SortStableFunc(below, func(a, b Point) int { return a.items() - b.items() })
	if len(below) == 0 {
		return 0
	}
	last := below[len(below)-1]
	for i := len(below) - 2; i >= 0; i-- {
		if width := last.items() - below[i].items(); width > 0 {
			slope := float64(max(last.Bytes-below[i].Bytes, 0)) / float64(width)
			return last.Bytes + int64(slope*float64(items-last.items()))
		}
	}
	return last.Bytes
}
