package bench

import "optim/internal/measure"

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
	x, y := by(base), by(other)
	if len(x) == 1 && len(y) == 1 {
		x, y = base.launches[0].byBlock(), other.launches[0].byBlock()
	}
	var out []float64
	for i := range min(len(x), len(y)) {
		out = append(out, x[i]/y[i])
	}
	return out
}

// byBlock returns the median of each turn.
func (l launch) byBlock() []float64 {
	var out []float64
	for from := 0; from < len(l.samples); {
		to := from
		for to < len(l.samples) && l.samples[to].Block == l.samples[from].Block {
			to++
		}
		out = append(out, measure.Median(milliseconds(l.samples[from:to])))
		from = to
	}
	return out
}
