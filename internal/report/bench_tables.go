package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"optim/internal/bench"
)

// sections returns all tables, in the order of the report.
func (b *Bench) sections() []*section {
	return slices.Concat(b.results(), b.causes(), b.details())
}

// results are what the benchmark was made for.
func (b *Bench) results() []*section {
	return present(b.times(), b.server(), b.decode(), b.speed(), b.comparisons())
}

// causes tell where the results come from.
func (b *Bench) causes() []*section {
	return append(present(b.sweep(), b.cold(), b.cost()), b.profiles()...)
}

// details are shown where there is room for everything.
func (b *Bench) details() []*section {
	all := append(present(b.probes(), b.memory(), b.weights(), b.runs()), b.allNodes()...)
	for _, s := range all {
		s.detail = true
	}
	return all
}

func present(list ...*section) []*section {
	return slices.DeleteFunc(list, func(s *section) bool { return s == nil })
}

// runUnit is the unit of the time of a run.
func (b *Bench) runUnit() unit {
	var medians []float64
	for _, m := range b.Models {
		if m.Latency != nil {
			medians = append(medians, m.Latency.P50)
		}
	}
	return timeUnit(medians)
}

// times are the percentiles of the time of a run.
func (b *Bench) times() *section {
	u := b.runUnit()
	at := func(q float64, of func(*bench.Times) float64) func(*bench.Row) string {
		return func(m *bench.Row) string {
			if m.Latency == nil {
				return ""
			}
			return u.tail(of(m.Latency), q, m.Runs)
		}
	}
	columns := []column{
		{">mean ± σ", func(m *bench.Row) string {
			if m.Latency == nil {
				return ""
			}
			return u.format(m.Latency.Mean) + " ± " + u.format(m.Latency.StdDev)
		}},
		{">min", at(0, func(t *bench.Times) float64 { return t.Min })},
		{">p50", at(0, func(t *bench.Times) float64 { return t.P50 })},
		{">p90", at(90, func(t *bench.Times) float64 { return t.P90 })},
		{">p95", at(95, func(t *bench.Times) float64 { return t.P95 })},
		{">p99", at(99, func(t *bench.Times) float64 { return t.P99 })},
		{">max", at(0, func(t *bench.Times) float64 { return t.Max })},
	}
	if b.runsDiffer() {
		columns = slices.Insert(columns, 0, column{">runs", func(m *bench.Row) string { return counted(m.Runs) }})
	}
	return b.table("time of a run, "+u.name, columns)
}

// runsDiffer reports whether one model had half again as many runs as another, or
// more: their tails rest on different numbers.
func (b *Bench) runsDiffer() bool {
	lo, hi := b.runRange()
	return float64(hi) >= 1.5*float64(lo) && lo < hi
}

// speed is throughput, size and quality.
func (b *Bench) speed() *section {
	bytes := func(n int64) string {
		if n <= 0 {
			return ""
		}
		return formatBytes(n)
	}
	columns := []column{
		{">items/s", func(m *bench.Row) string { return figure(m.Throughput, 3) }},
		{">tokens/s", func(m *bench.Row) string { return figure(m.Tokens, 3) }},
		{">file", func(m *bench.Row) string { return bytes(m.Bytes) }},
		{">params", func(m *bench.Row) string {
			if m.Parameters <= 0 {
				return ""
			}
			return short(m.Parameters)
		}},
		{">peak memory", func(m *bench.Row) string { return bytes(m.PeakRSS) }},
	}
	var heads []string // a column for each number of samples
	head := func(q *bench.Quality) string { return ">" + q.Metric + ", " + plural(q.Samples, "sample") }
	for _, m := range b.Models {
		if m.Quality != nil && !slices.Contains(heads, head(m.Quality)) {
			heads = append(heads, head(m.Quality))
		}
	}
	for _, h := range heads {
		columns = append(columns, column{h, func(m *bench.Row) string {
			if m.Quality == nil || head(m.Quality) != h {
				return ""
			}
			return figure(&m.Quality.Value, 4)
		}})
	}
	sec := b.table("speed and size", columns)
	if sec == nil || len(heads) != 1 {
		return sec
	}
	// The usual: one number, which stands below, so that the column stays narrow.
	if i := slices.Index(sec.grid.head, heads[0]); i >= 0 { // its values may be no numbers
		metric, samples, _ := strings.Cut(heads[0], ", ")
		sec.grid.head[i] = metric
		sec.lines = []string{metric[1:] + " of " + samples}
	}
	return sec
}

// comparisons are the ratios to the first model or the baseline.
func (b *Bench) comparisons() *section {
	if len(b.Comparisons) == 0 {
		return nil
	}
	base := b.Comparisons[0].Base
	one := !slices.ContainsFunc(b.Comparisons, func(c bench.Comparison) bool { return c.Base != base })
	// Of a baseline, rows are compared with those of their name unless told.
	renamed := slices.ContainsFunc(b.Comparisons, func(c bench.Comparison) bool { return c.Base != c.Other })
	title := "compared"
	switch file := filepath.Base(b.Baseline); {
	case b.Baseline != "" && one && renamed:
		title = "compared with " + base + " in " + file
	case b.Baseline != "":
		title = "compared with " + file
	case one:
		title = "compared with " + base
	}
	sec := &section{title: title, keys: 1, grid: grid{head: []string{"model"}}}
	keys := b.keys()
	var columns []func(c bench.Comparison) string
	for _, k := range keys {
		switch k.head {
		case ">batch":
			columns = append(columns, func(c bench.Comparison) string { return formatCount(int64(c.Batch)) })
		case ">streams":
			columns = append(columns, func(c bench.Comparison) string { return formatCount(int64(c.Streams)) })
		default:
			continue
		}
		sec.grid.head = append(sec.grid.head, k.head)
		sec.keys++
	}
	if !one && renamed {
		sec.grid.head = append(sec.grid.head, "with")
		columns = append(columns, func(c bench.Comparison) string { return c.Base })
	}
	sec.grid.head = append(sec.grid.head, "time")
	columns = append(columns, verdict)
	for _, c := range b.Comparisons {
		line := []string{c.Other}
		for _, of := range columns {
			line = append(line, of(c))
		}
		sec.grid.add(line...)
	}
	return sec
}

// verdict words a comparison: "2.31× faster (2.25 … 2.38)". Where the interval holds 1
// no difference was found.
func verdict(c bench.Comparison) string {
	word, ratio, low, high := "faster", c.Speedup, c.Low, c.High
	if !c.Differs {
		return fmt.Sprintf("~ no difference (%s … %s)", significant(low, 3), significant(high, 3))
	}
	if ratio < 1 {
		word, ratio, low, high = "slower", 1/ratio, 1/high, 1/low
	}
	return fmt.Sprintf("%s× %s (%s … %s)", significant(ratio, 3), word, significant(low, 3), significant(high, 3))
}

// cold is what the first answer of a process costs.
func (b *Bench) cold() *section {
	var totals []float64
	for _, m := range b.Models {
		if m.Cold != nil {
			totals = append(totals, m.Cold.Total)
		}
	}
	u := timeUnit(totals)
	at := func(of func(*bench.Cold) float64) func(*bench.Row) string {
		return func(m *bench.Row) string {
			if m.Cold == nil {
				return ""
			}
			return u.format(of(m.Cold))
		}
	}
	return b.table("cold start, "+u.name, []column{
		{">load and optimize", at(func(c *bench.Cold) float64 { return c.Load })},
		{">first run", at(func(c *bench.Cold) float64 { return c.First })},
		{">in all", at(func(c *bench.Cold) float64 { return c.Total })},
	})
}
