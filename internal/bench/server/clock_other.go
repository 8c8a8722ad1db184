//go:build !linux

package server

import "time"

// oversleep is by how much a nap may be too long.
const oversleep = time.Millisecond

func nap(d time.Duration) { time.Sleep(d) }
