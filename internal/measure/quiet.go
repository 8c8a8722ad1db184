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
func AwaitQuiet(most time.Duration) {
	cpu := processorTime()
	for start := time.Now(); time.Since(start) < most; {
		at := time.Now()
		time.Sleep(quietStep)
		now := processorTime()
		if float64(now-cpu) <= quietShare*float64(time.Since(at)) {
			return
		}
		cpu = now
	}
}
