package plot

import (
	"math"
	"strconv"
)

// quantity is what an axis measures, and so its units.
type quantity int

const (
	number quantity = iota // without unit
	counts                 // of parameters: k, M, B
	size                   // bytes
	millis                 // milliseconds
)

// axis maps values to the stretch from 0 to 1.
type axis struct {
	label    string
	min, max float64
	log      bool
	ticks    []tick
}

// tick is a line of the grid with its text.
type tick struct {
	value float64
	text  string
}

// at returns where v lies: 0 at the beginning, 1 at the end.
func (a *axis) at(v float64) float64 {
	if a.log {
		return math.Log(v/a.min) / math.Log(a.max/a.min)
	}
	return (v - a.min) / (a.max - a.min)
}

// Above logSpan times the least value an axis is logarithmic; where the least is
// above fromZero of the largest it does not begin at 0, so that differences
// can be seen.
const (
	logSpan  = 20
	fromZero = 0.5
)

// drawable reports whether v can stand on an axis: it is a number, of a size that
// sums and powers of it are numbers, too.
func drawable(v float64) bool { return v == 0 || math.Abs(v) > 1e-60 && math.Abs(v) < 1e18 }

// newAxis makes an axis with about the given number of ticks and room around
// the values. Values that are no numbers are ignored.
func newAxis(label string, q quantity, values []float64, ticks int) axis {
	lo, hi := span(values)
	a := axis{label: label}
	a.stretch(lo, hi)
	a.mark(q, hi, ticks)
	return a
}

// tightAxis is an axis from the least value to the largest.
func tightAxis(label string, q quantity, values []float64, ticks int) axis {
	lo, hi := span(values)
	pad := 0.01 * (hi - lo)
	if pad == 0 {
		pad = 1
	}
	a := axis{label: label, min: lo - pad, max: hi + pad}
	a.mark(q, hi, ticks)
	return a
}

func span(values []float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if drawable(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if lo > hi {
		return 0, 1
	}
	return lo, hi
}

// mark sets ticks in the unit that fits values up to hi, and names the unit.
func (a *axis) mark(q quantity, hi float64, ticks int) {
	factor, unit := scale(q, hi)
	if unit != "" {
		a.label += " (" + unit + ")"
	}
	if a.log {
		a.logTicks(factor, q, ticks)
	} else {
		a.linearTicks(factor, q, ticks)
	}
}

// stretch sets the range so that values from lo to hi have room around them.
func (a *axis) stretch(lo, hi float64) {
	switch {
	case lo > 0 && hi > logSpan*lo:
		pad := math.Pow(hi/lo, 0.1)
		a.min, a.max, a.log = lo/pad, hi*pad, true
	case lo == 0 && hi == 0:
		a.min, a.max = 0, 1
	case lo >= 0 && lo < fromZero*hi:
		a.min, a.max = 0, 1.12*hi
	default:
		pad := max(0.22*(hi-lo), 0.04*max(math.Abs(hi), math.Abs(lo)))
		a.min, a.max = lo-pad, hi+pad
	}
}

// scale returns what values are multiplied by to stand in the unit that fits
// the largest.
func scale(q quantity, hi float64) (factor float64, unit string) {
	switch q {
	case size:
		factor, unit = 1, "bytes"
		for _, u := range []string{"kB", "MB", "GB", "TB"} {
			if hi*factor < 1000 {
				break
			}
			factor, unit = factor/1000, u
		}
		return factor, unit
	case millis:
		switch {
		case hi < 1:
			return 1000, "µs"
		case hi >= 2000:
			return 1e-3, "s"
		}
		return 1, "ms"
	}
	return 1, ""
}

// mostTicks is above what any axis has.
const mostTicks = 100

// linearTicks puts ticks at multiples of 1, 2, 2.5 or 5 times a power of ten.
func (a *axis) linearTicks(factor float64, q quantity, count int) {
	step := niceStep((a.max - a.min) * factor / float64(max(count, 2)))
	first, last := math.Ceil(a.min*factor/step-1e-9), math.Floor(a.max*factor/step+1e-9)
	unit := unitOf(q, last*step)
	if !(last-first < mostTicks) { // values that are too close for steps between them
		return
	}
	for i := range int(last-first) + 1 {
		k := first + float64(i)
		a.ticks = append(a.ticks, tick{k * step / factor, tickText(k*step, step, unit)})
	}
}

// niceStep returns the step that is nearest to wanted, from below at most by
// a quarter.
func niceStep(wanted float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(wanted)))
	for _, f := range []float64{1, 2, 2.5, 5} {
		if f*power >= 0.75*wanted {
			return f * power
		}
	}
	return 10 * power
}

// logTicks puts ticks at powers of ten and, where these are few, at 2 and 5
// times them.
func (a *axis) logTicks(factor float64, q quantity, count int) {
	lo, hi := a.min*factor, a.max*factor
	decades := math.Log10(hi / lo)
	steps := []float64{1}
	if decades < 3 {
		steps = []float64{1, 2, 5}
	}
	every := max(1, int(math.Ceil(decades/float64(count+2))))
	for e := int(math.Floor(math.Log10(lo))); e <= int(math.Ceil(math.Log10(hi))); e += every {
		for _, s := range steps {
			v := s * math.Pow(10, float64(e))
			if v >= lo && v <= hi {
				a.ticks = append(a.ticks, tick{v / factor, tickText(v, v, unitOf(q, v))})
			}
		}
	}
}

// multiple is a unit that stands behind the number.
type multiple struct {
	size float64
	name string
}

// unitOf returns the unit in which counts of about v are written.
func unitOf(q quantity, v float64) multiple {
	if q == counts {
		for _, m := range []multiple{{1e9, " B"}, {1e6, " M"}, {1e3, " k"}} {
			if math.Abs(v) >= m.size*(1-1e-9) {
				return m
			}
		}
	}
	return multiple{1, ""}
}

// tickText writes v in a unit, with the digits that steps of the given size
// need.
func tickText(v, step float64, unit multiple) string {
	if v == 0 {
		return "0"
	}
	a, step := math.Abs(v/unit.size), math.Abs(step/unit.size)
	s := ""
	if a < 1e-5 || a >= 1e7 {
		s = strconv.FormatFloat(a, 'g', max(3, 2+int(math.Log10(a/step))), 64)
	} else {
		decimals := 0
		for ; decimals < 9 && math.Abs(step-math.Round(step)) > 1e-6*step; decimals++ {
			step *= 10
		}
		s = strconv.FormatFloat(a, 'f', decimals, 64)
	}
	if v < 0 {
		s = "−" + s
	}
	return s + unit.name
}
