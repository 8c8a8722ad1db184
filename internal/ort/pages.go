package ort

// #include "native.h"
import "C"

import (
	"sync"
	"time"
)

// releaseEvery is how often KeepResidentLow gives pages back. In that time a
// run reads some 100 MB; each pass costs one or two milliseconds.
const releaseEvery = 25 * time.Millisecond

// returnLarge has malloc give large blocks back when they are freed, from then on.
var returnLarge = sync.OnceFunc(func() { C.opt_return_large() })

// KeepResidentLow calls f, and while it runs gives back the pages of the named
// files again and again, as ReleasePages does. It keeps the peak of resident
// memory low while a session runs whose weights lie in these files: ONNX
// Runtime maps external data, and every page it touches would stay. Without
// files it only calls f. The error is f's.
//
// f must not open or close a session or a model on these files: an address
// whose mapping goes away between being listed and being released may belong
// to somebody else by then, whose memory would be lost.
func KeepResidentLow(paths []string, f func() error) error {
	if len(paths) == 0 {
		return f()
	}
	returnLarge()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(releaseEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				ReleasePages(paths...)
			}
		}
	}()
	defer func() {
		close(stop)
		<-done
		ReleasePages(paths...)
	}()
	return f()
}
