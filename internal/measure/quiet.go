package measure

import "time"

// quietStep is between two looks at the processor time, quietShare the most that
// a process at rest takes of it.
const (
	quietStep  = 2 * time.Millisecond
	quietShare = 0.1
)

// AwaitQuiet returns when the threads of this process have come to rest, or after
// most. Threads of a pool spin for a while when their work is done; whatever is
// measured next in another process would pay for it.
func AwaitQuiet(most time.Duration) { awaitQuiet(most, processorTime) }

// awaitQuiet is AwaitQuiet for a process that has taken so much processor time.
func awaitQuiet(most time.Duration, taken func() time.Duration) {
	start := time.Now()
	for at, cpu := start, taken(); at.Sub(start) < most; {
		time.Sleep(quietStep)
		now, sum := time.Now(), taken()
		if float64(sum-cpu) <= quietShare*float64(now.Sub(at)) {
			return
		}
		at, cpu = now, sum
	}
}
