package plot

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPlace puts labels beside random points and checks what place promises: each
// lies in the frame, touches no marker, no bar and no other label, leaders cross
// nothing, and without a leader its own marker is the nearest. Few points all get their labels.
func TestPlace(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	frame := rect{40, 30, 350, 210}
	for round := range 150 {
		n := 1 + round%12
		var labels []label
		var bars []rect
		for range n {
			at := point{50 + 290*rng.Float64(), 40 + 160*rng.Float64()}
			if round%3 == 0 { // on a line, as models of one size are
				at.x = 200
			}
			labels = append(labels, label{at, markerRadius, 40 + 70*rng.Float64(), labelSize})
			if round%2 == 0 {
				bars = append(bars, rect{at.x - 3, at.y - 10, at.x + 3, at.y + 10})
			}
		}
		shown := check(t, frame, labels, bars, place(frame, labels, bars))
		if n <= 3 && shown < n {
			t.Errorf("round %d: %d of %d labels found a place", round, shown, n)
		}
	}
}

// check reports what is wrong with spots and returns how many are shown.
func check(t *testing.T, frame rect, labels []label, bars []rect, spots []spot) int {
	t.Helper()
	var markers []rect
	for _, l := range labels {
		markers = append(markers, rect{l.at.x, l.at.y, l.at.x, l.at.y}.grow(l.radius))
	}
	shown := 0
	for i, s := range spots {
		if !s.shown {
			continue
		}
		shown++
		if !s.box.within(frame) {
			t.Errorf("label %d leaves the frame: %v", i, s.box)
		}
		touches := func(r rect) bool { return s.box.overlaps(r) }
		if slices.ContainsFunc(markers, touches) || slices.ContainsFunc(bars, touches) {
			t.Errorf("label %d at %v touches a marker or a bar", i, s.box)
		}
		for j, o := range spots {
			if i == j || !o.shown {
				continue
			}
			if s.box.overlaps(o.box) {
				t.Errorf("labels %d and %d overlap: %v, %v", i, j, s.box, o.box)
			}
			if s.leader && sampled(s.from, s.to, o.box) {
				t.Errorf("the leader of %d crosses label %d", i, j)
			}
		}
		own := distance(s.box.nearest(labels[i].at), labels[i].at)
		for j, l := range labels {
			if apart := distance(l.at, labels[i].at) >= l.radius; apart && !s.leader && distance(s.box.nearest(l.at), l.at) <= own {
				t.Errorf("label %d reads as the name of point %d", i, j)
			}
		}
		for j, r := range markers {
			if s.leader && j != i && distance(labels[i].at, labels[j].at) >= labels[j].radius && sampled(s.from, s.to, r) {
				t.Errorf("the leader of %d crosses marker %d", i, j)
			}
		}
	}
	return shown
}

// sampled reports whether points along a stretch lie in r.
func sampled(a, b point, r rect) bool {
	for k := range 201 {
		f := float64(k) / 200
		x, y := a.x+f*(b.x-a.x), a.y+f*(b.y-a.y)
		if x > r.x0 && x < r.x1 && y > r.y0 && y < r.y1 {
			return true
		}
	}
	return false
}

// TestPlaceCrowd: points without room leave labels out, and the search ends.
func TestPlaceCrowd(t *testing.T) {
	var labels []label
	for range 200 {
		labels = append(labels, label{point{100, 50}, markerRadius, 90, labelSize})
	}
	frame := rect{0, 0, 200, 100}
	shown := check(t, frame, labels, nil, place(frame, labels, nil))
	if shown == 0 || shown == len(labels) {
		t.Errorf("%d labels", shown)
	}
	if got := place(frame, nil, nil); len(got) != 0 {
		t.Errorf("%d places for no label", len(got))
	}
}

func TestCrosses(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	r := rect{2, 3, 7, 6}
	for range 5000 {
		a, b := point{10 * rng.Float64(), 10 * rng.Float64()}, point{10 * rng.Float64(), 10 * rng.Float64()}
		if sampled(a, b, r) && !crosses(a, b, r) {
			t.Fatalf("%v to %v lies partly in %v", a, b, r)
		}
		if crosses(a, b, r.grow(-0.1)) && !sampled(a, b, r) {
			t.Fatalf("%v to %v does not meet %v", a, b, r)
		}
	}
	if !crosses(point{0, 4}, point{9, 4}, r) || crosses(point{0, 1}, point{9, 1}, r) || !crosses(point{3, 4}, point{3, 4}, r) {
		t.Error("lines along the axes, or a point")
	}
}
