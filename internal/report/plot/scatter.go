package plot

import "math"

// scatter is a diagram of points, one for each row that has both figures.
type scatter struct {
	panel
	xs, ys measure
	dots   []dot
	// under draws what lies below the marks and returns what names have to keep clear
	// of; nil: nothing.
	under func(p *pen) []rect
}

type dot struct {
	item
	x, y figure
}

func newScatter(rows []item, xs, ys measure) *scatter {
	s := &scatter{xs: xs, ys: ys}
	s.title = ys.short + " against " + lowerFirst(xs.short)
	var x, y []float64
	for _, m := range rows {
		fx, okX := xs.of(m.Row)
		fy, okY := ys.of(m.Row)
		if okX && okY {
			s.dots = append(s.dots, dot{m, fx, fy})
			x, y = append(x, fx.low, fx.value, fx.high), append(y, fy.low, fy.value, fy.high)
		}
	}
	s.x, s.y = newAxis(xs.label, xs.unit, x, 6), newAxis(ys.label, ys.unit, y, 5)
	return s
}

func (s *scatter) base() *panel { return &s.panel }

func (s *scatter) draw(p *pen) {
	if len(s.dots) == 0 {
		s.x.ticks, s.y.ticks = nil, nil
		p.frame(&s.panel)
		p.empty(s.area)
		return
	}
	p.frame(&s.panel)
	var bars []rect
	if s.under != nil {
		bars = s.under(p)
	}
	for _, d := range s.dots {
		at := s.point(d.x.value, d.y.value)
		bars = append(bars, p.bar(d.look, at, s.point(d.x.value, d.y.low), s.point(d.x.value, d.y.high))...)
		bars = append(bars, p.bar(d.look, at, s.point(d.x.low, d.y.value), s.point(d.x.high, d.y.value))...)
	}
	taken := bars
	for _, d := range s.dots {
		at := s.point(d.x.value, d.y.value)
		p.mark(d.look, at, false)
		taken = append(taken, rect{at.x, at.y, at.x, at.y}.grow(1.2*markerRadius))
	}
	// Names keep clear of it as of bars.
	s.labels(p, append(bars, s.direction(p, taken)...))
}

// bar draws an interval around a marker and returns what it covers: nothing
// where the marker hides it.
func (p *pen) bar(l look, at, a, b point) []rect {
	const cap = 3.5
	if max(distance(a, at), distance(b, at)) < markerRadius+1.5 {
		return nil
	}
	p.line(l.colour, 1.3, nil, a, b)
	across := point{cap, 0}
	if a.y == b.y {
		across = point{0, cap}
	}
	for _, e := range []point{a, b} {
		p.line(l.colour, 1.3, nil, point{e.x - across.x, e.y - across.y}, point{e.x + across.x, e.y + across.y})
	}
	return []rect{{a.x - across.x, a.y - across.y, b.x + across.x, b.y + across.y}}
}

// labels writes the names beside the points.
func (s *scatter) labels(p *pen, bars []rect) {
	names := make([]string, len(s.dots))
	for i, d := range s.dots {
		names[i] = d.label
	}
	names = fitAll(plain(labelSize), names, 0.48*s.area.width())
	at := make([]point, len(s.dots))
	for i, d := range s.dots {
		at[i] = s.point(d.x.value, d.y.value)
	}
	p.labels(s.area, at, names, bars)
}

// labels writes names beside points, clear of bars. Those that find no place are
// left out.
func (p *pen) labels(area rect, at []point, names []string, bars []rect) {
	f := plain(labelSize)
	wanted := make([]label, len(names))
	for i, n := range names {
		wanted[i] = label{at[i], markerRadius, textWidth(f, n), labelSize}
	}
	for i, spot := range place(area.grow(-2), wanted, bars) {
		if !spot.shown {
			continue
		}
		if spot.leader {
			p.line(muted, 0.7, nil, spot.from, spot.to)
		}
		p.text(f, ink, spot.box.x0, spot.box.y0+descent*labelSize, 0, names[i])
	}
}

// direction shows in a corner where the better models are, if it is free of markers,
// and returns what it covers.
func (s *scatter) direction(p *pen, taken []rect) []rect {
	f := plain(smallSize)
	const text, arrow = "better", 13
	width := textWidth(f, text) + arrow + 4
	a := s.area
	x, y, up := a.x0+6, a.y0+6, -1.0
	if !s.ys.lower {
		y, up = a.y1-6-arrow, 1
	}
	box := rect{x, y, x + width, y + arrow}
	for _, t := range taken {
		if box.grow(2).overlaps(t) {
			return nil
		}
	}
	tip, tail := point{x, y}, point{x + arrow, y + arrow}
	if up > 0 {
		tip, tail = point{x, y + arrow}, point{x + arrow, y}
	}
	p.line(muted, 1.1, nil, tail, tip)
	turn := math.Atan2(tail.y-tip.y, tail.x-tip.x)
	for _, side := range []float64{-0.45, 0.45} {
		sin, cos := math.Sincos(turn + side)
		p.line(muted, 1.1, nil, tip, point{tip.x + 6*cos, tip.y + 6*sin})
	}
	p.text(f, muted, x+arrow+4, y+arrow/2-capHeight/2*smallSize, 0, text)
	return []rect{box.grow(2)}
}

func lowerFirst(s string) string { return string(s[0]|0x20) + s[1:] }
