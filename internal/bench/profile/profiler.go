package profile

import "optim/internal/ort"

// profilerCost returns what the profiler adds to each call of a kernel, in
// milliseconds. It writes down shapes, memory and the work of the threads within
// the time that it measures: two to four microseconds, more than most kernels of
// a small model take, which would seem to have the time of the large ones.
//
// A run's kernels are so much longer together than a run without the profiler. It
// is taken as the same for every call, and no more than the shortest call:
// kernels whose weights the profiler has driven out of a cache are longer, too.
// The shortest times of all runs are compared, as other load on the machine
// hardly touches these.
func profilerCost(t ort.Trace) float64 {
	if len(t.Plain) == 0 || len(t.Nodes) == 0 {
		return 0
	}
	sum, all, shortest := 0.0, 0.0, ms(t.Plain[0])
	for _, n := range t.Nodes {
		c := calls(n, t)
		sum, all, shortest = sum+ms(n.Least), all+c, min(shortest, ms(n.Least)/c)
	}
	return max(0, min((sum-ms(t.Plain[0]))/all, shortest))
}

// calls returns the calls of a node in a run.
func calls(n ort.NodeTime, t ort.Trace) float64 { return float64(n.Calls) / float64(t.Runs) }
