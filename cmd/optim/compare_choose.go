package main

import (
	"cmp"
	"fmt"
	"slices"

	"optim/internal/report"
)

// originalName is the row of the source.
const originalName = "original"

// limits are what a row has to hold.
type limits struct {
	kept     float64 // retention must be greater
	size     int64   // bytes at most; 0: any
	measured bool    // quality on data; else the cosine of the outputs stands for it
}

func (c *comparison) limits() limits {
	return limits{kept: 1 - c.o.write.maxLoss, size: c.o.write.maxSize, measured: c.o.write.eval != ""}
}

// apply judges a row by the limits.
func (l limits) apply(r *report.Row) {
	if q := r.Quality; q != nil && q.Retention != nil {
		kept := l.kept
		q.Limit, q.Acceptable = &kept, *q.Retention > kept
		if !q.Acceptable {
			r.Missed = fmt.Sprintf("retention of %s is %.4f, and must be greater than %.4f", q.Metric, *q.Retention, kept)
			return
		}
	}
	if l.size > 0 && r.Bytes != nil && *r.Bytes > l.size {
		r.Missed = fmt.Sprintf("%d bytes, %d more than --max-size allows", *r.Bytes, *r.Bytes-l.size)
	}
}

// says is the beginning of a rule: which rows it is about.
func (l limits) says() string {
	s := fmt.Sprintf("keep more than %g %% of the quality", round(100*l.kept))
	if !l.measured {
		s = fmt.Sprintf("keep a cosine above %g", round(l.kept))
	}
	if l.size > 0 {
		s += fmt.Sprintf(" in at most %d bytes", l.size)
	}
	return s
}

// round drops what floating point adds: 1 − 0.05 is not 0.95.
func round(v float64) float64 { return float64(int64(v*1e6+0.5)) / 1e6 }

// recommend chooses a row, the first being the source, and says by what rule. Of the
// rows that keep the limits it is the fastest that is proven faster than the source,
// by the lower end of the interval; where intervals overlap with that row's, the
// smallest file of these, and of files within 1 % the one that keeps most. Where none is faster, it is the smallest file that is
// smaller than the source's and not proven slower; else the source.
func recommend(rows []report.Row, l limits) (name, rule string) {
	source := rows[0]
	usable := slices.DeleteFunc(slices.Clone(rows[1:]), func(r report.Row) bool {
		return r.Error != "" || r.Skipped != "" || r.Missed != "" || r.Bytes == nil
	})
	faster := slices.DeleteFunc(slices.Clone(usable), func(r report.Row) bool {
		return !wasTimed(r) || *r.Latency.SpeedupLow <= 1
	})
	if len(faster) > 0 {
		best := slices.MaxFunc(faster, func(a, b report.Row) int { return cmp.Compare(*a.Latency.Speedup, *b.Latency.Speedup) })
		tied := slices.DeleteFunc(faster, func(r report.Row) bool { return *r.Latency.SpeedupHigh < *best.Latency.SpeedupLow })
		return smallest(tied).Name, fmt.Sprintf("the fastest of the rows that %s and are proven faster than the source; of those whose intervals meet the fastest's, the smallest file"+equally, l.says())
	}
	smaller := slices.DeleteFunc(usable, func(r report.Row) bool {
		return *r.Bytes >= *source.Bytes || wasTimed(r) && *r.Latency.SpeedupHigh < 1
	})
	if len(smaller) > 0 {
		rule := "no row that may be chosen is proven faster than the source: the smallest file of the rows that %s and are not proven slower"
		if !slices.ContainsFunc(smaller, wasTimed) {
			rule = "speed was not measured: the smallest file of the rows that %s"
		}
		return smallest(smaller).Name, fmt.Sprintf(rule+equally, l.says())
	}
	return originalName, fmt.Sprintf("no row that would %s is faster than the source, or smaller and not slower", l.says())
}

func wasTimed(r report.Row) bool {
	return r.Latency != nil && r.Latency.Speedup != nil && r.Latency.SpeedupLow != nil && r.Latency.SpeedupHigh != nil
}

// sameSize is how much larger a file may be and still count as equally small.
const (
	sameSize = 1.01
	equally  = "; of files within 1 %% the one that keeps most"
)

// smallest returns the row with the smallest file; of those that are equally small
// that with the better quality.
func smallest(rows []report.Row) report.Row {
	least := slices.MinFunc(rows, func(a, b report.Row) int { return cmp.Compare(*a.Bytes, *b.Bytes) })
	equal := slices.DeleteFunc(slices.Clone(rows), func(r report.Row) bool { return float64(*r.Bytes) > sameSize*float64(*least.Bytes) })
	return slices.MinFunc(equal, func(a, b report.Row) int {
		return cmp.Or(-cmp.Compare(retention(a), retention(b)), cmp.Compare(*a.Bytes, *b.Bytes))
	})
}

func retention(r report.Row) float64 {
	if r.Quality == nil || r.Quality.Retention == nil {
		return 0
	}
	return *r.Quality.Retention
}
