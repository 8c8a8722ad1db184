// Package gpu is the device side of running an engine: memory, streams, events,
// as interfaces. The form that reaches a GPU is behind the build tag cuda, since
// the binding that it uses ends the whole program where there is no driver.
package gpu

import (
	"errors"
	"time"
)

// ErrUnavailable says that this program, or this machine, cannot use a GPU.
var ErrUnavailable = errors.New("no GPU can be used")

// Stream is a queue of work on a device. Handle is CUDA's cudaStream_t.
type Stream interface {
	Handle() uintptr
	Synchronize() error
	Close() error
}

// Event marks a place in a stream.
type Event interface {
	Record(Stream) error
	Synchronize() error
	// Since returns the device time from an earlier event to this one; both have to
	// be reached.
	Since(earlier Event) (time.Duration, error)
	Close() error
}

// Buffer is device memory with as much page-locked host memory beside it.
type Buffer interface {
	Device() uintptr
	Host() []byte // page-locked; valid until Close
	Upload(Stream) error
	Download(Stream) error
	Close() error
}

// Graph is work that was captured from a stream and is launched as one.
type Graph interface {
	Launch(Stream) error
	Close() error
}

// Device is one GPU, used by the goroutine that opened it, which has to stay on
// its thread (runtime.LockOSThread).
type Device interface {
	Facts() Facts
	NewStream() (Stream, error)
	NewEvent() (Event, error)
	NewBuffer(bytes int) (Buffer, error)
	// Capture records what enqueue puts into the stream.
	Capture(s Stream, enqueue func() error) (Graph, error)
	Close() error
}

// Facts tell which GPU it is.
type Facts struct {
	Name              string `json:"name"`
	ComputeCapability string `json:"compute_capability"`
	Memory            int64  `json:"memory_bytes"`
	CUDA              string `json:"cuda"` // version that the driver has
}

// Timing is what one inference took. Transfers and Compute are device time
// between events; Enqueue is the host's time in the call that queues the
// inference; Host is the host's time from the first transfer to the last.
type Timing struct{ H2D, Compute, D2H, Enqueue, Host time.Duration }

// Latency is the time of an inference with its transfers, as trtexec has it.
func (t Timing) Latency() time.Duration { return t.H2D + t.Compute + t.D2H }
