package plot

import (
	"slices"
	"strconv"
)

// Bars draws a horizontal bar for each name, as long as its value, in the order given.
// Values are not negative. Format is PNG or SVG.
func Bars(names []string, values []float64, title, format string) ([]byte, error) {
	if len(names) == 0 {
		return nil, ErrNothing
	}
	const row, room = 18.0, 70.0 // points for a bar, and for a figure behind the longest
	shown := make([]string, len(names))
	for i, n := range names {
		shown[i] = printable(n)
		if format == PNG {
			shown[i] = drawn(plain(labelSize), shown[i])
		}
	}
	shown = fitAll(plain(labelSize), shown, 0.4*pageWidth)
	height := 90 + row*float64(len(names))
	return render(format, title, pageWidth, height, func(p *pen) {
		area := p.sheet(pageWidth, height, title, "", nil)
		left := 0.0
		for _, n := range shown {
			left = max(left, textWidth(plain(labelSize), n))
		}
		x0 := area.x0 + left + 8
		unit := (area.x1 - room - x0) / max(slices.Max(values), 1e-300)
		l := newLook(0, 0, false)
		for i, n := range shown {
			y := area.y1 - row*float64(i+1) + 4
			p.text(plain(labelSize), ink, area.x0+left-textWidth(plain(labelSize), n), y+1, 0, n)
			end := x0 + unit*values[i]
			p.fill(l.colour, rect{x0, y - 1, end, y + row - 7}.corners()...)
			p.text(plain(labelSize), ink, end+4, y+1, 0, strconv.FormatFloat(values[i], 'g', 3, 64))
		}
	})
}
