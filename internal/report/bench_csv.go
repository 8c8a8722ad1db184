package report

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"

	"optim/internal/bench"
	"optim/internal/bench/decode"
	"optim/internal/bench/server"
)

// csvColumn is a column of the table for programs. Names carry their units; they
// are a contract: new ones come at the end.
type csvColumn struct {
	name string
	cell func(b *Bench, m *bench.Row) string
}

// CSV writes one line for each row of the result (RFC 4180), with a heading. A
// figure that was not measured is an empty cell.
func (b *Bench) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	line := make([]string, len(csvColumns))
	for i, c := range csvColumns {
		line[i] = c.name
	}
	if err := out.Write(line); err != nil {
		return err
	}
	for i := range b.Models {
		for j, c := range csvColumns {
			line[j] = c.cell(b, &b.Models[i])
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// RawTimes writes the time of every run in milliseconds, one a line, with the
// process, block and stream it was measured in, counted from 0.
func (b *Bench) RawTimes(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"model", "provider", "batch", "concurrency", "launch", "block", "stream", "ms"}); err != nil {
		return err
	}
	for _, m := range b.Models {
		for _, s := range m.Samples {
			if err := out.Write([]string{m.Name, m.Provider, strconv.Itoa(m.Batch), strconv.Itoa(m.Concurrency),
				strconv.Itoa(s.Launch), strconv.Itoa(s.Block), strconv.Itoa(s.Stream), csvFloat(s.MS)}); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

var csvColumns = []csvColumn{
	{"model", func(_ *Bench, m *bench.Row) string { return m.Name }},
	{"path", func(_ *Bench, m *bench.Row) string { return m.Path }},
	{"scenario", func(b *Bench, _ *bench.Row) string { return b.Scenario }},
	{"provider", func(_ *Bench, m *bench.Row) string { return m.Provider }},
	{"batch", func(_ *Bench, m *bench.Row) string { return csvCount(m.Batch) }},
	{"concurrency", func(_ *Bench, m *bench.Row) string { return csvCount(m.Concurrency) }},
	{"concurrency_by", func(_ *Bench, m *bench.Row) string { return m.By }},
	{"runs", func(_ *Bench, m *bench.Row) string { return csvCount(m.Runs) }},
	{"warmup_runs", func(_ *Bench, m *bench.Row) string { return csvCount(m.Warmup) }},
	{"steady", func(_ *Bench, m *bench.Row) string { return csvBool(m.Steady) }},

	latencyCell("mean_ms", func(t *bench.Times) *float64 { return &t.Mean }),
	latencyCell("stddev_ms", func(t *bench.Times) *float64 { return &t.StdDev }),
	latencyCell("min_ms", func(t *bench.Times) *float64 { return &t.Min }),
	latencyCell("p50_ms", func(t *bench.Times) *float64 { return &t.P50 }),
	latencyCell("p50_low_ms", func(t *bench.Times) *float64 { return t.Low }),
	latencyCell("p50_high_ms", func(t *bench.Times) *float64 { return t.High }),
	latencyCell("p90_ms", func(t *bench.Times) *float64 { return &t.P90 }),
	latencyCell("p95_ms", func(t *bench.Times) *float64 { return &t.P95 }),
	latencyCell("p99_ms", func(t *bench.Times) *float64 { return &t.P99 }),
	latencyCell("max_ms", func(t *bench.Times) *float64 { return &t.Max }),

	{"throughput_per_s", func(_ *Bench, m *bench.Row) string { return csvFigure(m.Throughput) }},
	{"tokens_per_s", func(_ *Bench, m *bench.Row) string { return csvFigure(m.Tokens) }},
	coldCell("cold_load_ms", func(c *bench.Cold) float64 { return c.Load }),
	coldCell("cold_first_run_ms", func(c *bench.Cold) float64 { return c.First }),
	coldCell("cold_total_ms", func(c *bench.Cold) float64 { return c.Total }),

	{"bytes", func(_ *Bench, m *bench.Row) string { return csvCount(m.Bytes) }},
	{"parameters", func(_ *Bench, m *bench.Row) string { return csvCount(m.Parameters) }},
	{"peak_rss_bytes", func(_ *Bench, m *bench.Row) string { return csvCount(m.PeakRSS) }},
	{"steady_rss_bytes", func(_ *Bench, m *bench.Row) string { return csvCount(m.SteadyRSS) }},
	{"base_rss_bytes", func(_ *Bench, m *bench.Row) string { return csvCount(m.BaseRSS) }},
	{"macs", func(_ *Bench, m *bench.Row) string {
		if m.MACs == nil {
			return ""
		}
		return strconv.FormatInt(*m.MACs, 10)
	}},
	{"gflops", func(_ *Bench, m *bench.Row) string { return csvFigure(m.GFLOPS) }},
	{"roofline", func(_ *Bench, m *bench.Row) string { return csvFigure(m.Roofline) }},

	{"quality_metric", func(_ *Bench, m *bench.Row) string {
		if m.Quality == nil {
			return ""
		}
		return m.Quality.Metric
	}},
	{"quality_value", func(_ *Bench, m *bench.Row) string {
		if m.Quality == nil {
			return ""
		}
		return csvFloat(m.Quality.Value)
	}},
	{"quality_samples", func(_ *Bench, m *bench.Row) string {
		if m.Quality == nil {
			return ""
		}
		return csvCount(m.Quality.Samples)
	}},

	ratioCell("speedup", func(c *bench.Comparison) float64 { return c.Speedup }),
	ratioCell("speedup_low", func(c *bench.Comparison) float64 { return c.Low }),
	ratioCell("speedup_high", func(c *bench.Comparison) float64 { return c.High }),

	serverCell("slo_ms", func(s *server.Report) (float64, bool) { return s.SLO, s.SLO > 0 }),
	loadCell("server_rate_per_s", func(s *server.Report) *server.Load { return s.Rate }, func(l *server.Load) float64 { return l.Rate }),
	loadCell("server_p50_ms", func(s *server.Report) *server.Load { return s.Rate }, func(l *server.Load) float64 { return l.P50 }),
	loadCell("server_p99_ms", func(s *server.Report) *server.Load { return s.Rate }, func(l *server.Load) float64 { return l.P99 }),
	loadCell("server_batched_p50_ms", func(s *server.Report) *server.Load { return s.BatchedRate }, func(l *server.Load) float64 { return l.P50 }),
	loadCell("server_batched_p99_ms", func(s *server.Report) *server.Load { return s.BatchedRate }, func(l *server.Load) float64 { return l.P99 }),
	serverCell("capacity_per_s", func(s *server.Report) (float64, bool) { return rateOf(s.Capacity) }),
	serverCell("batched_capacity_per_s", func(s *server.Report) (float64, bool) { return rateOf(s.Batched) }),

	seriesCell("ttft_ms", cached, func(s *decode.Series) float64 { return s.TTFT }),
	seriesCell("tpot_ms", cached, func(s *decode.Series) float64 { return s.TPOT }),
	seriesCell("decode_tokens_per_s", cached, func(s *decode.Series) float64 { return s.PerSecond }),
	seriesCell("uncached_ttft_ms", whole, func(s *decode.Series) float64 { return s.TTFT }),
	seriesCell("uncached_tpot_ms", whole, func(s *decode.Series) float64 { return s.TPOT }),
	seriesCell("uncached_tokens_per_s", whole, func(s *decode.Series) float64 { return s.PerSecond }),
}

func csvFloat(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func csvFigure(v *float64) string {
	if v == nil {
		return ""
	}
	return csvFloat(*v)
}

func csvBool(v *bool) string {
	if v == nil {
		return ""
	}
	return strconv.FormatBool(*v)
}

// csvCount writes a number whose absence is 0.
func csvCount[T int | int64](n T) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

func latencyCell(name string, of func(*bench.Times) *float64) csvColumn {
	return csvColumn{name, func(_ *Bench, m *bench.Row) string {
		if m.Latency == nil {
			return ""
		}
		return csvFigure(of(m.Latency))
	}}
}

func coldCell(name string, of func(*bench.Cold) float64) csvColumn {
	return csvColumn{name, func(_ *Bench, m *bench.Row) string {
		if m.Cold == nil {
			return ""
		}
		return csvFloat(of(m.Cold))
	}}
}

// ratioCell is of the comparison in which the row is the other.
func ratioCell(name string, of func(*bench.Comparison) float64) csvColumn {
	return csvColumn{name, func(b *Bench, m *bench.Row) string {
		for i := range b.Comparisons {
			c := &b.Comparisons[i]
			if c.Other == m.Name && c.Batch == m.Batch && c.Streams == m.Concurrency {
				return csvFloat(of(c))
			}
		}
		return ""
	}}
}

func serverCell(name string, of func(*server.Report) (float64, bool)) csvColumn {
	return csvColumn{name, func(_ *Bench, m *bench.Row) string {
		if m.Server == nil {
			return ""
		}
		if v, ok := of(m.Server); ok {
			return csvFloat(v)
		}
		return ""
	}}
}

func loadCell(name string, at func(*server.Report) *server.Load, of func(*server.Load) float64) csvColumn {
	return serverCell(name, func(s *server.Report) (float64, bool) {
		if l := at(s); l != nil {
			return of(l), true
		}
		return 0, false
	})
}

func rateOf(c *server.Capacity) (float64, bool) {
	if c == nil {
		return 0, false
	}
	return c.Rate, true
}

func cached(d *decode.Report) *decode.Series { return d.Cached }
func whole(d *decode.Report) *decode.Series  { return d.Whole }

func seriesCell(name string, way func(*decode.Report) *decode.Series, of func(*decode.Series) float64) csvColumn {
	return csvColumn{name, func(_ *Bench, m *bench.Row) string {
		if m.Decode == nil || way(m.Decode) == nil || of(way(m.Decode)) == 0 {
			return ""
		}
		return csvFloat(of(way(m.Decode)))
	}}
}
