package report

import (
	"fmt"
	"math"
	"slices"

	"optim/internal/bench"
	"optim/internal/bench/decode"
)

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
	sec := b.begin("decoding, "+u.name, "cache", ">first token", ">per token", ">p99", ">tokens/s", ">prompt ids/s",
		">growth, µs a token", ">repeats")
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
				b.add(sec, m, way.name, u.format(way.TTFT), u.positive(way.TPOT),
					u.tail(way.TPOTP99, 99, way.Repeats*(len(way.Steps)-1)), figure(&way.PerSecond, 3),
					promptRate(m.Decode.Prompt, way.Series), growth(way.Series), counted(way.Repeats))
			}
		}
		sec.lines = append(sec.lines, decodeLine(m))
		for _, n := range m.Decode.Notes {
			sec.lines = append(sec.lines, m.Name+": "+n)
		}
	}
	sec.lines = append(sec.lines, "first token, per token: medians; growth: of a line through medians; tokens/s: all tokens by all time; prompt ids/s: the prompt by the time to the first token")
	sec.dropEmpty()
	return sec
}

// promptRate is how many ids of the prompt were read a second, until the first token.
func promptRate(prompt int, s *decode.Series) string {
	if s.TTFT <= 0 {
		return ""
	}
	return measured(1000 * float64(prompt) / s.TTFT)
}

// growth is how much longer each further id makes a step, in microseconds: "~0"
// where a hundred ids change the time of a token by less than 1 %.
func growth(s *decode.Series) string {
	if s.Growth != nil && 100*math.Abs(*s.Growth) < 0.01*1000*s.TPOT {
		return "~0"
	}
	return figure(s.Growth, 2)
}

func decodeLine(m *bench.Row) string {
	d := m.Decode
	line := fmt.Sprintf("%s: %s after a prompt of %s", m.Name, plural(d.New, "token"), formatCount(int64(d.Prompt)))
	if d.Gain != nil {
		line += fmt.Sprintf("; the cache gives %s× the tokens a second", figure(d.Gain, 3))
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
