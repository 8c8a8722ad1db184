// Package server measures a model behind a queue, as MLPerf Inference defines its
// server scenario (Reddi et al. 2020, "MLPerf Inference Benchmark"): requests of
// one item arrive as a Poisson process, whatever the model is at, and the time of
// a request counts from its arrival.
package server

// Report is what was measured: at a given rate, or at the highest rate that kept
// the limit. Times in milliseconds, rates in items a second.
type Report struct {
	SLO  float64 `json:"slo_ms,omitempty"`  // limit of the 99th percentile; 0: none
	Rate *Load   `json:"at_rate,omitempty"` // at the rate that was asked for
	// Capacity is the highest rate that kept the limit, one request at a time;
	// without a limit, the highest that did not overload the model.
	Capacity *Capacity `json:"capacity,omitempty"`
	// Batched is the same with dynamic batching; Gain is its rate divided by
	// that without.
	Window      float64   `json:"batch_window_ms,omitempty"`
	MaxBatch    int       `json:"max_batch,omitempty"`
	BatchedRate *Load     `json:"batched_at_rate,omitempty"`
	Batched     *Capacity `json:"batched_capacity,omitempty"`
	Gain        *float64  `json:"batching_gain,omitempty"`
}

// Outcome returns what was asked for, the load at a rate or the capacity: that with
// dynamic batching, where there is one. Of no report both are nil.
func (r *Report) Outcome() (*Load, *Capacity) {
	switch {
	case r == nil:
		return nil, nil
	case r.BatchedRate != nil || r.Batched != nil:
		return r.BatchedRate, r.Batched
	}
	return r.Rate, r.Capacity
}

// Capacity is the outcome of a search by bisection. The rate was found with the
// arrivals of one seed, and held again with those of another. A rate that misses
// the limit is tried a second time.
type Capacity struct {
	Rate   float64 `json:"rate"`           // 0: none that was tried kept the limit
	Load   *Load   `json:"load,omitempty"` // at that rate
	Probes []Probe `json:"probes"`         // in the order in which they were made
}

// Probe is one rate that was tried. One that could not keep the limit any more
// was ended, so that its P99 may be of less than what followed.
type Probe struct {
	Rate float64 `json:"rate"`
	P99  float64 `json:"p99_ms"`
	Held bool    `json:"held"`
}

// Load is what requests met at one rate.
type Load struct {
	Rate      float64 `json:"rate"`     // offered
	Achieved  float64 `json:"achieved"` // completed a second, until the last answer
	Requests  int     `json:"requests"` // completed
	Seconds   float64 `json:"seconds"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P95       float64 `json:"p95_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p999_ms"`
	Max       float64 `json:"max_ms"`
	Mean      float64 `json:"mean_ms"`
	Queue     float64 `json:"mean_queue_ms"` // of the mean, waiting for the model
	MeanBatch float64 `json:"mean_batch"`    // items a run
	Busy      float64 `json:"busy"`          // share of the time that the model ran, mean of the streams
	// Overloaded says that the rate is above what the streams serve when they are
	// always busy: the queue grows as long as the rate lasts, and the times say
	// nothing but that.
	Overloaded bool `json:"overloaded,omitempty"`
}
