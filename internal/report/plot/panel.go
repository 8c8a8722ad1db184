package plot

import (
	"fmt"

	"gonum.org/v1/plot/font"
)

// panel is one diagram: a grid with axes, in which marks are drawn.
type panel struct {
	title string
	x, y  axis
	area  rect    // of the data
	left  float64 // of the area, where the text of y begins
}

// Sizes of text in points.
const (
	titleSize = 15
	headSize  = 11.5
	labelSize = 10.5
	tickSize  = 10
	smallSize = 9
)

// margins are the widths that a panel needs around its data.
type margins struct{ left, right, bottom, top float64 }

func (d *panel) margins() margins {
	widest := 0.0
	for _, t := range d.y.ticks {
		widest = max(widest, textWidth(plain(tickSize), t.text))
	}
	m := margins{left: widest + 5 + 1.7*labelSize, right: 10, bottom: 1.4*tickSize + 1.7*labelSize, top: 6}
	if d.title != "" {
		m.top += 1.5 * headSize
	}
	return m
}

// within sets the area of the data to what m leaves of outer.
func (d *panel) within(outer rect, m margins) {
	d.left = outer.x0
	d.area = rect{outer.x0 + m.left, outer.y0 + m.bottom, outer.x1 - m.right, outer.y1 - m.top}
}

// point returns where a value stands on the page.
func (d *panel) point(x, y float64) point {
	return point{d.area.x0 + d.x.at(x)*d.area.width(), d.area.y0 + d.y.at(y)*d.area.height()}
}

// frame draws grid, axes and their text.
func (p *pen) frame(d *panel) {
	a := d.area
	for _, t := range d.x.ticks {
		x := a.x0 + d.x.at(t.value)*a.width()
		p.line(faint, 0.8, nil, point{x, a.y0}, point{x, a.y1})
		p.text(plain(tickSize), muted, x, a.y0-1.3*tickSize, 0.5, t.text)
	}
	for _, t := range d.y.ticks {
		y := a.y0 + d.y.at(t.value)*a.height()
		p.line(faint, 0.8, nil, point{a.x0, y}, point{a.x1, y})
		p.text(plain(tickSize), muted, a.x0-5, y-capHeight/2*tickSize, 1, t.text)
	}
	p.line(muted, 1, nil, point{a.x0, a.y1}, point{a.x0, a.y0}, point{a.x1, a.y0})
	p.text(plain(labelSize), ink, (a.x0+a.x1)/2, a.y0-1.4*tickSize-1.3*labelSize, 0.5, d.x.label)
	p.upward(plain(labelSize), ink, d.left+ascent*labelSize, (a.y0+a.y1)/2, d.y.label)
	p.text(bold(headSize), ink, a.x0, a.y1+0.6*headSize, 0, d.title)
}

// empty says in an area that there is nothing to show.
func (p *pen) empty(area rect) {
	p.text(plain(labelSize), muted, (area.x0+area.x1)/2, (area.y0+area.y1)/2, 0.5, "not measured")
}

// entry is a line of the legend.
type entry struct {
	look look
	text string
	line bool // a line through the marker
	bare bool // the line has no marker
}

const (
	entryGap    = 18
	sampleWidth = 24 // of a line with its marker
	rowHeight   = 1.55 * labelSize
)

func (e *entry) sample() float64 {
	if e.line {
		return sampleWidth
	}
	return 2 * markerRadius
}

// legend arranges entries in rows of at most width, and returns how many rows
// it takes and a function that draws them below top. At most limit rows are
// shown; the last tells how many entries are missing.
func (p *pen) legend(entries []entry, width float64, limit int) (rows int, draw func(x, top float64)) {
	f := plain(labelSize)
	var lines [][]entry
	room := 0.0
	for _, e := range entries {
		need := e.sample() + 6 + textWidth(f, e.text)
		if len(lines) == 0 || room < need {
			lines, room = append(lines, nil), width
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], e)
		room -= need + entryGap
	}
	hidden := 0
	if len(lines) > limit {
		for _, l := range lines[limit:] {
			hidden += len(l)
		}
		lines = lines[:limit]
	}
	return len(lines), func(x, top float64) {
		for i, line := range lines {
			at, y := x, top-float64(i+1)*rowHeight+0.45*labelSize
			for j, e := range line {
				if hidden > 0 && i == len(lines)-1 && j == len(line)-1 {
					p.text(f, muted, at, y, 0, fmt.Sprintf("and %d more", hidden+1))
					break
				}
				at = p.entry(f, e, at, y) + entryGap
			}
		}
	}
}

// entry draws e from x on and returns where it ends.
func (p *pen) entry(f font.Face, e entry, x, y float64) float64 {
	middle := y + capHeight/2*labelSize
	if e.line {
		p.line(e.look.colour, 2, e.look.dash, point{x, middle}, point{x + sampleWidth, middle})
	}
	if !e.bare {
		p.mark(e.look, point{x + e.sample()/2, middle}, false)
	}
	x += e.sample() + 6
	p.text(f, ink, x, y, 0, e.text)
	return x + textWidth(f, e.text)
}
