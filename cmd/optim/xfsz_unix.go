//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// ignoreFileLimit makes a write beyond the limit of file sizes (ulimit -f) fail
// as any other does, where the signal would end the process with a trace and
// its temporary files in place.
func ignoreFileLimit() { signal.Ignore(syscall.SIGXFSZ) }
