package plot

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"optim/internal/bench"
)

// Choice is one way to make a model smaller, or the source.
type Choice struct {
	Name          string
	Bytes         int64
	MS, Low, High float64 // the median of a run with its interval; 0: not measured
	Metric        string
	Retention     *float64 // a fraction of the source's quality; nil: not measured
	Value         *float64 // of the metric
	Source        bool
	Recommended   bool
}

// leastLoss is where the axis of losses begins, in percent: below it, and where
// nothing is lost, differences are chance.
const leastLoss = 0.01

// Frontier draws the size of files and the time of a run against the loss of
// quality. A line joins the choices that no other one beats in both, a ring marks
// the one that is recommended. Format is PNG or SVG.
func Frontier(choices []Choice, title, format string) ([]byte, error) {
	r := &bench.Result{}
	for _, c := range choices {
		row := bench.Row{Name: c.Name, Bytes: c.Bytes}
		if c.MS > 0 {
			row.Latency = &bench.Times{P50: c.MS, Low: &c.Low, High: &c.High}
		}
		r.Models = append(r.Models, row)
	}
	if len(choices) == 0 {
		return nil, ErrNothing
	}
	rows := items(r, format)
	loss := lossOf(choices)
	var shown []item
	for i, c := range choices {
		if _, _, ok := loss(c); ok {
			shown = append(shown, rows[i])
		}
	}
	figures := []diagram{
		newFrontier(rows, choices, memories[1], loss), newFrontier(rows, choices, latencies[0], loss),
	}
	notes := "dashed line: choices that no other one beats in both · ring: recommended · bars: 95 % interval of the median"
	return render(format, title, pageWidth, wideHeight, func(p *pen) {
		area := p.sheet(pageWidth, wideHeight, title, notes, modelLegend(shown))
		p.tile(area, figures)
	})
}

// lossOf is the axis of quality: what of it is lost, in percent, or the metric
// itself where nothing tells what is kept.
func lossOf(choices []Choice) func(c Choice) (figure, string, bool) {
	kept := slices.ContainsFunc(choices, func(c Choice) bool { return c.Retention != nil })
	return func(c Choice) (figure, string, bool) {
		switch {
		case !kept && c.Value != nil:
			f, ok := exact(*c.Value, true)
			return f, c.Metric + ", lower is better", ok
		case c.Source:
			f, ok := exact(leastLoss, kept)
			return f, "", ok
		case c.Retention == nil:
			return figure{}, "", false
		}
		f, ok := exact(max(100*(1-*c.Retention), leastLoss), true)
		return f, fmt.Sprintf("loss of quality (%s) in %%, at least %g", c.Metric, leastLoss), ok
	}
}

// newFrontier is a diagram of points of which less is better on both axes.
func newFrontier(rows []item, choices []Choice, xs measure, loss func(Choice) (figure, string, bool)) *scatter {
	ys := measure{short: "Loss of quality", lower: true}
	losses, recommended := map[*bench.Row]figure{}, map[*bench.Row]bool{}
	for i, c := range choices {
		y, label, ok := loss(c)
		if ok {
			losses[rows[i].Row] = y
		}
		if label != "" {
			ys.label = label
		}
		recommended[rows[i].Row] = c.Recommended
	}
	ys.of = func(m *bench.Row) (figure, bool) { y, ok := losses[m]; return y, ok }
	s := newScatter(rows, xs, ys)
	s.title = xs.short + " and quality"
	s.under = func(p *pen) []rect {
		way := s.best()
		p.line(muted, 1.1, []float64{4, 3}, way...)
		taken := along(way)
		for _, d := range s.dots {
			if recommended[d.Row] {
				at := s.point(d.x.value, d.y.value)
				p.stroke(ink, 1.4, nil, outline(0, at, ringRadius))
				taken = append(taken, rect{at.x, at.y, at.x, at.y}.grow(ringRadius))
			}
		}
		return taken
	}
	return s
}

const ringRadius = 1.9 * markerRadius

// along returns small squares along a line, so that no text is put there.
func along(way []point) []rect {
	var out []rect
	for i := 1; i < len(way); i++ {
		a, b := way[i-1], way[i]
		n := math.Ceil(distance(a, b) / 3)
		for k := range int(n) {
			f := float64(k) / n
			at := point{a.x + f*(b.x-a.x), a.y + f*(b.y-a.y)}
			out = append(out, rect{at.x, at.y, at.x, at.y}.grow(1))
		}
	}
	return out
}

// best returns the places of the points that no other one beats in both, from left
// to right.
func (s *scatter) best() []point {
	var out []dot
	for _, d := range s.dots {
		beaten := slices.ContainsFunc(s.dots, func(o dot) bool {
			return o.x.value <= d.x.value && o.y.value <= d.y.value && (o.x.value < d.x.value || o.y.value < d.y.value)
		})
		if !beaten {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b dot) int { return cmp.Compare(a.x.value, b.x.value) })
	way := make([]point, len(out))
	for i, d := range out {
		way[i] = s.point(d.x.value, d.y.value)
	}
	return way
}
