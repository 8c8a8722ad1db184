package report

import (
	"maps"
	"slices"
	"strings"

	"optim/internal/bench"
)

// counted writes a number whose absence is 0.
func counted(n int) string {
	if n <= 0 {
		return ""
	}
	return formatCount(int64(n))
}

// memory is that of the process, before and while it runs a model.
func (b *Bench) memory() *section {
	bytes := func(of func(*bench.Row) int64) func(*bench.Row) string {
		return func(m *bench.Row) string {
			if of(m) <= 0 {
				return ""
			}
			return formatBytes(of(m))
		}
	}
	return b.table("memory of the process", []column{
		{">without model", bytes(func(m *bench.Row) int64 { return m.BaseRSS })},
		{">while it runs", bytes(func(m *bench.Row) int64 { return m.SteadyRSS })},
		{">peak", bytes(func(m *bench.Row) int64 { return m.PeakRSS })},
	})
}

// weights lists the weights by type, once for each model.
func (b *Bench) weights() *section {
	sec := &section{title: "weights", keys: 2,
		grid: grid{head: []string{"model", "type", ">tensors", ">elements", ">bytes"}}}
	seen := map[string]bool{}
	for _, m := range b.Models {
		if seen[m.Name] {
			continue
		}
		seen[m.Name] = true
		for _, t := range slices.Sorted(maps.Keys(m.Weights)) {
			a := m.Weights[t]
			sec.grid.add(m.Name, t, formatCount(int64(a.Count)), formatCount(a.Elements), formatBytes(a.Bytes))
		}
	}
	if len(sec.grid.rows) == 0 {
		return nil
	}
	return sec
}

// runs tells how each row was measured.
func (b *Bench) runs() *section {
	if !slices.ContainsFunc(b.Models, func(m bench.Row) bool { return m.Runs > 0 || m.Warmup > 0 }) {
		return nil // the nodes alone say nothing of runs
	}
	times := b.runUnit()
	return b.table("runs, "+times.name, []column{
		{">runs", func(m *bench.Row) string { return counted(m.Runs) }},
		{">to warm up", func(m *bench.Row) string { return counted(m.Warmup) }},
		{"then", func(m *bench.Row) string {
			switch {
			case m.Steady == nil:
				return ""
			case *m.Steady:
				return "steady"
			}
			return "still changing"
		}},
		{">p50, 95 % interval", func(m *bench.Row) string {
			if t := m.Latency; t != nil && t.Low != nil && t.High != nil {
				return times.format(*t.Low) + " … " + times.format(*t.High)
			}
			return ""
		}},
		{"streams by", func(m *bench.Row) string { return m.By }},
		{"nodes", func(m *bench.Row) string {
			var parts []string
			for _, p := range slices.Sorted(maps.Keys(m.Nodes)) {
				parts = append(parts, formatCount(int64(m.Nodes[p]))+" "+p)
			}
			return join(parts)
		}},
		{"medians of the processes", func(m *bench.Row) string {
			var parts []string
			for _, v := range m.Launches {
				parts = append(parts, times.format(v))
			}
			return strings.Join(parts, " ")
		}},
	})
}
