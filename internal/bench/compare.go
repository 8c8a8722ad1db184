package bench

import (
	"time"

	"optim/internal/measure"
)

// compareTracks compares tracks with the first, by what each of their processes
// found. The processes of one restart ran in turn: each restart gives one ratio.
func (b *bench) compareTracks(tracks []*track, by func(*track) []float64) {
	for _, t := range tracks[1:] {
		ratios := ratios(tracks[0], t, by)
		if len(ratios) < 2 {
			b.warn("too few runs for a comparison")
			continue
		}
		c := Comparison{Base: tracks[0].name, Other: t.name, Batch: t.row.Batch, Streams: t.row.Concurrency}
		c.Speedup, c.Low, c.High = measure.GeometricMean(ratios)
		c.Differs = c.Low > 1 || c.High < 1
		b.result.Comparisons = append(b.result.Comparisons, c)
	}
}

// ratios returns base's time divided by other's, of each restart that both went
// through; of the turns, where there was but one restart.
func ratios(base, other *track, by func(*track) []float64) []float64 {
	if len(base.launches) == 1 && len(other.launches) == 1 {
		base, other = base.turns(), other.turns()
	}
	x, y := by(base), by(other)
	var out []float64
	for i := range min(len(x), len(y)) {
		out = append(out, x[i]/y[i])
	}
	return out
}

// turns returns the only process of a track as if each of its turns had been one. All
// runs have the same number of samples.
func (t *track) turns() *track {
	all, out := t.launches[0], &track{}
	total := sum(all.samples)
	for from := 0; from < len(all.samples); {
		to := from
		for to < len(all.samples) && all.samples[to].Block == all.samples[from].Block {
			to++
		}
		part := all.samples[from:to]
		out.launches = append(out.launches, launch{
			samples: part, items: all.items * len(part) / len(all.samples),
			wall: time.Duration(float64(all.wall) * sum(part) / total),
		})
		from = to
	}
	return out
}

// sum returns the time of all runs in milliseconds.
func sum(samples []Sample) float64 {
	total := 0.0
	for _, s := range samples {
		total += s.MS
	}
	return total
}
