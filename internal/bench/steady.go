package bench

import (
	"slices"
	"time"

	"optim/internal/measure"
)

const (
	leastWarmup   = 5  // runs
	warmupWindows = 10 // that the longest warm-up is made of
	steadyWindows = 3  // whose medians have to agree
	// steadySpread is how far they may lie apart, as a share: below it, what is
	// left is noise, above it, caches and clock rates are still settling.
	steadySpread = 0.03
)

// steadiness tells when times have become stable: the medians of the last windows
// agree.
type steadiness struct {
	runs    int
	medians []time.Duration
}

// add takes the runs of a window.
func (s *steadiness) add(b *block) {
	var all []time.Duration
	for _, stream := range b.Streams {
		for _, ns := range stream {
			all = append(all, time.Duration(ns))
		}
	}
	s.runs += len(all)
	if len(all) > 0 {
		s.medians = append(s.medians, measure.MedianDuration(all))
	}
}

// last returns the median of the last window.
func (s *steadiness) last() time.Duration {
	if len(s.medians) == 0 {
		return 0
	}
	return s.medians[len(s.medians)-1]
}

// done reports whether times are stable.
func (s *steadiness) done() bool {
	if s.runs < leastWarmup || len(s.medians) < steadyWindows {
		return false
	}
	last := s.medians[len(s.medians)-steadyWindows:]
	low, high := slices.Min(last), slices.Max(last)
	return float64(high-low) <= steadySpread*float64(low)
}
