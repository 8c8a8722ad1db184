// Package offline finds the batch and the concurrency of the highest throughput, as
// MLPerf Inference defines its offline scenario: all inputs are there from the
// beginning, and only the time for all counts.
package offline

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// What the streams of a setting share.
const (
	Threads  = "threads"  // one session, run by several threads at once
	Sessions = "sessions" // nothing: one session each, with its share of the threads
)

// Config is one setting.
type Config struct {
	Batch       int    // items a run
	Concurrency int    // streams, each of which makes one run after the other
	By          string // Threads or Sessions; empty for one stream
}

// items is how many are in work at the same time.
func (c Config) items() int { return c.Batch * c.Concurrency }

// Point is a setting with what was measured there.
type Point struct {
	Config
	Throughput float64 // items a second, of all streams
	Tokens     float64 // ids a second; 0: no text
	P50        float64 // milliseconds of a run, median
	Bytes      int64   // resident memory while it ran, the highest; 0: unknown
	Err        error   // why it was not measured
}

// Options say what is tried. The zero value of a field takes what is in brackets.
type Options struct {
	Batches     []int        // [powers of two, while they bring something]
	Concurrency []int        // [1, then more streams with the best batch, while they bring something]
	MaxBatch    int          // of the batches that are tried without a list
	Cores       int          // the most streams that are tried without a list [1]
	MaxBytes    int64        // the most memory that a setting may take, by what smaller ones took [any]
	Progress    func(Config) // called before each setting
}

// Sweep measures settings, and returns them in that order; Best tells the one to
// take. A setting that fails is a Point with its error, and the next ones are
// tried; when all fail, the first reason is the error. When ctx ends, the settings
// so far are returned with its error.
func Sweep(ctx context.Context, measure func(context.Context, Config) (Point, error), o Options) ([]Point, error) {
	for _, n := range slices.Concat(o.Batches, o.Concurrency) {
		if n < 1 {
			return nil, fmt.Errorf("offline scenario: a batch or concurrency of %d", n)
		}
	}
	if o.Progress == nil {
		o.Progress = func(Config) {}
	}
	s := &sweep{Options: o, measure: measure}
	if err := s.run(ctx); err != nil {
		return s.points, err
	}
	if Best(s.points) < 0 {
		return s.points, fmt.Errorf("offline scenario: no setting runs: %w", s.reason())
	}
	return s.points, nil
}

// Best returns the index of the highest throughput; -1 if nothing was measured.
func Best(points []Point) int {
	best := -1
	for i, p := range points {
		if p.Err == nil && (best < 0 || p.Throughput > points[best].Throughput) {
			best = i
		}
	}
	return best
}

// reason returns the first error of a setting.
func (s *sweep) reason() error {
	for _, p := range s.points {
		if p.Err != nil {
			return p.Err
		}
	}
	return errors.New("nothing was tried")
}
