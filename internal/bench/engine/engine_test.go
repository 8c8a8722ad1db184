package engine

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"optim/internal/gpu"
	"optim/internal/tensor"
	"optim/internal/trt"
)

// clock is a time that only moves when it is told to.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// steady is a runner whose inferences take as long as it says.
type steady struct {
	c     *clock
	times []gpu.Timing
	n     int
	fails int
}

func (s *steady) Infer() (gpu.Timing, error) {
	s.n++
	if s.n == s.fails {
		return gpu.Timing{}, errors.New("lost")
	}
	t := s.times[s.n%len(s.times)]
	s.c.t = s.c.t.Add(t.Host)
	return t, nil
}

const ms = time.Millisecond

func TestMeasure(t *testing.T) {
	c := &clock{}
	r := &steady{c: c, times: []gpu.Timing{{H2D: ms / 2, Compute: 2 * ms, D2H: ms / 4, Enqueue: ms / 10, Host: 4 * ms}}}
	got, err := Measure(context.Background(), r, Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	if got.Runs != 750 || r.n != 800 || math.Abs(got.Throughput-250) > 1e-9 || !got.Stable {
		t.Errorf("%d runs of %d, %g a second, stable %v", got.Runs, r.n, got.Throughput, got.Stable)
	}
	if got.Latency.Median != 2.75 || got.Compute.P99 != 2 || math.Abs(got.H2D.Mean-0.5) > 1e-9 || got.Host.Max != 4 || got.Enqueue.Min != 0.1 {
		t.Errorf("%+v", got)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "750 inferences are few") {
		t.Errorf("warnings %q", got.Warnings)
	}
	slow := &steady{c: c, times: []gpu.Timing{{Compute: time.Second, Host: 2 * time.Second}}}
	if got, err = Measure(context.Background(), slow, Options{Now: c.now}); err != nil || got.Runs != 10 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err = Measure(context.Background(), &steady{c: c, times: slow.times, fails: 3}, Options{Now: c.now}); err == nil || !strings.Contains(err.Error(), "inference 3: lost") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = Measure(ctx, slow, Options{Now: c.now}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestWarnings: each has its cause.
func TestWarnings(t *testing.T) {
	for want, times := range map[string][]gpu.Timing{
		"the host's call takes": {{Compute: ms, Enqueue: 9 * ms / 10, Host: 2 * ms}},
		"transfers to":          {{H2D: ms, Compute: ms, Host: 2 * ms}},
		"transfers from":        {{D2H: 2 * ms, Compute: ms, Host: 3 * ms}},
		"varies by":             {{Compute: ms, Host: ms}, {Compute: 2 * ms, Host: 2 * ms}},
	} {
		c := &clock{}
		got, err := Measure(context.Background(), &steady{c: c, times: times}, Options{Now: c.now})
		if err != nil || !strings.Contains(strings.Join(got.Warnings, "\n"), want) {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	v := make([]float64, 30)
	for i := range v {
		v[i] = 1 + float64(i/10)*0.2
	}
	if stable(v) {
		t.Error("thirds that differ by 40 % are stable")
	}
	for p, want := range map[float64]float64{0.5: 2, 0.95: 4, 0.99: 4, 0.25: 1, 0.26: 2} {
		if got := Percentile([]float64{1, 2, 3, 4}, p); got != want {
			t.Errorf("percentile %g is %g, not %g", p, got, want)
		}
	}
}

// The fakes: a device whose memory is the host's, and an engine that doubles floats.
type fake struct {
	log    []string
	closed int
}

func (f *fake) Facts() gpu.Facts               { return gpu.Facts{Name: "fake"} }
func (f *fake) NewStream() (gpu.Stream, error) { return stream{f}, nil }
func (f *fake) NewEvent() (gpu.Event, error)   { return &event{f: f}, nil }
func (f *fake) Close() error                   { return nil }
func (f *fake) NewBuffer(n int) (gpu.Buffer, error) {
	return &buffer{f: f, host: make([]byte, n), device: make([]byte, n)}, nil
}

func (f *fake) Capture(_ gpu.Stream, enqueue func() error) (gpu.Graph, error) {
	f.log = append(f.log, "capture")
	return captured{f, enqueue}, nil
}

type captured struct {
	f   *fake
	run func() error
}

func (c captured) Launch(gpu.Stream) error { c.f.log = append(c.f.log, "launch"); return c.run() }
func (c captured) Close() error            { c.f.closed++; return nil }

type stream struct{ f *fake }

func (s stream) Handle() uintptr    { return 1 }
func (s stream) Synchronize() error { s.f.log = append(s.f.log, "wait"); return nil }
func (s stream) Close() error       { s.f.closed++; return nil }

type event struct {
	f  *fake
	at int
}

func (e *event) Record(gpu.Stream) error { e.at = len(e.f.log); return nil }
func (e *event) Synchronize() error      { return nil }
func (e *event) Close() error            { e.f.closed++; return nil }
func (e *event) Since(o gpu.Event) (time.Duration, error) {
	return time.Duration(e.at-o.(*event).at) * ms, nil
}

type buffer struct {
	f            *fake
	host, device []byte
}

var memory = map[uintptr]*buffer{}

func (b *buffer) Device() uintptr {
	for at, other := range memory {
		if other == b {
			return at
		}
	}
	memory[uintptr(len(memory)+1)] = b
	return uintptr(len(memory))
}
func (b *buffer) Host() []byte { return b.host }
func (b *buffer) Upload(gpu.Stream) error {
	b.f.log = append(b.f.log, "up")
	copy(b.device, b.host)
	return nil
}
func (b *buffer) Download(gpu.Stream) error {
	b.f.log = append(b.f.log, "down")
	copy(b.host, b.device)
	return nil
}
func (b *buffer) Close() error { b.f.closed++; return nil }

type doubler struct {
	f     *fake
	shape []int64
	at    map[string]*buffer
	set   int
}

func (d *doubler) Tensors() []trt.Tensor {
	return []trt.Tensor{{Name: "y", DType: "float32", Shape: []int64{-1, 2}}, {Name: "x", DType: "float32", Shape: []int64{-1, 2}, Input: true}}
}
func (d *doubler) Profiles() int { return 2 }
func (d *doubler) ProfileShape(_ string, p int) (trt.Range, error) {
	low := int64(1 + 4*p)
	return trt.Range{Min: []int64{low, 2}, Opt: []int64{low, 2}, Max: []int64{low + 3, 2}}, nil
}
func (d *doubler) DeviceMemory() int64                         { return 0 }
func (d *doubler) Describe() ([]byte, error)                   { return nil, nil }
func (d *doubler) NewContext() (trt.Context, error)            { return d, nil }
func (d *doubler) SetProfile(i int, _ gpu.Stream) error        { d.set = i; return nil }
func (d *doubler) SetInputShape(_ string, shape []int64) error { d.shape = shape; return nil }
func (d *doubler) Shape(string) ([]int64, error)               { return d.shape, nil }
func (d *doubler) Bind(name string, device uintptr) error      { d.at[name] = memory[device]; return nil }
func (d *doubler) Close() error                                { d.f.closed++; return nil }
func (d *doubler) Ready() error {
	if d.at["x"] == nil || d.at["y"] == nil {
		return errors.New("something is not bound")
	}
	return nil
}
func (d *doubler) Enqueue(gpu.Stream) error {
	d.f.log = append(d.f.log, "run")
	x, y := tensor.As[float32](d.at["x"].device), tensor.As[float32](d.at["y"].device)
	for i := range x {
		y[i] = 2 * x[i]
	}
	copy(d.at["y"].device, tensor.AsBytes(y))
	return nil
}

// TestRun: transfers stand around the inference, the profile is the one that takes the shape,
// and everything is given back.
func TestRun(t *testing.T) {
	for _, graph := range []bool{false, true} {
		f := &fake{}
		e := &doubler{f: f, at: map[string]*buffer{}}
		x := tensor.Of(tensor.Float32, tensor.Shape{5, 2}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
		r, err := Open(f, e, map[string]tensor.Tensor{"x": x}, graph)
		if err != nil {
			t.Fatal(err)
		}
		f.log = nil
		got, err := r.Infer()
		if err != nil {
			t.Fatal(err)
		}
		want, compute := "up run down wait", ms
		if graph {
			want, compute = "up launch run down wait", 2*ms
		}
		if strings.Join(f.log, " ") != want || got.H2D != ms || got.Compute != compute || got.D2H != ms || e.set != 1 {
			t.Errorf("%v: %+v, profile %d", f.log, got, e.set)
		}
		if y := tensor.As[float32](r.Outputs()["y"].Data); y[0] != 2 || y[9] != 20 {
			t.Errorf("outputs %v", y)
		}
		if err := r.Close(); err != nil || f.closed < 8 {
			t.Errorf("%d things were given back, %v", f.closed, err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	f := &fake{}
	for want, in := range map[string]map[string]tensor.Tensor{
		"no profile of the engine":  {"x": tensor.Of(tensor.Float32, tensor.Shape{9, 2}, make([]float32, 18))},
		"of type float32 is needed": {"x": tensor.Of(tensor.Int64, tensor.Shape{1, 2}, make([]int64, 2))},
	} {
		if _, err := Open(f, &doubler{f: f, at: map[string]*buffer{}}, in, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
