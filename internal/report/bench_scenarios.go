package report

import (
	"fmt"
	"slices"
	"strconv"

	"optim/internal/bench"
	"optim/internal/bench/decode"
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
	sec := b.begin("server, "+u.name, "rate", ">items/s", ">p50", ">p90", ">p95", ">p99", ">p99.9", ">max",
		">queue", ">batch", ">busy")
	sec.keys++
	for i := range b.Models {
		m := &b.Models[i]
		if m.Server == nil {
			continue
		}
		for _, l := range loads(m.Server) {
			b.add(sec, m, l.name, significant(l.Rate, 3), u.format(l.P50), u.format(l.P90), u.format(l.P95), u.format(l.P99),
				u.format(l.P999), u.format(l.Max), u.format(l.Queue), significant(l.MeanBatch, 2), share(&l.Busy))
			if l.Overloaded {
				sec.lines = append(sec.lines, fmt.Sprintf("%s, %s: %s items/s is more than it can serve (%s answered)",
					m.Name, l.name, significant(l.Rate, 3), significant(l.Achieved, 3)))
			}
		}
		sec.lines = append(sec.lines, outcomes(m)...)
	}
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

// outcomes words the search for the highest rate, and what batching gained.
func outcomes(m *bench.Row) []string {
	s := m.Server
	limit := "that the model can serve"
	if s.SLO > 0 {
		limit = fmt.Sprintf("with p99 ≤ %s ms", plain(s.SLO))
	}
	say := func(c *server.Capacity, how string) string {
		if c.Rate <= 0 {
			return fmt.Sprintf("%s: no rate that was tried %s%s", m.Name, keeps(s.SLO), how)
		}
		return fmt.Sprintf("%s: %s items/s is the highest rate %s%s", m.Name, significant(c.Rate, 3), limit, how)
	}
	var out []string
	if s.Capacity != nil {
		out = append(out, say(s.Capacity, ""))
	}
	if s.Batched != nil {
		how := fmt.Sprintf(", batching up to %d within %s ms", s.MaxBatch, plain(s.Window))
		line := say(s.Batched, how)
		if s.Gain != nil {
			line += fmt.Sprintf(": %s× the rate without", significant(*s.Gain, 3))
		}
		out = append(out, line)
	}
	return out
}

// plain writes what a user gave, as it was given.
func plain(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func keeps(slo float64) string {
	if slo > 0 {
		return fmt.Sprintf("keeps p99 ≤ %s ms", plain(slo))
	}
	return "can be served"
}

// probes are the rates that the searches tried.
func (b *Bench) probes() *section {
	sec := b.begin("rates that were tried", "search", ">items/s", ">p99 ms", "limit")
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
				b.add(sec, m, search.name, significant(p.Rate, 3), significant(p.P99, 3), held)
			}
		}
	}
	if len(sec.grid.rows) == 0 {
		return nil
	}
	return sec
}

// sweep is the throughput by batch and streams.
func (b *Bench) sweep() *section {
	sec := &section{title: "sweep", keys: 3,
		grid: grid{head: []string{"model", ">batch", ">streams", "by", ">items/s", ">tokens/s", ">p50 ms", ""}}}
	for _, m := range b.Models {
		for _, s := range m.Sweep {
			note := ""
			switch {
			case s.Error != "":
				note = "failed"
				sec.lines = append(sec.lines, fmt.Sprintf("%s, batch %d, %s: %s", m.Name, s.Batch, plural(s.Concurrency, "stream"), s.Error))
			case s.Best:
				note = "best"
			}
			sec.grid.add(m.Name, formatCount(int64(s.Batch)), formatCount(int64(s.Concurrency)), s.By,
				measured(s.Throughput), measured(s.Tokens), measured(s.P50), note)
		}
	}
	if len(sec.grid.rows) == 0 {
		return nil
	}
	sec.dropEmpty()
	return sec
}

// measured is figure for values whose absence is 0.
func measured(v float64) string {
	if v == 0 {
		return ""
	}
	return figure(&v, 3)
}

// dropEmpty removes the columns without any cell.
func (sec *section) dropEmpty() {
	var columns []int
	for c := sec.keys; c < len(sec.grid.head); c++ {
		if slices.ContainsFunc(sec.grid.rows, func(r []string) bool { return r[c] != "" }) {
			columns = append(columns, c)
		}
	}
	sec.grid = *sec.grid.pick(sec.keys, columns)
}

// decode is the time of writing ids, with the cache and without.
func (b *Bench) decode() *section {
	var times []float64
	for _, m := range b.Models {
		if d := m.Decode; d != nil {
			for _, s := range []*decode.Series{d.Cached, d.Whole} {
				if s != nil {
					times = append(times, s.TPOT, s.TTFT)
				}
			}
		}
	}
	if len(times) == 0 {
		return nil
	}
	u := timeUnit(times)
	sec := b.begin("decoding, "+u.name, "cache", ">first token", ">per token", ">p99", ">tokens/s", ">growth, µs a token")
	sec.keys++
	for i := range b.Models {
		m := &b.Models[i]
		if m.Decode == nil {
			continue
		}
		for _, way := range []struct {
			name string
			*decode.Series
		}{{"with", m.Decode.Cached}, {"without", m.Decode.Whole}} {
			if way.Series != nil {
				b.add(sec, m, way.name, u.format(way.TTFT), u.positive(way.TPOT), u.positive(way.TPOTP99),
					figure(&way.PerSecond, 3), figure(way.Growth, 2))
			}
		}
		sec.lines = append(sec.lines, decodeLine(m))
		for _, n := range m.Decode.Notes {
			sec.lines = append(sec.lines, m.Name+": "+n)
		}
	}
	return sec
}

func decodeLine(m *bench.Row) string {
	d := m.Decode
	line := fmt.Sprintf("%s: %s after a prompt of %d", m.Name, plural(d.New, "token"), d.Prompt)
	if d.Gain != nil {
		line += fmt.Sprintf("; the cache gives %s× the tokens a second", significant(*d.Gain, 3))
	}
	if d.Same != nil {
		if *d.Same {
			line += "; both ways wrote the same"
		} else {
			line += "; the two ways wrote different tokens"
		}
	}
	return line
}
