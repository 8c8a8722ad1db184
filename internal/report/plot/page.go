package plot

import "strings"

const pageMargin = 20

// sheet draws title, legend and small print on a page, and returns what is left
// for diagrams.
func (p *pen) sheet(width, height float64, title, small string, entries []entry) rect {
	left := rect{pageMargin, pageMargin, width - pageMargin, height - pageMargin}
	p.text(bold(titleSize), ink, left.x0, left.y1-capHeight*titleSize, 0, fit(bold(titleSize), title, left.width()))
	left.y1 -= 1.3 * titleSize
	rows, draw := p.legend(entries, left.width(), 3)
	draw(left.x0, left.y1)
	left.y1 -= float64(rows)*rowHeight + 8
	lines := fold(small, left.width())
	for i, l := range lines {
		y := left.y0 + float64(len(lines)-1-i)*1.3*smallSize
		p.text(plain(smallSize), muted, left.x0, y, 0, l)
	}
	left.y0 += float64(len(lines))*1.3*smallSize + 6
	return left
}

// fold breaks small print at its dots into lines of the given width.
func fold(s string, width float64) []string {
	if s == "" {
		return nil
	}
	f := plain(smallSize)
	var lines []string
	for _, part := range strings.Split(s, " · ") {
		part = fit(f, part, width)
		if n := len(lines); n > 0 && textWidth(f, lines[n-1]+" · "+part) <= width {
			lines[n-1] += " · " + part
		} else {
			lines = append(lines, part)
		}
	}
	return lines
}
