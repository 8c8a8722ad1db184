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
	{"Size", "size of the file", size, true, func(m *bench.Row) (figure, bool) { return positive(m.Bytes) }},
}

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
	switch s := m.Server; {
	case s == nil:
		return figure{}, false
	case s.Batched != nil:
		return exact(s.Batched.Rate, true)
	case s.Capacity != nil:
		return exact(s.Capacity.Rate, true)
	}
	return figure{}, false
}

func writtenRate(m *bench.Row) (figure, bool) {
	switch d := m.Decode; {
	case d == nil:
		return figure{}, false
	case d.Cached != nil:
		return exact(d.Cached.PerSecond, true)
	case d.Whole != nil:
		return exact(d.Whole.PerSecond, true)
	}
	return figure{}, false
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
	switch d := m.Decode; {
	case d == nil:
		return figure{}, false
	case d.Cached != nil:
		return exact(d.Cached.TPOT, d.Cached.TPOT > 0)
	case d.Whole != nil:
		return exact(d.Whole.TPOT, d.Whole.TPOT > 0)
	}
	return figure{}, false
}

func requestTime(m *bench.Row) (figure, bool) {
	switch s := m.Server; {
	case s == nil:
		return figure{}, false
	case s.Rate != nil:
		return exact(s.Rate.P99, s.Rate.P99 > 0)
	case s.Capacity != nil && s.Capacity.Load != nil:
		return exact(s.Capacity.Load.P99, s.Capacity.Load.P99 > 0)
	}
	return figure{}, false
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
