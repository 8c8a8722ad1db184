package report

import (
	"slices"

	"optim/internal/bench"
)

// method is a term of the report with what it means.
type method struct{ Term, Text string }

// methodOf explains what the report of r has.
func methodOf(r *bench.Result) []method {
	has := func(of func(m bench.Row) bool) bool { return slices.ContainsFunc(r.Models, of) }
	all := []struct {
		method
		wanted bool
	}{
		{method{"Time of a run", "Measured by a monotonic clock around the run alone; inputs and outputs are bound beforehand. Runs to warm up come first, until times are steady, and do not count. Each model runs in processes of its own, which take turns, so that what else the machine does meets all of them alike."},
			has(func(m bench.Row) bool { return m.Latency != nil })},
		{method{"Percentiles", "p99 is the time that 99 % of the runs stayed below; ± σ is the standard deviation."},
			has(func(m bench.Row) bool { return m.Latency != nil })},
		{method{"Intervals", "95 % confidence intervals over the processes (Student’s, of the logarithms): two processes with one model differ by where their memory lies and where their threads run, which the many runs of one do not show."},
			has(func(m bench.Row) bool { return m.Latency != nil && m.Latency.Low != nil })},
		{method{"Comparisons", "The time of the first model, or of the baseline, divided by that of the other, with its 95 % interval. “~” marks an interval that holds 1: no difference was found."},
			len(r.Comparisons) > 0},
		{method{"Items and tokens a second", "What all streams finished, by the time it took."},
			has(func(m bench.Row) bool { return m.Throughput != nil })},
		{method{"Peak memory", "The most memory that the process of the model ever held, with the runtime library in it."},
			has(func(m bench.Row) bool { return m.PeakRSS > 0 })},
		{method{"Cold start", "Reading and optimizing the model and its first run, in a fresh process; the median over the processes."},
			has(func(m bench.Row) bool { return m.Cold != nil })},
		{method{"Roofline", "The least time that the arithmetic of a run and reading its weights take at the speeds that this machine reaches, divided by the time of the run (Williams, Waterman and Patterson 2009)."},
			has(func(m bench.Row) bool { return m.Roofline != nil })},
		{method{"Profile", "The time of each kernel that the runtime ran, by its own profiler, in runs apart from those above; what the profiler costs is measured and taken off."},
			has(func(m bench.Row) bool { return m.Profile != nil })},
		{method{"Server", "Requests arrive at random (as a Poisson process), whatever the model is at; their time counts from their arrival, as in MLPerf's server scenario. The highest rate is found by bisection, and held again with other arrivals."},
			has(func(m bench.Row) bool { return m.Server != nil })},
		{method{"Decoding", "A model writes ids one after the other: with its cache of keys and values, each step computes one id; without, all of them again."},
			has(func(m bench.Row) bool { return m.Decode != nil })},
		{method{"Sweep", "Each batch and number of streams is run for a short while; the best is then measured at length."},
			has(func(m bench.Row) bool { return len(m.Sweep) > 0 })},
	}
	var out []method
	for _, m := range all {
		if m.wanted {
			out = append(out, m.method)
		}
	}
	return out
}
