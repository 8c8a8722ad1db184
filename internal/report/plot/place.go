package plot

import (
	"math"
	"slices"
)

// label is a text to be placed beside the point it names. All sizes are in
// points; radius is that of the marker at the point.
type label struct {
	at            point
	radius        float64
	width, height float64
}

// spot is where a label was placed. A label far from its point has a leader, a
// line from the marker to the nearest place of the label. Shown is false where no
// place was free.
type spot struct {
	box      rect
	from, to point
	leader   bool
	shown    bool
}

// Gaps from the marker to the label that are tried, the nearest first; from the third
// on a leader is drawn.
var gaps = []float64{3, 7, 14, 20, 28, 38, 50, 65, 80, 110}

const (
	leaderFrom = 2    // index into gaps
	clearance  = 1.5  // between labels and what they must not touch
	tries      = 2000 // of the search
	mostLabels = 40   // that are placed: more cannot be read
)

// directions are the angles at which a label may stand, in 32nds of a turn, the
// best first; shifts are how far a label above or below its point is moved
// sideways, in halves of its width.
var (
	directions = []int{
		0, 16, 8, 24, 4, 28, 12, 20, 2, 30, 14, 18, 6, 26, 10, 22,
		1, 31, 15, 17, 3, 29, 13, 19, 5, 27, 11, 21, 7, 25, 9, 23,
	}
	shifts = []float64{0, 0.7, -0.7}
)

// place finds places for labels within the frame, where they touch neither
// markers nor bars nor each other, stand nearest to the marker they name, and no
// leader crosses anything. It looks for a solution for all; if none is found, it
// leaves out labels for which nothing is free.
func place(frame rect, labels []label, bars []rect) []spot {
	free := make([][]spot, len(labels))
	for i := range labels[:min(mostLabels, len(labels))] {
		for _, s := range candidates(labels[i]) {
			if s.box.within(frame) && !touchesAny(s, bars) && namesOnly(s, i, labels) {
				free[i] = append(free[i], s)
			}
		}
	}
	out := make([]spot, len(labels))
	left := tries
	if search(free, out, &left) {
		return out
	}
	// Not all have a place: the one with the least choice that is left is next,
	// until nothing is free.
	clear(out)
	for i := scarcest(free, out); i >= 0; i = scarcest(free, out) {
		out[i] = free[i][0]
		free = without(free, out, i)
	}
	return out
}

// search places the labels that out lacks, the one with the least choice first,
// and goes back where a choice leaves another label without a place.
func search(free [][]spot, out []spot, left *int) bool {
	next := -1
	for i := range out {
		if !out[i].shown && (next < 0 || len(free[i]) < len(free[next])) {
			next = i
		}
	}
	if next < 0 {
		return true
	}
	for _, s := range free[next] {
		if *left--; *left < 0 {
			return false
		}
		out[next] = s
		if search(without(free, out, next), out, left) {
			return true
		}
		out[next] = spot{}
	}
	return false
}

// scarcest returns the label with the fewest free places that has no place yet; -1
// if there is none with any.
func scarcest(free [][]spot, out []spot) int {
	next := -1
	for i := range out {
		if !out[i].shown && len(free[i]) > 0 && (next < 0 || len(free[i]) < len(free[next])) {
			next = i
		}
	}
	return next
}

// without returns what is free for the others after label i was placed.
func without(free [][]spot, out []spot, i int) [][]spot {
	next := make([][]spot, len(free))
	for j := range free {
		if j == i || out[j].shown {
			continue
		}
		for _, s := range free[j] {
			if !conflict(s, out[i]) {
				next[j] = append(next[j], s)
			}
		}
	}
	return next
}

// candidates returns the places for l, the best first.
func candidates(l label) []spot {
	var out []spot
	for ring, gap := range gaps {
		for _, d := range directions {
			sin, cos := math.Sincos(2 * math.Pi * float64(d) / 32)
			x, y := l.at.x+cos*(l.radius+gap), l.at.y+sin*(l.radius+gap+l.height/2)
			if math.Abs(cos) > 0.01 {
				x += math.Copysign(l.width/2, cos)
				out = append(out, newSpot(l, point{x, y}, ring >= leaderFrom))
				continue
			}
			for _, s := range shifts {
				out = append(out, newSpot(l, point{x + s*l.width/2, y}, ring >= leaderFrom))
			}
		}
	}
	return out
}

// newSpot puts l around a middle. The leader goes from the edge of the marker
// to the nearest point of the label.
func newSpot(l label, middle point, leader bool) spot {
	s := spot{shown: true, leader: leader, from: l.at}
	s.box = rect{middle.x - l.width/2, middle.y - l.height/2, middle.x + l.width/2, middle.y + l.height/2}
	s.to = s.box.nearest(l.at)
	if d := distance(l.at, s.to); d > 0 {
		s.from.x += (s.to.x - l.at.x) * l.radius / d
		s.from.y += (s.to.y - l.at.y) * l.radius / d
	}
	return s
}

// touchesAny reports whether s or its leader touches a bar.
func touchesAny(s spot, bars []rect) bool {
	return slices.ContainsFunc(bars, func(b rect) bool {
		return s.box.grow(clearance).overlaps(b) || s.leader && crosses(s.from, s.to, b)
	})
}

// namesOnly reports whether s, a place for label i, cannot be read as the name of
// another point: markers are clear of it and, without a leader, further away than
// its own. Points that coincide share their labels.
func namesOnly(s spot, i int, labels []label) bool {
	own := distance(s.box.nearest(labels[i].at), labels[i].at)
	for j, o := range labels {
		marker := rect{o.at.x, o.at.y, o.at.x, o.at.y}.grow(1.2 * o.radius)
		if s.box.grow(clearance).overlaps(marker) {
			return false
		}
		if j == i || distance(o.at, labels[i].at) < o.radius {
			continue
		}
		other := distance(s.box.nearest(o.at), o.at)
		switch {
		case s.leader && (crosses(s.from, s.to, marker) || other < o.radius+gaps[leaderFrom-1]),
			!s.leader && other < own+2:
			return false
		}
	}
	return true
}

// conflict reports whether two places or their leaders touch.
func conflict(s, o spot) bool {
	return s.box.grow(clearance).overlaps(o.box) ||
		s.leader && crosses(s.from, s.to, o.box.grow(clearance)) ||
		o.leader && crosses(o.from, o.to, s.box.grow(clearance)) ||
		s.leader && o.leader && intersect(s.from, s.to, o.from, o.to)
}

// crosses reports whether the stretch from a to b meets r, by cutting it at
// the edges of r (Liang and Barsky 1984).
func crosses(a, b point, r rect) bool {
	from, to := 0.0, 1.0
	for _, e := range [4][2]float64{
		{a.x - b.x, a.x - r.x0}, {b.x - a.x, r.x1 - a.x},
		{a.y - b.y, a.y - r.y0}, {b.y - a.y, r.y1 - a.y},
	} {
		way, room := e[0], e[1]
		switch {
		case way == 0 && room < 0:
			return false
		case way < 0:
			from = max(from, room/way)
		case way > 0:
			to = min(to, room/way)
		}
	}
	return from <= to
}

// intersect reports whether the stretches ab and cd cross.
func intersect(a, b, c, d point) bool {
	side := func(p, q, r point) bool { return (q.x-p.x)*(r.y-p.y) > (q.y-p.y)*(r.x-p.x) }
	return side(a, b, c) != side(a, b, d) && side(c, d, a) != side(c, d, b)
}
