package report

import (
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// formatBytes returns n in decimal units: "940 kB", "23.4 MB".
func formatBytes(n int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	if n < 0 {
		return "-" + formatBytes(-max(n, -math.MaxInt64))
	}
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v := float64(n) / 1000
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	return significant(v, 3) + " " + units[i]
}

// significant returns v with n significant digits and no exponent for usual
// sizes: 0.0421, 4.21, 42.1, 421, 4210.
func significant(v float64, n int) string {
	switch a := math.Abs(v); {
	case v == 0:
		return "0"
	case math.IsInf(v, 0) || math.IsNaN(v):
		return strconv.FormatFloat(v, 'g', -1, 64)
	case a < 1e-4 || a >= 1e9:
		return strconv.FormatFloat(v, 'e', n-1, 64)
	default:
		// Rounding may carry into a new digit: 0.9996 has the exponent of 1.00.
		rounded, _ := strconv.ParseFloat(strconv.FormatFloat(a, 'e', n-1, 64), 64)
		digits := n - 1 - int(math.Floor(math.Log10(rounded)))
		return strconv.FormatFloat(v, 'f', max(digits, 0), 64)
	}
}

// formatCount returns n with commas between groups of three digits.
func formatCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// formatChange returns the change from before to after in percent, with a
// true minus sign: "−74.3 %".
func formatChange(before, after int64) string {
	if before <= 0 {
		return ""
	}
	return formatPercent(float64(after-before) / float64(before))
}

// formatPercent returns a signed fraction in percent: "−74.3 %", "+2.0 %".
func formatPercent(f float64) string {
	s := strconv.FormatFloat(math.Abs(100*f), 'f', 1, 64) + " %"
	switch {
	case s == "0.0 %":
		return "±" + s
	case f < 0:
		return "−" + s
	}
	return "+" + s
}

// plural returns "1 node" or "2 nodes".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return formatCount(int64(n)) + " " + noun + "s"
}

// clean makes a name from a file fit for a terminal: control characters, which
// could move the cursor or hide text, are written as escapes.
func clean(s string) string {
	ok := func(r rune) bool { return unicode.IsPrint(r) && r != unicode.ReplacementChar }
	if strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if ok(r) {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// longestLine is what of a line is shown at most: a model may name its nodes
// by megabytes.
const longestLine = 2000

// Line makes a message fit for a terminal, as one line: it may quote names from
// files, and messages of libraries that do.
func Line(s string) string {
	s = strings.TrimRight(s, " \n")
	if len(s) > 2*longestLine { // shortening takes all of it apart
		s = s[:longestLine] + s[len(s)-longestLine:]
	}
	return shorten(clean(s), longestLine)
}

// shorten cuts s in the middle so that it takes at most width columns: both
// ends of a node's name tell where it is. Width below 1 means no limit.
func shorten(s string, width int) string {
	if width < 1 || uniseg.StringWidth(s) <= width {
		return s
	}
	if width == 1 {
		return "…"
	}
	var clusters []string
	for g := uniseg.NewGraphemes(s); g.Next(); {
		clusters = append(clusters, g.Str())
	}
	room := width - 1
	head, tail := "", ""
	for i, j := 0, len(clusters)-1; i <= j; {
		c, front := clusters[j], false
		if uniseg.StringWidth(head) < uniseg.StringWidth(tail) {
			c, front = clusters[i], true
		}
		room -= uniseg.StringWidth(c)
		if room < 0 {
			break
		}
		if front {
			head, i = head+c, i+1
		} else {
			tail, j = c+tail, j-1
		}
	}
	return head + "…" + tail
}

// wrap breaks s at blanks into lines of at most width columns; a word that is
// longer stands whole on a line of its own, since a path is there to be copied.
// Width below 1 means one line.
func wrap(s string, width int) []string {
	if width < 1 || uniseg.StringWidth(s) <= width {
		return []string{s}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case uniseg.StringWidth(line)+1+uniseg.StringWidth(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// join returns the items separated by commas.
func join(items []string) string { return strings.Join(items, ", ") }
