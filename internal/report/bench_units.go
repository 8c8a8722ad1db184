package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unit is that of a whole table of times, so that its rows compare at a glance.
type unit struct {
	name     string
	factor   float64 // from milliseconds
	decimals int
}

// timeUnit returns the unit in which the least of some times has three
// significant digits.
func timeUnit(ms []float64) unit {
	least := math.Inf(1)
	for _, v := range ms {
		if v > 0 {
			least = min(least, v)
		}
	}
	u := unit{"ms", 1, 2}
	switch {
	case math.IsInf(least, 1):
		return u
	case least < 0.1:
		u.name, u.factor = "µs", 1000
	case least >= 1000:
		u.name, u.factor = "s", 1e-3
	}
	u.decimals = min(max(2-int(math.Floor(math.Log10(least*u.factor))), 0), 3)
	return u
}

// format writes a time in the unit; nothing for what is no number.
func (u unit) format(ms float64) string {
	if math.IsNaN(ms) || math.IsInf(ms, 0) {
		return ""
	}
	return grouped(strconv.FormatFloat(ms*u.factor, 'f', u.decimals, 64))
}

// grouped puts commas between the thousands of a decimal number.
func grouped(s string) string {
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n == 0 { // "-0.5" keeps its sign
		return s
	}
	return formatCount(n) + s[len(whole):len(s)-len(fraction)] + fraction
}

// duration writes a time with its unit, to three digits.
func duration(ms float64) string {
	u := timeUnit([]float64{ms})
	return u.format(ms) + " " + u.name
}

// tail writes the percentile q of n times; nothing where fewer than one of them is
// expected above it, so that it would be the maximum.
func (u unit) tail(ms, q float64, n int) string {
	if float64(n)*(100-q) < 100-1e-6 {
		return ""
	}
	return u.format(ms)
}

// positive writes a time whose absence is 0.
func (u unit) positive(ms float64) string {
	if ms == 0 {
		return ""
	}
	return u.format(ms)
}

// figure returns v with n significant digits, thousands whole; nothing for what was
// not measured or is no number.
func figure(v *float64, n int) string {
	switch {
	case v == nil || math.IsNaN(*v) || math.IsInf(*v, 0):
		return ""
	case math.Abs(*v) >= 1000 && math.Abs(*v) < 1e15:
		return formatCount(int64(math.Round(*v)))
	}
	return significant(*v, n)
}

// short returns a count in thousands, millions, billions or trillions: "2.59 M".
func short(n int64) string {
	v := float64(n)
	for _, m := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= m.size*0.9995 {
			return significant(v/m.size, 3) + " " + m.name
		}
	}
	return formatCount(n)
}

// share returns a fraction in whole percent.
func share(f *float64) string { return percent(f, 0) }

func percent(f *float64, decimals int) string {
	if f == nil || math.IsNaN(*f) || math.IsInf(*f, 0) {
		return ""
	}
	return fmt.Sprintf("%.*f %%", decimals, 100**f)
}
