package report

import (
	"math"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.00 kB", 1234: "1.23 kB", 999_499: "999 kB",
		999_500: "1.00 MB", 941_367: "941 kB", 25_300_000_000: "25.3 GB", math.MaxInt64: "9.22 EB",
		-1234: "-1.23 kB",
	} {
		if got := formatBytes(n); got != want {
			t.Errorf("formatBytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSignificant(t *testing.T) {
	for _, c := range []struct {
		v    float64
		n    int
		want string
	}{
		{0, 3, "0"}, {4.211, 3, "4.21"}, {42.11, 3, "42.1"}, {421.1, 3, "421"}, {4211, 3, "4211"},
		{0.0421, 3, "0.0421"}, {-1.5, 2, "-1.5"}, {1e-9, 3, "1.00e-09"}, {2e12, 3, "2.00e+12"},
		{math.Inf(1), 3, "+Inf"}, {math.NaN(), 3, "NaN"},
	} {
		if got := significant(c.v, c.n); got != c.want {
			t.Errorf("significant(%g, %d) = %q, want %q", c.v, c.n, got, c.want)
		}
	}
}

func TestFormatCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 12: "12", 999: "999", 1000: "1,000", 235146: "235,146", -1000: "-1,000",
		-999: "-999", 1_000_000: "1,000,000",
	} {
		if got := formatCount(n); got != want {
			t.Errorf("formatCount(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestFormatChange(t *testing.T) {
	for _, c := range []struct {
		before, after int64
		want          string
	}{{100, 26, "−74.0 %"}, {100, 102, "+2.0 %"}, {100, 100, "±0.0 %"}, {0, 5, ""}} {
		if got := formatChange(c.before, c.after); got != c.want {
			t.Errorf("formatChange(%d, %d) = %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain/name.0": "plain/name.0", "größe": "größe", "a\x1b[2Jb": `a\x1b[2Jb`, "a\nb": `a\nb`,
		"\u202eevil": `\u202eevil`, "\xff": `\ufffd`,
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain: größe\n": "plain: größe", "a\nb": `a\nb`, "\x1b[2J": `\x1b[2J`, "": "",
		strings.Repeat("x", longestLine):             strings.Repeat("x", longestLine),
		"begin" + strings.Repeat("x", 5<<20) + "end": "begin" + strings.Repeat("x", 994) + "…" + strings.Repeat("x", 997) + "end",
		strings.Repeat("\x00", 5<<20):                strings.Repeat(`\x00`, 249) + `\x0…` + strings.Repeat(`\x00`, 250),
	} {
		if got := Line(in); got != want {
			t.Errorf("Line(%.20q…) = %q, want %q", in, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"short", 0, "short"}, {"short", 5, "short"}, {"shorter", 5, "sh…er"}, {"shorter", 4, "s…er"},
		{"ab", 1, "…"}, {"", 3, ""},
	} {
		if got := shorten(c.in, c.width); got != c.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}

func FuzzShorten(f *testing.F) {
	f.Add("a/long/name/of/a/node", 8)
	f.Add("日本語の名前", 5)
	f.Add("e\u0301e\u0301e\u0301", 2)
	f.Fuzz(func(t *testing.T, s string, width int) {
		s = clean(s)
		if got := shorten(s, width); width > 0 && uniseg.StringWidth(got) > width {
			t.Errorf("shorten(%q, %d) = %q", s, width, got)
		}
	})
}

func TestTally(t *testing.T) {
	lines := []string{"b", "a", "b", "c", "d"}
	got := tally(lines, 2)
	want := []string{"   2  b", "   1  a", "… and 2 more kinds: see --verbose"}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := tally(lines, 3); len(got) != 4 { // "1 more kind" says no more than the kind itself
		t.Errorf("got %q", got)
	}
	if got := tally(lines, 0); len(got) != 4 {
		t.Errorf("got %q", got)
	}
}
