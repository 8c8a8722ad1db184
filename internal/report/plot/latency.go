package plot

import (
	"fmt"
	"math"
	"slices"

	"optim/internal/bench"
	stats "optim/internal/measure"
)

// Distribution draws how the times of runs are distributed: the time that each
// share of the runs stayed below. The axis of shares is stretched towards the tail, so that
// the slowest percent takes as much room as the nine before it. Format is PNG or SVG; at
// most the first 8 rows are shown. Without times the error is ErrNothing.
func Distribution(r *bench.Result, format string) ([]byte, error) {
	d := newDistribution(items(r, format))
	if len(d.curves) == 0 {
		return nil, ErrNothing
	}
	d.title = ""
	title := "Distribution of latency"
	if len(d.curves) == 1 {
		title += ": " + d.curves[0].label
	}
	var notes []string
	if d.left > 0 {
		notes = append(notes, fmt.Sprintf("the first %d of %d rows", curvesShown, curvesShown+d.left))
	}
	return render(format, title, pageWidth, wideHeight, func(p *pen) {
		var rows []item
		for _, c := range d.curves {
			rows = append(rows, c.item)
		}
		entries := rowLegend(rows)
		area := p.sheet(pageWidth, wideHeight, title, smallPrint(r, notes...), entries)
		d.within(area, d.margins())
		d.draw(p)
	})
}

// curvesShown is how many distributions can be told apart.
const curvesShown = 8

// distribution is a diagram of times by share of runs.
type distribution struct {
	panel
	curves []curve
	left   int // rows that are not shown
}

// curve is the distribution of a row: times by stretched share.
type curve struct {
	item
	points []point
	marks  []point // at the median and the tail's percentiles
}

// stretched returns where the share q of runs stands: 0, 1, 2, 3 for 0, 90, 99 and
// 99.9 %.
func stretched(q float64) float64 { return -math.Log10(1 - q) }

func newDistribution(rows []item) *distribution {
	d := &distribution{}
	end := stretched(0.9)
	var times []float64
	for _, m := range rows {
		c, ok := newCurve(m)
		switch {
		case !ok:
			continue
		case len(d.curves) == curvesShown:
			d.left++
			continue
		}
		d.curves = append(d.curves, c)
		end = max(end, c.points[len(c.points)-1].x)
		for _, p := range c.points {
			times = append(times, p.y)
		}
	}
	d.title = "Distribution of latency"
	d.y = newAxis("latency", millis, times, 6)
	d.x = axis{label: "percentile of the runs", max: end * 1.02}
	d.x.ticks = []tick{{0, "min"}}
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999} {
		if stretched(q) <= d.x.max {
			d.x.ticks = append(d.x.ticks, tick{stretched(q), fmt.Sprintf("p%.7g", 100*q)})
		}
	}
	return d
}

// newCurve takes the raw times, else what is left of them: the percentiles.
func newCurve(m item) (curve, bool) {
	c := curve{item: m}
	var sorted []float64
	for _, s := range m.Samples {
		if drawable(s.MS) {
			sorted = append(sorted, s.MS)
		}
	}
	slices.Sort(sorted)
	switch t := m.Latency; {
	case len(sorted) > 0:
		c.points = steps(sorted)
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
			if q*float64(len(sorted)) < float64(len(sorted)-1) {
				c.marks = append(c.marks, point{stretched(q), stats.Quantile(sorted, q)})
			}
		}
		if len(c.points) == 1 { // no line to see
			c.marks = c.points
		}
	case t != nil:
		c.points = []point{{0, t.Min}, {stretched(0.5), t.P50}, {1, t.P90}, {stretched(0.95), t.P95}, {2, t.P99}}
		c.points = slices.DeleteFunc(c.points, func(p point) bool { return !drawable(p.y) })
		c.marks = c.points
	}
	return c, len(c.points) > 0
}

// steps returns the corners of the stairs whose height at share q is the time that
// the share q of the runs stayed below. Corners nearer than a hair's breadth are
// merged, whatever the number of runs.
func steps(sorted []float64) []point {
	n := len(sorted)
	hair := stretched(1-1/float64(n+1)) / 600
	var out []point
	for i, v := range sorted {
		x := stretched(float64(i) / float64(n))
		if k := len(out); k > 0 {
			if x-out[k-1].x < hair && i < n-1 {
				out[k-1].y = v
				continue
			}
			out = append(out, point{x, out[k-1].y})
		}
		out = append(out, point{x, v})
	}
	return out
}

func (d *distribution) base() *panel { return &d.panel }

func (d *distribution) draw(p *pen) {
	p.frame(&d.panel)
	for _, c := range d.curves {
		way := make([]point, len(c.points))
		for i, at := range c.points {
			way[i] = d.point(at.x, at.y)
		}
		p.line(c.look.colour, 1.8, c.look.dash, way...)
	}
	for _, c := range d.curves {
		for _, at := range c.marks {
			p.mark(c.look, d.point(at.x, at.y), false)
		}
	}
}
