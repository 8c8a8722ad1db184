package plot

import (
	"slices"

	"optim/internal/bench"
)

// figure is a value with its 95 % interval where there is one.
type figure struct {
	value     float64
	low, high float64
}

// measure is a property of models that an axis shows. Lower says that less is
// better.
type measure struct {
	short string // for the heading of a diagram
	label string
	unit  quantity
	lower bool
	of    func(*bench.Row) (figure, bool)
}

// exact returns a figure without interval.
func exact(v float64, ok bool) (figure, bool) {
	return figure{v, v, v}, ok && drawable(v)
}

func positive(v int64) (figure, bool) { return exact(float64(v), v > 0) }

var parameters = measure{"Parameters", "parameters", counts, true,
	func(m *bench.Row) (figure, bool) { return positive(m.Parameters) }}

// memories, latencies and rates are in the order of preference: the first that any row
// has is shown.
var memories = []measure{
	{"Memory", "peak memory", size, true, func(m *bench.Row) (figure, bool) { return positive(m.PeakRSS) }},
	fileSize,
}

var fileSize = measure{"Size", "size of the file", size, true, func(m *bench.Row) (figure, bool) { return positive(m.Bytes) }}

var latencies = []measure{
	{"Latency", "median latency", millis, true, medianLatency},
	{"Latency", "time per token", millis, true, tokenTime},
	{"Latency", "latency of a request, p99", millis, true, requestTime},
}

var rates = []measure{
	{"Throughput", "items a second, higher is better", number, false, func(m *bench.Row) (figure, bool) { return given(m.Throughput) }},
	{"Throughput", "highest rate (items/s), higher is better", number, false, servedRate},
	{"Throughput", "tokens a second, higher is better", number, false, writtenRate},
}

func given(v *float64) (figure, bool) {
	if v == nil {
		return figure{}, false
	}
	return exact(*v, *v > 0)
}

func servedRate(m *bench.Row) (figure, bool) {
	_, c := m.Server.Outcome()
	if c == nil {
		return figure{}, false
	}
	return exact(c.Rate, true)
}

func writtenRate(m *bench.Row) (figure, bool) {
	s := m.Decode.Best()
	if s == nil {
		return figure{}, false
	}
	return exact(s.PerSecond, true)
}

func medianLatency(m *bench.Row) (figure, bool) {
	if m.Latency == nil {
		return figure{}, false
	}
	f, ok := exact(m.Latency.P50, m.Latency.P50 > 0)
	if l, h := m.Latency.Low, m.Latency.High; l != nil && h != nil && drawable(*l) && drawable(*h) {
		f.low, f.high = *l, *h
	}
	return f, ok
}

func tokenTime(m *bench.Row) (figure, bool) {
	s := m.Decode.Best()
	if s == nil {
		return figure{}, false
	}
	return exact(s.TPOT, s.TPOT > 0)
}

func requestTime(m *bench.Row) (figure, bool) {
	// At a given rate: at the highest, which differ, times do not compare.
	l, _ := m.Server.Outcome()
	if l == nil {
		return figure{}, false
	}
	return exact(l.P99, l.P99 > 0)
}

// quality is the metric of --eval; ok is false where none was measured. For
// language models it is the inverse of perplexity, so that up is better.
func quality(rows []item) (q measure, ok bool) {
	i := slices.IndexFunc(rows, func(m item) bool { return m.Quality != nil })
	if i < 0 {
		return measure{}, false
	}
	metric := rows[i].Quality.Metric
	q = measure{"Quality", metric + ", higher is better", number, false, func(m *bench.Row) (figure, bool) {
		if m.Quality == nil || m.Quality.Metric != metric {
			return figure{}, false
		}
		return exact(m.Quality.Value, true)
	}}
	switch metric {
	case "perplexity":
		q.label = "1 / perplexity, higher is better"
		of := q.of
		q.of = func(m *bench.Row) (figure, bool) {
			f, ok := of(m)
			return exact(1/f.value, ok && f.value > 0)
		}
	case "mse":
		q.label, q.lower = "mse, lower is better", true
	}
	return q, true
}

// first returns the first measure that any row has, else the very first.
func first(list []measure, rows []item) measure {
	for _, q := range list {
		for _, m := range rows {
			if _, ok := q.of(m.Row); ok {
				return q
			}
		}
	}
	return list[0]
}
