//go:build cgo && cuda

package gpu

import (
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"gorgonia.org/cu"
)

// Built reports whether this program can use a GPU by itself.
const Built = true

// Open opens a GPU by its number, on the primary context that CUDA's runtime uses, too. It
// locks the goroutine to its thread until Close.
func Open(n int) (Device, error) {
	count, err := cu.NumDevices()
	if err != nil || n < 0 || n >= count {
		return nil, fmt.Errorf("%w: there are %d of them, and GPU %d was asked for", ErrUnavailable, count, n)
	}
	d, err := cu.GetDevice(n)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	ctx, err := d.RetainPrimaryCtx()
	if err == nil {
		err = cu.SetCurrentContext(ctx)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("GPU %d: %w", n, err)
	}
	return &device{d}, nil
}

type device struct{ d cu.Device }

func (d *device) Facts() Facts {
	f := Facts{CUDA: fmt.Sprintf("%d.%d", cu.Version()/1000, cu.Version()%1000/10)}
	f.Name, _ = d.d.Name()
	f.Memory, _ = d.d.TotalMem()
	if major, minor, err := d.d.ComputeCapability(); err == nil {
		f.ComputeCapability = fmt.Sprintf("%d.%d", major, minor)
	}
	return f
}

func (d *device) Close() error {
	defer runtime.UnlockOSThread()
	return d.d.ReleasePrimaryCtx()
}

func (d *device) NewStream() (Stream, error) {
	s, err := cu.MakeStream(cu.NonBlocking)
	return &stream{s}, err
}

type stream struct{ s cu.Stream }

func (s *stream) Handle() uintptr    { return uintptr(unsafe.Pointer(s.s.C())) }
func (s *stream) Synchronize() error { return s.s.Synchronize() }
func (s *stream) Close() error       { return s.s.Destroy() }

func (d *device) NewEvent() (Event, error) {
	e, err := cu.MakeEvent(cu.DefaultEvent)
	return &event{e}, err
}

type event struct{ e cu.Event }

func (e *event) Record(s Stream) error { return e.e.Record(s.(*stream).s) }
func (e *event) Synchronize() error    { return e.e.Synchronize() }
func (e *event) Close() error          { return cu.DestroyEvent(&e.e) }

func (e *event) Since(earlier Event) (time.Duration, error) {
	ms, err := earlier.(*event).e.Elapsed(e.e)
	return time.Duration(ms * float64(time.Millisecond)), err
}

func (d *device) NewBuffer(bytes int) (Buffer, error) {
	b := &buffer{}
	var err error
	if b.host, err = allocHost(max(bytes, 1)); err != nil {
		return nil, err
	}
	b.bytes = bytes
	if b.device, err = cu.MemAlloc(int64(max(bytes, 1))); err != nil {
		return nil, errors.Join(err, freeHost(b.host))
	}
	return b, nil
}

// buffer is memory of the device with page-locked memory of the host.
type buffer struct {
	device cu.DevicePtr
	host   unsafe.Pointer
	bytes  int
}

func (b *buffer) Device() uintptr { return uintptr(b.device) }
func (b *buffer) Host() []byte    { return unsafe.Slice((*byte)(b.host), b.bytes) }

func (b *buffer) Upload(s Stream) error {
	return cu.MemcpyHtoDAsync(b.device, b.host, int64(b.bytes), s.(*stream).s)
}

func (b *buffer) Download(s Stream) error {
	return cu.MemcpyDtoHAsync(b.host, b.device, int64(b.bytes), s.(*stream).s)
}

func (b *buffer) Close() error { return errors.Join(cu.MemFree(b.device), freeHost(b.host)) }

func (d *device) Capture(s Stream, enqueue func() error) (Graph, error) {
	return capture(s.Handle(), enqueue)
}
