package plot

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
)

// point is a place on the page, in points.
type point struct{ x, y float64 }

// rect is an upright rectangle, in points.
type rect struct{ x0, y0, x1, y1 float64 }

func (r rect) width() float64  { return r.x1 - r.x0 }
func (r rect) height() float64 { return r.y1 - r.y0 }
func (r rect) corners() []point {
	return []point{{r.x0, r.y0}, {r.x1, r.y0}, {r.x1, r.y1}, {r.x0, r.y1}}
}

// grow returns r with d more on each side.
func (r rect) grow(d float64) rect { return rect{r.x0 - d, r.y0 - d, r.x1 + d, r.y1 + d} }

// overlaps reports whether r and o share more than an edge.
func (r rect) overlaps(o rect) bool {
	return r.x0 < o.x1 && o.x0 < r.x1 && r.y0 < o.y1 && o.y0 < r.y1
}

// within reports whether r lies in o.
func (r rect) within(o rect) bool {
	return r.x0 >= o.x0 && r.x1 <= o.x1 && r.y0 >= o.y0 && r.y1 <= o.y1
}

// nearest returns the point of r that is nearest to p.
func (r rect) nearest(p point) point {
	return point{min(max(p.x, r.x0), r.x1), min(max(p.y, r.y0), r.y1)}
}

func distance(a, b point) float64 { return math.Hypot(a.x-b.x, a.y-b.y) }

// Colours. Those of series are Okabe and Ito's ("Color Universal Design", 2008),
// which people with any colour vision tell apart, without the yellow that paper
// swallows; grey is the eighth.
var (
	ink   = color.RGBA{0x1F, 0x23, 0x28, 0xFF} // text and data
	muted = color.RGBA{0x59, 0x63, 0x6E, 0xFF} // axes and small print
	faint = color.RGBA{0xE1, 0xE4, 0xE8, 0xFF} // grid
	paper = color.RGBA{0xFF, 0xFF, 0xFF, 0xFF}

	colours = []color.RGBA{
		{0x00, 0x72, 0xB2, 0xFF}, // blue
		{0xD5, 0x5E, 0x00, 0xFF}, // vermillion
		{0x00, 0x9E, 0x73, 0xFF}, // bluish green
		{0xCC, 0x79, 0xA7, 0xFF}, // reddish purple
		{0xE6, 0x9F, 0x00, 0xFF}, // orange
		{0x56, 0xB4, 0xE9, 0xFF}, // sky blue
		ink,
		{0x8A, 0x8F, 0x96, 0xFF}, // grey
	}
	dashes = [][]float64{nil, {6, 3}, {2, 2}, {8, 3, 2, 3}, {12, 3}}
)

// pen draws on a page.
type pen struct {
	page   vg.Canvas
	pixels bool // text is drawn with the fonts that are built in
}

func path(points []point) vg.Path {
	var p vg.Path
	for i, at := range points {
		to := vg.Point{X: vg.Length(at.x), Y: vg.Length(at.y)}
		if i == 0 {
			p.Move(to)
		} else {
			p.Line(to)
		}
	}
	return p
}

// line draws a stroke through the points; dash nil: unbroken.
func (p *pen) line(c color.Color, width float64, dash []float64, points ...point) {
	if len(points) < 2 {
		return
	}
	p.stroke(c, width, dash, path(points))
}

func (p *pen) stroke(c color.Color, width float64, dash []float64, way vg.Path) {
	lengths := make([]vg.Length, len(dash))
	for i, d := range dash {
		lengths[i] = vg.Length(d)
	}
	p.page.SetColor(c)
	p.page.SetLineWidth(vg.Length(width))
	p.page.SetLineDash(lengths, 0)
	p.page.Stroke(way)
}

// fill fills the polygon of the points.
func (p *pen) fill(c color.Color, points ...point) {
	way := path(points)
	way.Close()
	p.page.SetColor(c)
	p.page.Fill(way)
}

// look is how a row is drawn everywhere: the colour is the model's; dashes and, where
// models were run with several settings, markers are the setting's. Otherwise the marker is
// the model's, too.
type look struct {
	model  int // its number
	colour color.RGBA
	marker int
	dash   []float64
}

func newLook(model, setting int, several bool) look {
	// 8 colours and 7 markers: 56 models differ.
	marker := model
	if several {
		marker = setting
	}
	return look{model, colours[model%len(colours)], marker % markers, dashes[setting%len(dashes)]}
}

const (
	markers      = 7
	markerRadius = 4.6
)

// mark draws the marker at a point: filled with a rim of paper, which parts
// markers that touch, or hollow.
func (p *pen) mark(l look, at point, hollow bool) {
	way := outline(l.marker, at, markerRadius)
	inside, rim, width := l.colour, paper, 1.0
	if hollow {
		inside, rim, width = paper, l.colour, 1.5
	}
	p.page.SetColor(inside)
	p.page.Fill(way)
	p.stroke(rim, width, nil, way)
}

// outline returns the shape of a marker of about the area of a circle of
// radius r.
func outline(marker int, at point, r float64) vg.Path {
	polygon := func(corners int, start, radius float64) vg.Path {
		points := make([]point, corners)
		for i := range points {
			sin, cos := math.Sincos(start + 2*math.Pi*float64(i)/float64(corners))
			points[i] = point{at.x + radius*cos, at.y + radius*sin}
		}
		way := path(points)
		way.Close()
		return way
	}
	switch marker {
	case 1:
		return polygon(4, math.Pi/4, 1.25*r) // square
	case 2:
		return polygon(3, math.Pi/2, 1.4*r) // triangle
	case 3:
		return polygon(4, 0, 1.3*r) // diamond
	case 4:
		return polygon(3, -math.Pi/2, 1.4*r) // triangle, on its point
	case 5:
		return polygon(5, math.Pi/2, 1.2*r) // pentagon
	case 6:
		return star(at, 1.45*r, 0.65*r)
	}
	var way vg.Path
	way.Move(vg.Point{X: vg.Length(at.x + r), Y: vg.Length(at.y)})
	way.Arc(vg.Point{X: vg.Length(at.x), Y: vg.Length(at.y)}, vg.Length(r), 0, 2*math.Pi)
	way.Close()
	return way
}

func star(at point, outer, inner float64) vg.Path {
	points := make([]point, 10)
	for i := range points {
		radius := outer
		if i%2 == 1 {
			radius = inner
		}
		sin, cos := math.Sincos(math.Pi/2 + math.Pi*float64(i)/5)
		points[i] = point{at.x + radius*cos, at.y + radius*sin}
	}
	way := path(points)
	way.Close()
	return way
}
