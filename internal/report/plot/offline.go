package plot

import (
	"cmp"
	"fmt"
	"slices"

	"optim/internal/bench"
)

// Offline draws the throughput by batch of each setting of a sweep. Format is PNG or SVG. Without a sweep the error is ErrNothing.
func Offline(r *bench.Result, format string) ([]byte, error) {
	l := &lines{heading: "Offline: throughput by batch"}
	for _, m := range items(r, format) {
		at := map[string]int{} // series by streams
		for _, s := range m.Sweep {
			name := m.name + ", " + plural(s.Concurrency, "stream")
			if s.Concurrency > 1 && s.By != "" {
				name += " by " + s.By
			}
			i, ok := at[name]
			if !ok {
				i = len(l.series)
				at[name] = i
				l.series = append(l.series, series{look: newLook(i, 0, false), name: name, best: -1})
			}
			if drawable(s.Throughput) && s.Throughput > 0 {
				l.series[i].points = append(l.series[i].points, point{float64(s.Batch), s.Throughput})
				l.series[i].missed = append(l.series[i].missed, false)
			}
			if s.Best {
				l.notes = append(l.notes, fmt.Sprintf("%s: best with batch %d and %s", m.name, s.Batch, plural(s.Concurrency, "stream")))
			}
		}
	}
	if len(l.series) == 0 {
		return nil, ErrNothing
	}
	for _, s := range l.series {
		slices.SortFunc(s.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	}
	l.axes("batch", "items a second", number)
	return l.render(r, format)
}
