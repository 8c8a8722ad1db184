package bench

import (
	"math"
	"time"

	"optim/internal/measure"
)

// track gathers what the workers of one row measured.
type track struct {
	*model
	row      Row
	setting  Setting
	perRun   []int // samples in a run, by batch of the pool
	tokens   []int
	uniform  bool // all runs have the same shapes
	launches []launch
}

// launch is what one process measured.
type launch struct {
	samples     []Sample
	wall        time.Duration
	items, ids  int // that its runs took
	load, first float64
}

// add takes over the runs of a block.
func (t *turn) add(b *block, index int) {
	for stream, list := range b.Streams {
		for k, ns := range list {
			at := (b.First[stream] + k) % len(t.perRun)
			t.launch.samples = append(t.launch.samples, Sample{len(t.launches), index, stream, float64(ns) / 1e6})
			t.launch.items += t.perRun[at]
			t.launch.ids += t.tokens[at]
		}
	}
	t.launch.wall += time.Duration(b.Wall)
}

// finish sums up what was measured.
func (t *track) finish() Row {
	r := t.row
	var load, first []float64
	var wall time.Duration
	items, ids := 0, 0
	for _, l := range t.launches {
		r.Samples = append(r.Samples, l.samples...)
		load, first = append(load, l.load), append(first, l.first)
		wall += l.wall
		items += l.items
		ids += l.ids
	}
	r.Runs, r.Launches = len(r.Samples), t.medians()
	r.Latency = times(milliseconds(r.Samples), r.Launches)
	if s := wall.Seconds(); s > 0 {
		r.Throughput = ptr(float64(items) / s)
		if ids > 0 {
			r.Tokens = ptr(float64(ids) / s)
		}
	}
	if took := r.runTime().Seconds(); r.MACs != nil && took > 0 {
		r.GFLOPS = ptr(2 * float64(*r.MACs) / took / 1e9)
	}
	r.Cold = newCold(measure.Median(load), measure.Median(first))
	return r
}

// perItem returns what a sample took in each process, in milliseconds.
func (t *track) perItem() []float64 {
	out := make([]float64, len(t.launches))
	for i, l := range t.launches {
		out[i] = ms(l.wall) / float64(l.items)
	}
	return out
}

// medians returns the median of each process, in milliseconds.
func (t *track) medians() []float64 {
	out := make([]float64, len(t.launches))
	for i, l := range t.launches {
		out[i] = measure.Median(milliseconds(l.samples))
	}
	return out
}

func milliseconds(samples []Sample) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = s.MS
	}
	return out
}

// times describes runs; the interval of their median is that of the launches'.
func times(all, launches []float64) *Times {
	s := measure.Summarize(all)
	t := &Times{Mean: s.Mean, StdDev: s.StdDev, Min: s.Min, P50: s.Median, P90: s.P90, P95: s.P95, P99: s.P99, Max: s.Max}
	if len(launches) > 1 {
		_, low, high := measure.GeometricMean(launches)
		// The interval is of the launches' mean; it is told around the median of
		// all runs.
		mid := math.Sqrt(low * high)
		t.Low, t.High = ptr(t.P50*low/mid), ptr(t.P50*high/mid)
	}
	return t
}

func ptr[T any](v T) *T { return &v }
