package plot

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAxisHoldsValues: for ranges of any size the values lie on the axis, ticks
// ascend within it, there are a few of them, and their texts differ.
func TestAxisHoldsValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		lo := math.Pow(10, -6+18*rng.Float64())
		hi := lo * math.Pow(10, 4*rng.Float64()*rng.Float64())
		if rng.IntN(8) == 0 {
			lo = -lo
		}
		q := quantity(rng.IntN(4))
		checkAxis(t, newAxis("x", q, []float64{hi, lo, math.NaN()}, 5), lo, hi)
		checkAxis(t, tightAxis("x", q, []float64{lo, hi}, 10), lo, hi)
	}
}

func checkAxis(t *testing.T, a axis, lo, hi float64) {
	t.Helper()
	for _, v := range []float64{lo, hi} {
		if at := a.at(v); !(at >= 0 && at <= 1) {
			t.Errorf("%v to %v: %v stands at %v", lo, hi, v, at)
		}
	}
	if n := len(a.ticks); n < 2 || n > 20 {
		t.Errorf("%v to %v (%v to %v, log %v): %d ticks", lo, hi, a.min, a.max, a.log, n)
	}
	var texts []string
	for i, tick := range a.ticks {
		if at := a.at(tick.value); at < -1e-6 || at > 1+1e-6 || i > 0 && tick.value <= a.ticks[i-1].value {
			t.Errorf("%v to %v: tick %v stands at %v", lo, hi, tick.value, at)
		}
		if slices.Contains(texts, tick.text) || len(tick.text) > 14 {
			t.Errorf("%v to %v: tick %q after %q", lo, hi, tick.text, texts)
		}
		texts = append(texts, tick.text)
	}
}

func TestAxisTicks(t *testing.T) {
	for _, c := range []struct {
		q      quantity
		values []float64
		label  string
		ticks  []string
	}{
		{millis, []float64{1.7, 4.6, 3.3}, "x (ms)", []string{"0", "1", "2", "3", "4", "5"}},
		{millis, []float64{0.011, 0.012}, "x (µs)", []string{"11.0", "11.5", "12.0"}},
		{millis, []float64{1, 3000}, "x (s)", []string{"0.001", "0.01", "0.1", "1"}},
		{counts, []float64{669_952, 2_590_848}, "x", []string{"0", "0.5 M", "1.0 M", "1.5 M", "2.0 M", "2.5 M"}},
		{counts, []float64{66e3, 7e9}, "x", []string{"100 k", "1 M", "10 M", "100 M", "1 B", "10 B"}},
		{size, []float64{61.2e6, 84.9e6}, "x (MB)", []string{"60", "70", "80", "90"}},
		{number, []float64{0, 0}, "x", []string{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
		{number, []float64{-0.2, 0.1}, "x", []string{"−0.2", "−0.1", "0", "0.1"}},
		{number, nil, "x", []string{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
		{number, []float64{math.NaN(), math.Inf(1)}, "x", []string{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
	} {
		a := newAxis("x", c.q, c.values, 5)
		var got []string
		for _, t := range a.ticks {
			got = append(got, t.text)
		}
		if !slices.Equal(got, c.ticks) || a.label != c.label {
			t.Errorf("%v: %s %q, want %s %q", c.values, a.label, got, c.label, c.ticks)
		}
	}
}

// TestSteps compares the stairs with the definition: at share q stands the time at
// index q·n of the sorted ones.
func TestSteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{1, 2, 3, 10, 100, 5000} {
		sorted := make([]float64, n)
		for i := range sorted {
			sorted[i] = math.Exp(rng.NormFloat64())
		}
		slices.Sort(sorted)
		points := steps(sorted)
		if points[0] != (point{0, sorted[0]}) && n <= 100 || points[len(points)-1].y != sorted[n-1] {
			t.Errorf("%d times: from %v to %v", n, points[0], points[len(points)-1])
		}
		if len(points) > 1300 {
			t.Errorf("%d times: %d corners", n, len(points))
		}
		for i := 1; i < len(points); i++ {
			if points[i].x < points[i-1].x || points[i].y < points[i-1].y {
				t.Fatalf("%d times: corner %v after %v", n, points[i], points[i-1])
			}
		}
		hair := stretched(1-1/float64(n+1)) / 600
		for range 200 {
			q := rng.Float64() * (1 - 1/float64(n))
			low := sorted[int(q*float64(n))]
			ahead := 1 - math.Pow(10, -(stretched(q)+hair)) // corners within a hair may be merged
			high := sorted[min(n-1, int(ahead*float64(n)))]
			if got := height(points, stretched(q)); got < low-1e-12 || got > high+1e-12 {
				t.Fatalf("%d times: %v at %v, not %v to %v", n, got, q, low, high)
			}
		}
	}
}

// height returns the height of stairs at x.
func height(points []point, x float64) float64 {
	y := points[0].y
	for _, p := range points {
		if p.x <= x {
			y = p.y
		}
	}
	return y
}

func TestFit(t *testing.T) {
	f := plain(labelSize)
	for _, s := range []string{"", "short.onnx", "a-long-name-that-does-not-fit-into-so-little-room.onnx", "日本語のとても長いモデルの名前.onnx",
		"e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", "control\x1b[2J\n", string(make([]byte, 5000))} {
		for _, width := range []float64{0, 5, 20, 60, 150, 1000} {
			got := fit(f, s, width)
			if w := textWidth(f, got); w > width && got != "…" && got != "" {
				t.Errorf("%.20q in %v: %q takes %v", s, width, got, w)
			}
			if got != printable(got) {
				t.Errorf("%.20q: %q has characters that cannot be shown", s, got)
			}
		}
	}
	names := []string{"a-model-that-was-made-in-this-way-by-someone.onnx", "a-model-that-was-made-in-that-way-by-someone.onnx", "other.onnx"}
	cut := fitAll(f, names, 100)
	if cut[0] == cut[1] || cut[2] != "other.onnx" || textWidth(f, cut[0]) > 100 {
		t.Errorf("%q", cut)
	}
}

// TestAxisOfExtremes: an interval over two processes may reach far beyond what was
// measured. An axis has few ticks all the same, in its range.
func TestAxisOfExtremes(t *testing.T) {
	tiny := math.SmallestNonzeroFloat64
	for _, values := range [][]float64{
		{tiny, 1}, {1e-300, 1e17}, {1e-50, 1e17}, {math.NaN(), math.Inf(1), math.Inf(-1)}, {1e300, 2}, {-1e17, 1e17},
		{5e17, 5e17 + 64}, {5e17, 5e17}, {1, 1 + 1e-15}, {0, tiny}, {-tiny, 0},
	} {
		for _, q := range []quantity{number, counts, size, millis} {
			for _, a := range []axis{newAxis("x", q, values, 5), tightAxis("x", q, values, 5)} {
				if len(a.ticks) > mostTicks || math.IsNaN(a.at(1)) && !a.log {
					t.Errorf("%v: %d ticks, %+v", values, len(a.ticks), a)
				}
				for _, k := range a.ticks {
					if at := a.at(k.value); !(at > -0.01 && at < 1.01) {
						t.Errorf("%v: tick %v at %v", values, k, at)
					}
				}
			}
		}
	}
}
