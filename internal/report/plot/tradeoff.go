package plot

import (
	"slices"

	"optim/internal/bench"
)

// Tradeoff draws four diagrams: parameters against memory, parameters against
// latency, memory against latency, and latency against quality. Where all have as many
// parameters, the size of the file stands in their place. Without quality
// the fourth is the distribution of times, and without times memory against
// throughput. Bars are the 95 % intervals of medians. Format is PNG or SVG.
func Tradeoff(r *bench.Result, format string) ([]byte, error) {
	rows := items(r, format)
	memory, latency := first(memories, rows), first(latencies, rows)
	extent := parameters
	if !slices.ContainsFunc(rows, func(m item) bool { return m.Parameters != rows[0].Parameters }) {
		extent = fileSize
	}
	figures := []diagram{
		newScatter(rows, extent, memory), newScatter(rows, extent, latency), newScatter(rows, memory, latency),
	}
	title, legend := "Size, memory and speed", modelLegend(rows)
	if q, ok := quality(rows); ok {
		figures = append(figures, newScatter(rows, latency, q))
		title = "Size, memory, speed and quality"
	} else if d := newDistribution(rows); len(d.curves) > 0 {
		figures, legend = append(figures, d), rowLegend(rows)
	} else {
		figures = append(figures, newScatter(rows, memory, first(rates, rows)))
	}
	if len(rows) == 1 {
		title += " of " + rows[0].label
	}
	var notes []string
	if hasIntervals(rows) {
		notes = append(notes, "bars: 95 % interval of the median, where it is wider than the marker")
	}
	return render(format, title, pageWidth, pageHeight, func(p *pen) {
		area := p.sheet(pageWidth, pageHeight, title, smallPrint(r, notes...), legend)
		p.tile(area, figures)
	})
}

func hasIntervals(rows []item) bool {
	for _, m := range rows {
		if f, ok := medianLatency(m.Row); ok && f.low != f.high {
			return true
		}
	}
	return false
}

// rowLegend names the rows with their lines. One row needs no legend: the title
// has its name.
func rowLegend(rows []item) []entry {
	var names []string
	var out []entry
	for _, m := range rows {
		names, out = append(names, m.label), append(out, entry{look: m.look, line: true})
	}
	return named(names, out)
}

// modelLegend names the models with their markers; where there are several settings,
// the models with their colours, then the settings with their markers.
func modelLegend(rows []item) []entry {
	var names []string
	var out []entry
	for _, m := range rows {
		if !slices.ContainsFunc(out, func(e entry) bool { return e.look.model == m.look.model }) {
			e := entry{look: m.look, line: m.setting != "", bare: m.setting != ""}
			e.look.dash = nil
			names, out = append(names, m.name), append(out, e)
		}
	}
	seen := map[string]bool{}
	for _, m := range rows {
		if m.setting != "" && !seen[m.setting] {
			seen[m.setting] = true
			e := entry{look: m.look}
			e.look.colour = ink
			names, out = append(names, m.setting), append(out, e)
		}
	}
	return named(names, out)
}

// named gives entries their names, cut so that two fit beside each other.
func named(names []string, out []entry) []entry {
	if len(out) < 2 {
		return nil
	}
	for i, name := range fitAll(plain(labelSize), names, 0.45*pageWidth) {
		out[i].text = name
	}
	return out
}

// diagram is what a tile holds.
type diagram interface {
	base() *panel
	draw(p *pen)
}

// tile draws figures in rows of two, their data areas aligned.
func (p *pen) tile(area rect, figures []diagram) {
	const columns, gapX, gapY = 2, 22, 14
	rows := (len(figures) + columns - 1) / columns
	width := (area.width() - gapX*(columns-1)) / columns
	height := (area.height() - gapY*float64(rows-1)) / float64(rows)
	for i, f := range figures {
		m := f.base().margins()
		for j := i % columns; j < len(figures); j += columns {
			m.left = max(m.left, figures[j].base().margins().left)
		}
		x := area.x0 + float64(i%columns)*(width+gapX)
		y := area.y1 - float64(i/columns)*(height+gapY)
		f.base().within(rect{x, y - height, x + width, y}, m)
		f.draw(p)
	}
}
