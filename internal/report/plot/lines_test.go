package plot

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/bench"
	"optim/internal/bench/server"
	"optim/internal/report/benchtest"
)

// TestDistinct: of rates that were tried twice one is drawn, one that held before one
// that missed, and the rates rise.
func TestDistinct(t *testing.T) {
	got := distinct([]server.Probe{
		{Rate: 20, P99: 9}, {Rate: 10, P99: 5, Held: true}, {Rate: 20, P99: 8, Held: true},
		{Rate: 10, P99: 4, Held: true}, {Rate: 30, P99: 90}, {Rate: 30, P99: 70},
	})
	want := []server.Probe{{Rate: 10, P99: 4, Held: true}, {Rate: 20, P99: 8, Held: true}, {Rate: 30, P99: 70}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestLimitIsClear: the text of the limit lies under neither lines nor markers, whatever
// stands near the limit.
func TestLimitIsClear(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	shown := 0
	for range 200 {
		l := &lines{limit: 50, says: "limit 50 ms"}
		for range 2 {
			s := series{best: 3}
			for x := range 12 {
				s.points = append(s.points, point{float64(x), 40 + 20*rng.Float64()})
				s.missed = append(s.missed, false)
			}
			l.series = append(l.series, s)
		}
		l.axes("rate", "p99", millis)
		l.within(rect{0, 0, pageWidth, wideHeight}, l.margins())
		box, ok := l.limitBox(l.point(0, l.limit).y)
		if !ok {
			continue
		}
		shown++
		for _, s := range l.series {
			for i, to := range s.points {
				at := l.point(to.x, to.y)
				if (rect{at.x, at.y, at.x, at.y}).grow(markerRadius).overlaps(box) {
					t.Errorf("a marker at %v lies on %v", at, box)
				}
				if i > 0 && sampled(l.point(s.points[i-1].x, s.points[i-1].y), at, box) {
					t.Errorf("a line to %v crosses %v", at, box)
				}
			}
		}
	}
	if shown == 0 {
		t.Error("the limit is never shown")
	}
}

func TestRate(t *testing.T) {
	for v, want := range map[float64]string{0.0123: "0.0123/s", 6: "6.00/s", 168.4: "168/s", 1548: "1548/s", 123456: "123456/s"} {
		if got := rate(v); got != want {
			t.Errorf("%g is written %q", v, got)
		}
	}
}

// TestPictureOfServer: of several models that were served the picture is that of the
// server, since their times are of different rates.
func TestPictureOfServer(t *testing.T) {
	r := benchtest.Served()
	got, err1 := Picture(r, SVG)
	want, err2 := Server(r, SVG)
	if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
		t.Errorf("another picture (%v, %v)", err1, err2)
	}
}

// TestLooksOfSettings: rows of one model have its colour, and a marker for each setting
// that other models share.
func TestLooksOfSettings(t *testing.T) {
	rows := items(benchtest.Batches(), SVG)
	markers := map[string]int{}
	for i, a := range rows {
		if m, ok := markers[a.setting]; ok && m != a.look.marker {
			t.Errorf("%q has several markers", a.setting)
		}
		markers[a.setting] = a.look.marker
		for _, b := range rows[:i] {
			if a.name == b.name && (a.look.colour != b.look.colour || a.look.marker == b.look.marker) {
				t.Errorf("%q and %q: %+v, %+v", a.label, b.label, a.look, b.look)
			}
		}
	}
	if one := items(&bench.Result{Models: benchtest.Three().Models[:2]}, SVG); one[0].setting != "" || one[0].look.marker == one[1].look.marker {
		t.Errorf("models without settings: %+v", one)
	}
}

// TestPictureOfOffline: what a sweep found is drawn, a series for each number of streams.
func TestPictureOfOffline(t *testing.T) {
	r := benchtest.Swept()
	got, err1 := Offline(r, SVG)
	again, err2 := Offline(r, SVG)
	if err1 != nil || err2 != nil || !bytes.Equal(got, again) || !bytes.Contains(got, []byte("items a second")) {
		t.Errorf("%v, %v, %d bytes", err1, err2, len(got))
	}
	if _, err := Offline(benchtest.Served(), SVG); !errors.Is(err, ErrNothing) {
		t.Errorf("without a sweep: %v", err)
	}
}
