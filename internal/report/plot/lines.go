package plot

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"optim/internal/bench"
	"optim/internal/bench/decode"
	"optim/internal/bench/server"
)

// lines is a diagram of series over a quantity, with legend and, where there is
// one, a limit.
type lines struct {
	panel
	heading string
	series  []series
	limit   float64 // of y; 0: none
	says    string  // text of the limit
	notes   []string
}

// series is a line through points; those that missed are drawn hollow.
type series struct {
	look   look
	name   string
	points []point
	missed []bool // empty: none, and without markers
	best   int    // index of the point that is labelled with its x; -1: none
}

// secondWay is the dash of what is compared with a series of the same colour.
var secondWay = []float64{6, 3.5}

// Server draws the 99th percentile of the time of requests at each rate that was
// tried, one request at a time and, dashed, with dynamic batching; hollow markers
// missed the limit. Format is PNG or SVG. Without a search the error is
// ErrNothing.
func Server(r *bench.Result, format string) ([]byte, error) {
	l := &lines{heading: "Server: tail latency by rate"}
	for _, m := range items(r, format) {
		s := m.Server
		if s == nil {
			continue
		}
		l.limit = max(l.limit, s.SLO)
		l.probes(m, m.label, nil, s.Capacity)
		l.probes(m, m.label+", batching", secondWay, s.Batched)
	}
	if len(l.series) == 0 {
		return nil, ErrNothing
	}
	l.notes = []string{"hollow: more than the model can serve"}
	if l.limit > 0 {
		l.says = fmt.Sprintf("limit %g ms", l.limit)
		l.notes = []string{fmt.Sprintf("hollow: limit of %g ms missed", l.limit)}
	}
	l.axes("requests a second", "p99 of the time of a request", millis)
	return l.render(r, format)
}

func (l *lines) probes(m item, name string, dash []float64, c *server.Capacity) {
	if c == nil {
		return
	}
	s := series{look: m.look, name: name, best: -1}
	s.look.dash = dash
	for _, p := range distinct(c.Probes) {
		if drawable(p.Rate) && drawable(p.P99) {
			if p.Held && p.Rate == c.Rate {
				s.best = len(s.points)
			}
			s.points, s.missed = append(s.points, point{p.Rate, p.P99}), append(s.missed, !p.Held)
		}
	}
	if len(s.points) > 0 {
		l.series = append(l.series, s)
	}
}

// distinct returns the probes by rate: of a rate that was tried more than once the
// better, since what else the machine did can only have made it worse.
func distinct(probes []server.Probe) []server.Probe {
	missed := func(p server.Probe) int {
		if p.Held {
			return 0
		}
		return 1
	}
	sorted := slices.SortedStableFunc(slices.Values(probes), func(a, b server.Probe) int {
		return cmp.Or(cmp.Compare(a.Rate, b.Rate), cmp.Compare(missed(a), missed(b)), cmp.Compare(a.P99, b.P99))
	})
	return slices.CompactFunc(sorted, func(a, b server.Probe) bool { return a.Rate == b.Rate })
}

// Decode draws the time of each step of writing ids by the number of ids before
// it: with the key/value cache and, dashed, without. Format is PNG or SVG. Without
// figures of decoding the error is ErrNothing.
func Decode(r *bench.Result, format string) ([]byte, error) {
	l := &lines{heading: "Decoding: time per token by length"}
	for _, m := range items(r, format) {
		if d := m.Decode; d != nil {
			l.steps(m, m.label+", cache", nil, d.Prompt, d.Cached)
			l.steps(m, m.label+", no cache", secondWay, d.Prompt, d.Whole)
		}
	}
	if len(l.series) == 0 {
		return nil, ErrNothing
	}
	l.axes("tokens before", "time of a token", millis)
	return l.render(r, format)
}

// steps adds the times after the first step, which is the prompt's.
func (l *lines) steps(m item, name string, dash []float64, prompt int, s *decode.Series) {
	if s == nil {
		return
	}
	line := series{look: m.look, name: name, best: -1}
	line.look.dash = dash
	for i := 1; i < len(s.Steps); i++ {
		if drawable(s.Steps[i]) {
			line.points = append(line.points, point{float64(prompt + i), s.Steps[i]})
		}
	}
	if len(line.points) > 0 {
		l.series = append(l.series, line)
	}
}

// axes makes the axes that hold all series, and the limit.
func (l *lines) axes(x, y string, q quantity) {
	var xs, ys []float64
	for _, s := range l.series {
		for _, p := range s.points {
			xs, ys = append(xs, p.x), append(ys, p.y)
		}
	}
	if l.limit > 0 {
		ys = append(ys, l.limit)
	}
	l.x, l.y = tightAxis(x, number, xs, 10), newAxis(y, q, ys, 6)
}

func (l *lines) render(r *bench.Result, format string) ([]byte, error) {
	names := make([]string, len(l.series))
	for i, s := range l.series {
		names[i] = s.name
	}
	names = fitAll(plain(labelSize), names, 0.45*pageWidth)
	entries := make([]entry, len(l.series))
	for i, s := range l.series {
		entries[i] = entry{look: s.look, text: names[i], line: true, bare: len(s.missed) == 0}
	}
	return render(format, l.heading, pageWidth, wideHeight, func(p *pen) {
		area := p.sheet(pageWidth, wideHeight, l.heading, smallPrint(r, l.notes...), entries)
		l.within(area, l.margins())
		l.draw(p)
	})
}

func (l *lines) draw(p *pen) {
	p.frame(&l.panel)
	bars := l.drawLimit(p)
	for _, s := range l.series {
		way := make([]point, len(s.points))
		for i, at := range s.points {
			way[i] = l.point(at.x, at.y)
		}
		p.line(s.look.colour, 1.8, s.look.dash, way...)
		if len(way) == 1 && len(s.missed) == 0 {
			p.mark(s.look, way[0], false)
		}
	}
	var at []point
	var names []string
	for _, s := range l.series {
		for i, missed := range s.missed {
			here := l.point(s.points[i].x, s.points[i].y)
			p.mark(s.look, here, missed)
			if i == s.best {
				at, names = append(at, here), append(names, rate(s.points[i].x))
			}
		}
	}
	p.labels(l.area, at, names, append(bars, l.cover(false)...))
}

// rate writes items a second with three digits and no exponent.
func rate(perSecond float64) string {
	decimals := min(max(2-int(math.Floor(math.Log10(perSecond))), 0), 6)
	return strconv.FormatFloat(perSecond, 'f', decimals, 64) + "/s"
}

// drawLimit draws the limit, and its text where that meets neither lines nor markers,
// and returns what they cover.
func (l *lines) drawLimit(p *pen) []rect {
	if l.limit <= 0 {
		return nil
	}
	y := l.area.y0 + l.y.at(l.limit)*l.area.height()
	p.line(ink, 1.2, []float64{3, 3}, point{l.area.x0, y}, point{l.area.x1, y})
	bars := []rect{{l.area.x0, y - 1, l.area.x1, y + 1}}
	if box, ok := l.limitBox(y); ok {
		p.text(plain(labelSize), ink, box.x0+4, box.y0+descent*labelSize+1, 0, l.says)
		bars = append(bars, box)
	}
	return bars
}

// limitBox finds a free place for the text of the limit, from the left and above the
// limit at first. Without one the small print tells it.
func (l *lines) limitBox(y float64) (rect, bool) {
	width, height := textWidth(plain(labelSize), l.says)+8, labelSize+4.0
	taken := l.cover(true)
	for _, y0 := range []float64{y + 2, y - 2 - height} {
		for x := l.area.x0 + 2; x+width <= l.area.x1; x += 8 {
			box := rect{x, y0, x + width, y0 + height}
			if box.within(l.area) && !slices.ContainsFunc(taken, box.overlaps) {
				return box, true
			}
		}
	}
	return rect{}, false
}

// cover returns small squares along the lines and around the markers, so that no
// text is put there; around the best only where that is wanted.
func (l *lines) cover(best bool) []rect {
	var out []rect
	for _, s := range l.series {
		for i, to := range s.points {
			b := l.point(to.x, to.y)
			if best || i != s.best {
				out = append(out, rect{b.x, b.y, b.x, b.y}.grow(1.2*markerRadius))
			}
			if i == 0 {
				continue
			}
			a := l.point(s.points[i-1].x, s.points[i-1].y)
			out = append(out, along([]point{a, b})...)
		}
	}
	return out
}
