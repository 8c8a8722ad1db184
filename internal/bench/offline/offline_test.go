package offline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// machine is a made-up surface: a run of b items takes fixed + each·b with one
// core, divided by the cores that it gets; what is above capacity is lost.
type machine struct {
	fixed, each float64 // milliseconds
	cores       int
	log         []Config
}

func (m *machine) measure(_ context.Context, c Config) (Point, error) {
	m.log = append(m.log, c)
	// One stream reaches a core and a half, however many there are.
	speed := min(float64(m.cores), 1.5*float64(c.Concurrency))
	if c.By == Threads {
		speed *= 0.9 // they meet at the locks
	}
	ms := m.fixed + m.each*float64(c.Batch)
	return Point{
		Throughput: 1000 * float64(c.Batch) * speed / ms, P50: ms * float64(c.Concurrency) / speed,
		Bytes: int64(100 + 10*c.Batch*c.Concurrency),
	}, nil
}

func batches(points []Point) []int {
	var out []int
	for _, p := range points {
		if p.Concurrency == 1 {
			out = append(out, p.Batch)
		}
	}
	return out
}

// TestBatchGrows while it brings something, and two steps longer.
func TestBatchGrows(t *testing.T) {
	for _, c := range []struct {
		fixed, each float64
		max         int
		want        []int
	}{
		{0, 1, 256, []int{1, 2, 4}},                     // nothing to gain
		{1, 1, 256, []int{1, 2, 4, 8, 16, 32, 64, 128}}, // to 1.03 of the throughput at 16: 32
		{1000, 1, 8, []int{1, 2, 4, 8}},                 // the limit
		{1000, 1, 9, []int{1, 2, 4, 8}},
		{0, 1, 1, []int{1}},
	} {
		m := &machine{fixed: c.fixed, each: c.each, cores: 1}
		points, err := Sweep(context.Background(), m.measure, Options{MaxBatch: c.max})
		if err != nil || !slices.Equal(batches(points), c.want) {
			t.Errorf("%+v: batches %v, %v", c, batches(points), err)
		}
	}
}

// TestBestOfSurface compares with all settings in a grid.
func TestBestOfSurface(t *testing.T) {
	for _, cores := range []int{1, 2, 3, 4, 6, 16} {
		for _, fixed := range []float64{0, 0.3, 2, 50} {
			m := &machine{fixed: fixed, each: 1, cores: cores}
			points, err := Sweep(context.Background(), m.measure, Options{MaxBatch: 256, Cores: cores})
			if err != nil {
				t.Fatal(err)
			}
			grid := &machine{fixed: fixed, each: 1, cores: cores}
			top := 0.0
			for b := 1; b <= 256; b *= 2 {
				for n := 1; n <= cores; n++ {
					p, _ := grid.measure(context.Background(), Config{b, n, Sessions})
					top = max(top, p.Throughput)
				}
			}
			best := points[Best(points)]
			if best.Throughput < 0.95*top {
				t.Errorf("%d cores, %g ms: %+v, the best is %g", cores, fixed, best, top)
			}
			if cores > 1 && best.By != Sessions || best.Concurrency > cores {
				t.Errorf("%d cores: best is %+v", cores, best.Config)
			}
			seen := map[Config]bool{}
			for _, c := range m.log {
				if seen[c] || (c.By == "") != (c.Concurrency == 1) {
					t.Errorf("%+v was measured twice, or is none", c)
				}
				seen[c] = true
			}
			if len(m.log) > 50 {
				t.Errorf("%d cores, %g ms: %d settings", cores, fixed, len(m.log))
			}
		}
	}
}

// TestStreams that are tried: doubled, up to the cores.
func TestStreams(t *testing.T) {
	for cores, want := range map[int]string{1: "[]", 2: "[2]", 3: "[2 3]", 4: "[2 4]", 6: "[2 4 6]", 12: "[2 4 8 12]"} {
		got := []int{}
		for n := 2; n <= cores; n = next(n, cores) {
			got = append(got, n)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%d cores: %v, want %s", cores, got, want)
		}
	}
}

// TestLists are tried in full and in their order.
func TestLists(t *testing.T) {
	m := &machine{each: 1, cores: 4}
	points, err := Sweep(context.Background(), m.measure, Options{Batches: []int{1, 4, 2, 8, 16}, Concurrency: []int{1, 3}})
	if err != nil || len(points) != 15 {
		t.Fatalf("%d settings, %v", len(points), err)
	}
	want := []Config{{1, 1, ""}, {4, 1, ""}, {2, 1, ""}, {8, 1, ""}, {16, 1, ""}, {1, 3, Threads}}
	if !slices.Equal(m.log[:6], want) || m.log[14] != (Config{16, 3, Sessions}) {
		t.Errorf("%v", m.log)
	}
	// Batches alone: all of them, then streams with the best.
	m = &machine{fixed: 1, each: 1, cores: 2}
	points, err = Sweep(context.Background(), m.measure, Options{Batches: []int{5, 3, 1}, Cores: 2})
	if err != nil || !slices.Equal(batches(points), []int{5, 3, 1}) || points[3].Config != (Config{5, 2, Threads}) {
		t.Errorf("%+v, %v", points, err)
	}
	// Streams alone: with batches that grow.
	m = &machine{each: 1, cores: 2}
	points, err = Sweep(context.Background(), m.measure, Options{MaxBatch: 256, Concurrency: []int{2}})
	if err != nil || len(points) != 6 || points[0].Config != (Config{1, 2, Threads}) || points[5].Config != (Config{4, 2, Sessions}) {
		t.Errorf("%+v, %v", points, err)
	}
	for _, o := range []Options{{Batches: []int{1, 0}}, {Concurrency: []int{-2}}} {
		if points, err := Sweep(context.Background(), m.measure, o); err == nil || len(points) > 0 {
			t.Errorf("%+v: %v, %v", o, points, err)
		}
	}
}

// TestFailures are kept beside what runs.
func TestFailures(t *testing.T) {
	fixed := errors.New("the model's batch size is 8")
	only := func(_ context.Context, c Config) (Point, error) {
		if c.Batch != 8 {
			return Point{Throughput: 1e9}, fixed
		}
		return Point{Throughput: float64(c.Concurrency)}, nil
	}
	points, err := Sweep(context.Background(), only, Options{MaxBatch: 256, Cores: 2})
	if err != nil || points[Best(points)].Config != (Config{8, 2, Threads}) {
		t.Errorf("%+v, %v", points, err)
	}
	for _, p := range points {
		if (p.Batch == 8) != (p.Err == nil) || p.Err != nil && p.Throughput != 0 {
			t.Errorf("%+v", p)
		}
	}
	points, err = Sweep(context.Background(), only, Options{MaxBatch: 4, Cores: 2})
	if !errors.Is(err, fixed) || len(points) != 3 || Best(points) != -1 {
		t.Errorf("%+v, %v", points, err)
	}
	if _, err := Sweep(context.Background(), only, Options{}); err == nil {
		t.Error("nothing was tried, and that is no error")
	}
}

// TestMemory: what would take too much, by what was measured, is not run.
func TestMemory(t *testing.T) {
	m := &machine{fixed: 1000, each: 1, cores: 2}
	points, err := Sweep(context.Background(), m.measure, Options{MaxBatch: 256, Cores: 2, MaxBytes: 300})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m.log {
		if c.Batch*c.Concurrency > 20 {
			t.Errorf("%+v was run", c)
		}
	}
	if !slices.Equal(batches(points), []int{1, 2, 4, 8, 16, 32, 64}) || points[4].Err != nil || points[5].Err == nil {
		t.Errorf("%+v", points)
	}
	if got := fmt.Sprint(points[5].Err); !strings.Contains(got, "4.2e-07 GB of memory") {
		t.Error(got)
	}
	// Sessions have everything of their own.
	s := &sweep{points: []Point{{Config: Config{4, 1, ""}, Bytes: 500}, {Config: Config{8, 1, ""}, Bytes: 600}}}
	for c, want := range map[Config]int64{
		{16, 1, ""}: 800, {8, 2, Threads}: 800, {8, 2, Sessions}: 1200, {4, 3, Sessions}: 1500, {2, 1, ""}: 0,
	} {
		if got := s.needs(c); got != want {
			t.Errorf("%+v needs %d, want %d", c, got, want)
		}
	}
}

// TestInterrupt: what was measured comes with the error.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	m := &machine{fixed: 10, each: 1, cores: 2}
	calls := 0
	points, err := Sweep(ctx, func(ctx context.Context, c Config) (Point, error) {
		if calls++; calls == 4 {
			cancel()
			return Point{}, errors.New("run: context canceled")
		}
		return m.measure(ctx, c)
	}, Options{MaxBatch: 256, Cores: 2})
	if !errors.Is(err, context.Canceled) || len(points) != 3 || Best(points) != 2 {
		t.Errorf("%+v, %v", points, err)
	}
}

// TestProgress: each setting is announced before it is measured.
func TestProgress(t *testing.T) {
	m := &machine{each: 1, cores: 2}
	var said []Config
	_, err := Sweep(context.Background(), func(ctx context.Context, c Config) (Point, error) {
		if said[len(said)-1] != c {
			t.Errorf("%+v was not announced", c)
		}
		return m.measure(ctx, c)
	}, Options{MaxBatch: 256, Cores: 2, Progress: func(c Config) { said = append(said, c) }})
	if err != nil || !slices.Equal(said, m.log) {
		t.Errorf("%v, %v", said, err)
	}
}

func TestBest(t *testing.T) {
	if Best(nil) != -1 {
		t.Error("best of nothing")
	}
	points := []Point{{Throughput: math.Inf(1), Err: errors.New("x")}, {Throughput: 1}, {Throughput: 2}, {Throughput: 2}}
	if got := Best(points); got != 2 {
		t.Errorf("best is %d", got)
	}
}
