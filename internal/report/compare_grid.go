package report

import (
	"fmt"
	"strings"

	"optim/internal/eval"
)

// compared is a column of the comparison; those without any cell are left out.
type compared struct {
	head string
	of   func(r *Row) string
}

// grid is the table: a line for each row that was made, with dashes for those
// that failed; of a dry run, for each that would be.
func (c *Compare) grid() *grid {
	columns := []compared{
		{">file", func(r *Row) string { return bytesCell(r.Bytes) }},
		{">change", c.change},
		{">bits", func(r *Row) string { return figure(r.Bits, 3) }},
	}
	columns = append(columns, c.qualityColumns()...)
	columns = append(columns, c.timeColumns()...)
	columns = append(columns,
		compared{">resident", func(r *Row) string { return bytesCell(r.ResidentBytes) }},
		compared{">peak", func(r *Row) string { return bytesCell(r.PeakRSS) }},
		compared{">seconds", func(r *Row) string { return spent(r.Seconds) }},
		compared{"", failing},
	)
	if c.DryRun {
		columns = []compared{{"flags", func(r *Row) string { return r.Flags }}}
	}
	return c.table(columns)
}

func (c *Compare) table(columns []compared) *grid {
	g := &grid{head: []string{"row"}}
	var shown []compared
	for _, col := range columns {
		for i := range c.Rows {
			if col.of(&c.Rows[i]) != "" {
				g.head, shown = append(g.head, col.head), append(shown, col)
				break
			}
		}
	}
	for i := range c.Rows {
		r := &c.Rows[i]
		if r.Skipped != "" {
			continue
		}
		line := []string{r.Name}
		for _, col := range shown {
			line = append(line, col.of(r))
		}
		g.add(line...)
	}
	return g
}

// failing says in a word what the list below says in full.
func failing(r *Row) string {
	switch {
	case r.Error != "":
		return "failed"
	case r.Missed != "":
		return "missed"
	}
	return ""
}

func (c *Compare) change(r *Row) string {
	if r.Bytes == nil || *r.Bytes == c.Input.Bytes {
		return ""
	}
	return formatChange(c.Input.Bytes, *r.Bytes)
}

// qualityColumns are the metric, what is kept of it, and the divergence of
// predictions. A metric that is what was kept has but one.
func (c *Compare) qualityColumns() []compared {
	metric := ""
	for _, r := range c.Rows {
		if r.Quality != nil {
			metric = r.Quality.Metric
		}
	}
	digits := 4
	if eval.NeedsReference(metric) {
		digits = 5
	}
	value := compared{">" + metric, func(r *Row) string {
		if r.Quality == nil {
			return ""
		}
		return figure(r.Quality.After, digits)
	}}
	kept := compared{">kept", func(r *Row) string {
		if r.Quality == nil || r.Quality.Retention == nil {
			return ""
		}
		return keptPercent(*r.Quality.Retention)
	}}
	kl := compared{">KL", func(r *Row) string {
		if r.Quality == nil {
			return ""
		}
		return figure(r.Quality.KL, 3)
	}}
	if eval.NeedsReference(metric) {
		return []compared{value}
	}
	return []compared{value, kept, kl}
}

// timeColumns are the median and the speed-up, with their intervals.
func (c *Compare) timeColumns() []compared {
	var medians []float64
	for _, r := range c.Rows {
		if r.Latency != nil {
			medians = append(medians, r.Latency.Median)
		}
	}
	u := timeUnit(medians)
	return []compared{
		{">" + u.name, func(r *Row) string {
			if r.Latency == nil {
				return ""
			}
			return interval(u.format(r.Latency.Median), u.format(r.Latency.Low), u.format(r.Latency.High))
		}},
		{">speed-up", func(r *Row) string {
			if l := r.Latency; l != nil && l.Speedup != nil && l.SpeedupLow != nil && l.SpeedupHigh != nil {
				return interval(significant(*l.Speedup, 3)+"×", significant(*l.SpeedupLow, 3), significant(*l.SpeedupHigh, 3))
			}
			return ""
		}},
	}
}

func interval(value, low, high string) string {
	if low == "" || high == "" {
		return value
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%s … %s)", value, low, high))
}

func spent(v float64) string {
	if v <= 0 {
		return ""
	}
	return significant(v, 3)
}

func bytesCell(n *int64) string {
	if n == nil {
		return ""
	}
	return formatBytes(*n)
}
