package eval

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls f for 0…n−1, on all processors. Each takes chunk indices at a time
// until there are none left, since a model that runs meanwhile, or whose threads wait
// busily for the next run, may leave little of a processor.
func parallel(n, chunk int, f func(i int)) {
	var next atomic.Int64
	work := func() {
		for {
			hi := int(next.Add(int64(chunk)))
			for i := hi - chunk; i < min(hi, n); i++ {
				f(i)
			}
			if hi >= n {
				return
			}
		}
	}
	var helpers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (n+chunk-1)/chunk) - 1 {
		helpers.Go(work)
	}
	work()
	helpers.Wait()
}
