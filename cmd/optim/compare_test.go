package main

import (
	"strings"
	"testing"

	"optim/internal/report"
)

// row is a row of a comparison of a source of 1000 bytes: its size, what it keeps,
// and its speed-up with the interval; 0: not measured.
func row(name string, bytes int64, kept, low, speedup, high float64) report.Row {
	r := report.Row{Name: name, Bytes: &bytes, Quality: &report.Quality{Metric: "accuracy", After: &kept, Retention: &kept}}
	if speedup > 0 {
		r.Latency = &report.Latency{Median: 1 / speedup, Speedup: &speedup, SpeedupLow: &low, SpeedupHigh: &high}
	}
	return r
}

func TestRecommend(t *testing.T) {
	failed, skipped := row("failed", 10, 1, 8, 9, 10), row("skipped", 10, 1, 8, 9, 10)
	failed.Error, skipped.Skipped = "no kernel", "no data"
	for name, c := range map[string]struct {
		rows []report.Row
		l    limits
		want string
		rule string // a part of it
	}{
		"the fastest": {
			[]report.Row{row("a", 300, 0.99, 1.9, 2, 2.1), row("b", 100, 0.99, 1.4, 1.5, 1.6)}, limits{kept: 0.95, measured: true},
			"a", "the fastest of the rows that keep more than 95 % of the quality",
		},
		"of a tie, the smallest": {
			[]report.Row{row("a", 300, 0.99, 1.7, 2, 2.3), row("b", 100, 0.99, 1.5, 1.6, 1.7)}, limits{kept: 0.95, measured: true}, "b", "the smallest file",
		},
		"of equal files, the better": {
			[]report.Row{row("a", 100, 0.98, 1.7, 2, 2.3), row("b", 100, 0.99, 1.5, 1.9, 2.2)}, limits{kept: 0.95, measured: true}, "b", "",
		},
		"of files that differ by little, the better": {
			[]report.Row{row("a", 201, 0.99, 1.7, 2, 2.3), row("b", 200, 0.98, 1.5, 1.9, 2.2), row("c", 203, 1, 1.7, 2, 2.3)}, limits{kept: 0.95, measured: true}, "a", "",
		},
		"not below the limit": {
			[]report.Row{row("a", 300, 0.95, 1.9, 2, 2.1), row("b", 400, 0.99, 1.4, 1.5, 1.6)}, limits{kept: 0.95, measured: true}, "b", "",
		},
		"not above the size": {
			[]report.Row{row("a", 300, 1, 1.9, 2, 2.1), row("b", 100, 1, 1.4, 1.5, 1.6)}, limits{kept: 0.95, measured: true, size: 299},
			"b", "in at most 299 bytes",
		},
		"nor one that failed": {[]report.Row{failed, skipped, row("b", 100, 1, 1.4, 1.5, 1.6)}, limits{kept: 0.95}, "b", "keep a cosine above 0.95"},
		"an interval that holds 1 is no speed-up": {
			[]report.Row{row("a", 300, 1, 0.9, 1.5, 2.1), row("b", 400, 1, 1.01, 1.02, 1.03)}, limits{kept: 0.95}, "b", "proven faster",
		},
		"none faster": {
			[]report.Row{row("a", 300, 1, 0.9, 1.1, 1.2), row("b", 200, 1, 0.9, 0.95, 0.99), row("c", 400, 1, 0.9, 1, 1.1)}, limits{kept: 0.95},
			"a", "not proven slower",
		},
		"speed was not measured": {[]report.Row{row("a", 300, 1, 0, 0, 0), row("b", 200, 1, 0, 0, 0)}, limits{kept: 0.95}, "b", "speed was not measured"},
		"none smaller":           {[]report.Row{row("a", 1000, 1, 0.9, 1, 1.1)}, limits{kept: 0.95}, originalName, "no row"},
		"all slower":             {[]report.Row{row("a", 300, 1, 0.4, 0.5, 0.6)}, limits{kept: 0.95}, originalName, "no row"},
		"all lose too much":      {[]report.Row{row("a", 300, 0.5, 2, 2.1, 2.2)}, limits{kept: 0.95}, originalName, "no row"},
	} {
		rows := []report.Row{row(originalName, 1000, 1, 0, 0, 0)}
		for _, r := range c.rows {
			c.l.apply(&r)
			rows = append(rows, r)
		}
		if got, rule := recommend(rows, c.l); got != c.want || !strings.Contains(rule, c.rule) {
			t.Errorf("%s: %q by %q, want %q", name, got, rule, c.want)
		}
	}
}

// TestLimits: what is told of a row that misses one.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		l    limits
		want string
	}{
		{limits{kept: 0.94}, ""},
		{limits{kept: 0.95}, "retention of accuracy is 0.9500, and must be greater than 0.9500"},
		{limits{kept: 0.5, size: 100}, ""},
		{limits{kept: 0.5, size: 99}, "100 bytes, 1 more than --max-size allows"},
	} {
		r := row("a", 100, 0.95, 0, 0, 0)
		c.l.apply(&r)
		if r.Missed != c.want || r.Quality.Acceptable != (0.95 > c.l.kept) {
			t.Errorf("%+v: %q, acceptable %v", c.l, r.Missed, r.Quality.Acceptable)
		}
	}
}

// TestCompareRows: each row is one that quantize takes.
func TestCompareRows(t *testing.T) {
	names := map[string]bool{}
	for _, r := range compareRows() {
		args := append([]string{"quantize", "none.onnx"}, r.flags...)
		if r.calib {
			args = append(args, "--calib", "none.npz")
		}
		code, _, stderr := run(t, args...)
		if code != int(exitBadInput) || !strings.HasPrefix(stderr, "optim: error: none.onnx: ") {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
		if names[r.name] || !strings.HasPrefix(r.name, r.format) {
			t.Errorf("row %q", r.name)
		}
		names[r.name] = true
	}
}
