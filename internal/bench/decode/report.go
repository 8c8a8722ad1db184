// Package decode measures a causal language model that writes ids one after the
// other: with its cache of keys and values, and without.
package decode

// Report is what was measured. Times in milliseconds.
type Report struct {
	Prompt int `json:"prompt_tokens"`
	New    int `json:"new_tokens"`
	// Cached is with the cache; nil where the model has none.
	Cached *Series `json:"cached,omitempty"`
	// Whole runs the model on all ids so far for each new one.
	Whole *Series `json:"without_cache,omitempty"`
	// Gain is how many times as many tokens a second the cache gives.
	Gain *float64 `json:"cache_gain,omitempty"`
	// Same says that both wrote the same ids.
	Same *bool `json:"same_ids,omitempty"`
	// IDs are what was written after the prompt, with the cache where there is one.
	IDs   []int64  `json:"ids,omitempty"`
	Notes []string `json:"notes,omitempty"` // what was left out, and why
}

// Best returns the series with the cache, or where the model has none, that without;
// nil of no report.
func (r *Report) Best() *Series {
	switch {
	case r == nil:
		return nil
	case r.Cached != nil:
		return r.Cached
	}
	return r.Whole
}

// Series is the time of decoding one way.
type Series struct {
	TTFT      float64 `json:"ttft_ms"`           // time to first token: the run on the prompt, median
	TPOT      float64 `json:"tpot_ms,omitempty"` // time per output token after the first: median over the steps
	TPOTP99   float64 `json:"tpot_p99_ms,omitempty"`
	PerSecond float64 `json:"tokens_per_s"` // all new tokens by all time
	// Steps is the median time of each step, the first being the prompt's.
	Steps []float64 `json:"step_ms"`
	// Growth is how much longer a step takes for each further id of context, in
	// microseconds, by a least-squares line through Steps without the first: near 0 with
	// a cache that works. Absent for fewer than two such steps.
	Growth  *float64 `json:"growth_us_per_token,omitempty"`
	Repeats int      `json:"repeats"` // that went to the end
}
