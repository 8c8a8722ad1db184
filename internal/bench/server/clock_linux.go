package server

import (
	"time"

	"golang.org/x/sys/unix"
)

// oversleep is by how much a nap may be too long: 65 to 130 µs were measured at the
// median, most of it the kernel's timer slack.
const oversleep = 150 * time.Microsecond

// nap sleeps in the kernel. time.Sleep counts in milliseconds when all goroutines
// wait: it was 0.5 ms late at the median, and 1 ms at the 90th percentile.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	// Woken early by a signal, the caller looks at the clock again.
	_ = unix.Nanosleep(&ts, nil)
}
