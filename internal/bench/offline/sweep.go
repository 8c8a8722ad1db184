package offline

import (
	"context"
	"fmt"
	"slices"
)

const (
	// gain is how many times the throughput so far a larger setting has to reach to
	// have brought something.
	gain = 1.03
	// patience is how many settings in a row may bring nothing.
	patience = 2
)

// sweep holds the settings so far.
type sweep struct {
	Options
	measure func(context.Context, Config) (Point, error)
	points  []Point
}

// run tries the user's lists in full, and what has no list while it brings more.
func (s *sweep) run(ctx context.Context) error {
	if len(s.Concurrency) == 0 {
		if err := s.batches(ctx, 1, ""); err != nil {
			return err
		}
		return s.streams(ctx)
	}
	for _, n := range s.Concurrency {
		ways := []string{Threads, Sessions}
		if n == 1 {
			ways = []string{""}
		}
		for _, by := range ways {
			if err := s.batches(ctx, n, by); err != nil {
				return err
			}
		}
	}
	return nil
}

// batches tries the batches with so many streams.
func (s *sweep) batches(ctx context.Context, streams int, by string) error {
	list := s.Batches
	if len(list) == 0 {
		for n := 1; n > 0 && n <= s.MaxBatch; n *= 2 {
			list = append(list, n)
		}
	}
	var configs []Config
	for _, n := range list {
		configs = append(configs, Config{n, streams, by})
	}
	return s.climb(ctx, configs, 0, len(s.Batches) > 0)
}

// streams tries more streams: with the best batch, and with as many items in work
// at the same time as it has.
func (s *sweep) streams(ctx context.Context) error {
	best := Best(s.points)
	if best < 0 {
		return nil
	}
	top := s.points[best]
	for _, by := range []string{Threads, Sessions} {
		var same, split []Config
		for n := 2; n <= s.Cores; n = next(n, s.Cores) {
			same = append(same, Config{top.Batch, n, by})
			split = append(split, Config{max(top.Batch/n, 1), n, by})
		}
		for _, configs := range [][]Config{same, split} {
			if err := s.climb(ctx, configs, top.Throughput, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// next doubles a number of streams, but does not pass over the number of cores.
func next(n, cores int) int {
	if n < cores {
		return min(2*n, cores)
	}
	return n + 1
}

// climb tries settings in ascending order, all of them or until they bring no more
// than before, top at first.
func (s *sweep) climb(ctx context.Context, configs []Config, top float64, all bool) error {
	idle := 0
	for _, c := range configs {
		p, err := s.try(ctx, c)
		if err != nil {
			return err
		}
		switch {
		case p.Err == nil && p.Throughput > gain*top:
			idle, top = 0, p.Throughput
		case top > 0: // before anything has run, a larger one may be the first that does
			idle++
		}
		if idle == patience && !all {
			break
		}
	}
	return nil
}

// try measures a setting, once. Its error is that of ctx.
func (s *sweep) try(ctx context.Context, c Config) (Point, error) {
	if i := slices.IndexFunc(s.points, func(p Point) bool { return p.Config == c }); i >= 0 {
		return s.points[i], nil
	}
	if err := ctx.Err(); err != nil {
		return Point{}, err
	}
	var p Point
	var err error
	if n := s.needs(c); s.MaxBytes > 0 && n > s.MaxBytes {
		err = fmt.Errorf("it needs about %.3g GB of memory, more than the %.3g GB that there are for it", float64(n)/1e9, float64(s.MaxBytes)/1e9)
	} else {
		s.Progress(c)
		p, err = s.measure(ctx, c)
	}
	if ctx.Err() != nil {
		return Point{}, ctx.Err()
	}
	if p.Config = c; err != nil {
		p = Point{Config: c, Err: err}
	}
	s.points = append(s.points, p)
	return p, nil
}
