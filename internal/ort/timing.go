package ort

// #include "native.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unsafe"
)

// Span is when a run began and ended, by Clock.
type Span struct{ Begin, End time.Duration }

// Took returns the length of the run.
func (s Span) Took() time.Duration { return s.End - s.Begin }

// Clock returns the time of the monotonic clock that Span uses. Its zero has no
// meaning; processes of one machine share it.
func Clock() time.Duration { return time.Duration(C.opt_clock()) }

// ReadClock reads the clock n times in a row and returns how long that took: what
// the clock itself adds to each Span is one reading.
func ReadClock(n int) time.Duration { return time.Duration(C.opt_read_clock(C.size_t(n))) }

// Timing says how long TimeRuns goes on: until Most runs are made, or until no
// run may begin any more, whichever comes first. Most bounds the memory that
// the times take and has to be above 0.
type Timing struct {
	First int           // index of the binding to begin with
	Most  int           // runs at most
	Until time.Duration // by Clock; 0: no limit but Most
}

// TimeRuns runs bindings of one session in turn, over and over, and returns when
// each run began and ended. The loop is in C, so that nothing of Go (scheduler,
// garbage collector, the call of C itself) is between the clock and the runs: a
// run is measured as ONNX Runtime's own caller in C would see it. Each binding may
// be in the pool once; meanwhile it can do nothing else. When ctx ends, the runs made so far are returned
// with its error; the one under way stops after the node it is at.
func TimeRuns(ctx context.Context, pool []*Binding, o Timing) ([]Span, error) {
	if len(pool) == 0 || o.Most < 1 || o.First < 0 {
		return nil, errors.New("timing: no bindings, or no runs")
	}
	s := pool[0].s
	s.life.RLock()
	defer s.life.RUnlock()
	native := make([]*C.OrtIoBinding, len(pool))
	for i, b := range pool {
		if b.s != s {
			return nil, errors.New("timing: bindings of different sessions")
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.native == nil {
			return nil, ErrClosed
		}
		native[i] = b.native
	}
	until := C.int64_t(math.MaxInt64)
	if o.Until > 0 {
		until = C.int64_t(o.Until)
	}
	spans := make([]Span, o.Most)
	var done C.size_t
	var stop int32 // its address is given to C, which only reads it
	defer context.AfterFunc(ctx, func() { atomic.StoreInt32(&stop, 1) })()
	err := withRunOptions(ctx, func(ro *C.OrtRunOptions) error {
		return check(C.opt_time_runs(s.native, ro, &native[0], C.size_t(len(native)), C.size_t(o.First), C.size_t(o.Most),
			until, (*C.int)(unsafe.Pointer(&stop)), (*C.int64_t)(unsafe.Pointer(&spans[0])), &done))
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("run: %w", err)
	}
	return spans[:done], err
}
