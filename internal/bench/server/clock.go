package server

import (
	"context"
	"time"
)

// clock is the time since a trial began. Tests have their own.
type clock interface {
	now() time.Duration
	// wait returns at t, or earlier with the error of ctx. idle says whether the
	// model is at rest.
	wait(ctx context.Context, t time.Duration, idle func() bool) error
}

// coarse is how long before the end a wait that can be interrupted gives way to
// one that cannot, which is more exact.
const coarse = 3 * time.Millisecond

// systemClock is the monotonic clock of the system.
type systemClock struct{ start time.Time }

func (c systemClock) now() time.Duration { return time.Since(c.start) }

// wait sleeps, and turns in a loop for the last part, since the system wakes a
// sleeper too late. While other streams run the model, it only sleeps: a loop would
// take a core from them, and cost more than the delay.
func (c systemClock) wait(ctx context.Context, t time.Duration, idle func() bool) error {
	for left := t - c.now(); left > 0; left = t - c.now() {
		switch {
		case left > coarse:
			if err := sleep(ctx, left-coarse); err != nil {
				return err
			}
		case left > oversleep:
			nap(left - oversleep)
		case !idle():
			nap(left)
		}
	}
	return ctx.Err()
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
