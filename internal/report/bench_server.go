package report

import (
	"fmt"
	"slices"
	"strconv"

	"optim/internal/bench"
	"optim/internal/bench/server"
)

// server is what requests met that arrive at random times.
func (b *Bench) server() *section {
	var times []float64
	for _, m := range b.Models {
		if m.Server != nil {
			for _, l := range loads(m.Server) {
				times = append(times, l.P50)
			}
		}
	}
	if len(times) == 0 && !slices.ContainsFunc(b.Models, func(m bench.Row) bool { return m.Server != nil }) {
		return nil
	}
	u := timeUnit(times)
	sec := b.begin("server, "+u.name, "rate", ">offered/s", ">answered/s", ">requests", ">p50", ">p90", ">p95",
		">p99", ">p99.9", ">max", ">queue", ">batch", ">busy")
	sec.keys++
	for i := range b.Models {
		m := &b.Models[i]
		if m.Server == nil {
			continue
		}
		for _, l := range loads(m.Server) {
			n := l.Requests
			b.add(sec, m, l.name, figure(&l.Rate, 3), figure(&l.Achieved, 3), formatCount(int64(n)), u.format(l.P50), u.tail(l.P90, 90, n),
				u.tail(l.P95, 95, n), u.tail(l.P99, 99, n), u.tail(l.P999, 99.9, n), u.format(l.Max), u.format(l.Queue),
				significant(l.MeanBatch, 2), share(&l.Busy))
			if l.Overloaded {
				sec.lines = append(sec.lines, fmt.Sprintf("%s, %s: %s items/s is more than it can serve (%s answered)",
					m.Name, l.name, figure(&l.Rate, 3), figure(&l.Achieved, 3)))
			}
		}
		// Models are measured one after the other: only the last can have been interrupted.
		sec.lines = append(sec.lines, outcomes(m, b.Interrupted && i == len(b.Models)-1)...)
	}
	sec.dropEmpty()
	return sec
}

// named is a load of the server with the words for it.
type named struct {
	*server.Load
	name string
}

func loads(s *server.Report) []named {
	highest := func(c *server.Capacity) *server.Load {
		if c == nil {
			return nil
		}
		return c.Load
	}
	all := []named{
		{s.Rate, "given"}, {s.BatchedRate, "given, batched"},
		{highest(s.Capacity), "highest"}, {highest(s.Batched), "highest, batched"},
	}
	return slices.DeleteFunc(all, func(n named) bool { return n.Load == nil })
}

// outcomes words the searches for the highest rate, and what batching gained. The
// last search may have been interrupted.
func outcomes(m *bench.Row, interrupted bool) []string {
	s := m.Server
	var out []string
	if interrupted && len(loads(s)) == 0 && s.Capacity == nil && s.Batched == nil {
		out = append(out, m.Name+": interrupted before a rate was measured")
	}
	if s.Capacity != nil {
		out = append(out, m.Name+": "+outcome(s.Capacity, s.SLO, interrupted && s.Batched == nil))
		out = append(out, elsewhere(m.Name, s, s.Capacity, 0)...)
	}
	if s.Batched != nil {
		line := fmt.Sprintf("%s, batching up to %s within %s ms: %s", m.Name, formatCount(int64(s.MaxBatch)), plain(s.Window),
			outcome(s.Batched, s.SLO, interrupted))
		if s.Gain != nil {
			line += fmt.Sprintf(": %s× the rate without, of one search each", figure(s.Gain, 3))
		}
		out = append(out, line)
		out = append(out, elsewhere(m.Name+", batching", s, s.Batched, s.Window)...)
	}
	return out
}

// outcome words what a search found.
func outcome(c *server.Capacity, slo float64, interrupted bool) string {
	switch {
	case c.Rate <= 0 && interrupted:
		rates := map[float64]bool{} // a rate may be tried twice
		for _, p := range c.Probes {
			rates[p.Rate] = true
		}
		return "the search was interrupted after " + plural(len(rates), "rate")
	case c.Rate <= 0 && slo > 0:
		return fmt.Sprintf("no rate that was tried keeps p99 ≤ %s ms", plain(slo))
	case c.Rate <= 0:
		return "no rate that was tried can be served"
	case slo > 0:
		return fmt.Sprintf("%s items/s is the highest rate with p99 ≤ %s ms", figure(&c.Rate, 3), plain(slo))
	}
	return figure(&c.Rate, 3) + " items/s is the highest rate that the model can serve"
}

// Streams that are busy for less than leastBusy of the time, with a limit of
// roomyLimit runs or more, would hardly keep a request waiting: the 99th percentile of
// a queue with constant service is then below three times the service (M/D/1).
const (
	leastBusy  = 0.3
	roomyLimit = 3
)

// elsewhere tells of a search that ended far below what the streams can do, though
// the limit leaves room to wait.
func elsewhere(name string, s *server.Report, c *server.Capacity, window float64) []string {
	l := c.Load
	if l == nil || s.SLO <= 0 || l.Busy >= leastBusy || s.SLO-window < roomyLimit*(l.Mean-l.Queue) {
		return nil
	}
	return []string{fmt.Sprintf("%s: the streams were busy for only %s of the time: the tail comes from elsewhere than the load (a busy machine); measure again when it is quiet",
		name, share(&l.Busy))}
}

// plain writes what a user gave, as it was given.
func plain(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// probes are the rates that the searches tried.
func (b *Bench) probes() *section {
	sec := b.begin("rates that were tried", "search", ">offered/s", ">p99 ms", "limit")
	sec.keys++
	for i := range b.Models {
		m := &b.Models[i]
		if m.Server == nil {
			continue
		}
		for _, search := range []struct {
			name string
			*server.Capacity
		}{{"one at a time", m.Server.Capacity}, {"batching", m.Server.Batched}} {
			if search.Capacity == nil {
				continue
			}
			for _, p := range search.Probes {
				held := "missed"
				if p.Held {
					held = "kept"
				}
				b.add(sec, m, search.name, figure(&p.Rate, 3), figure(&p.P99, 3), held)
			}
		}
	}
	if len(sec.grid.rows) == 0 {
		return nil
	}
	return sec
}
