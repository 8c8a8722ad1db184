package engine

import (
	"errors"
	"fmt"
	"time"

	"optim/internal/gpu"
	"optim/internal/tensor"
	"optim/internal/trt"
)

// Run runs an engine on one GPU with one set of inputs.
type Run struct {
	ctx     trt.Context
	stream  gpu.Stream
	events  [4]gpu.Event // before the inputs, before and after the inference, after the outputs
	in, out []bound
	graph   gpu.Graph
	now     func() time.Time
	closers []func() error
}

// bound is a tensor of the engine with its memory.
type bound struct {
	trt.Tensor
	gpu.Buffer
}

// dtypes are the element types by the shim's names.
var dtypes = map[string]tensor.DType{
	"float32": tensor.Float32, "float16": tensor.Float16, "bfloat16": tensor.BFloat16, "int8": tensor.Int8, "int32": tensor.Int32,
	"int64": tensor.Int64, "bool": tensor.Bool, "uint8": tensor.Uint8, "float8e4m3fn": tensor.F8E4M3FN,
}

// DType returns the element type that the shim names so.
func DType(name string) (tensor.DType, bool) {
	d, ok := dtypes[name]
	return d, ok
}

// Open binds the inputs to the engine's first profile that takes their shapes. With graph the
// inference is captured once and launched as one.
func Open(d gpu.Device, e trt.Engine, inputs map[string]tensor.Tensor, graph bool) (*Run, error) {
	r := &Run{now: time.Now}
	if err := r.open(d, e, inputs, graph); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Run) open(d gpu.Device, e trt.Engine, inputs map[string]tensor.Tensor, graph bool) (err error) {
	if r.stream, err = d.NewStream(); err != nil {
		return err
	}
	r.closers = append(r.closers, r.stream.Close)
	for i := range r.events {
		if r.events[i], err = d.NewEvent(); err != nil {
			return err
		}
		r.closers = append(r.closers, r.events[i].Close)
	}
	if r.ctx, err = e.NewContext(); err != nil {
		return err
	}
	r.closers = append(r.closers, r.ctx.Close)
	profile, err := profileFor(e, inputs)
	if err != nil {
		return err
	}
	if err := r.ctx.SetProfile(profile, r.stream); err != nil {
		return err
	}
	if err := r.bind(d, e, inputs); err != nil || !graph {
		return err
	}
	return r.capture(d)
}

// profileFor is the first profile that takes the shapes.
func profileFor(e trt.Engine, inputs map[string]tensor.Tensor) (int, error) {
	for p := range max(e.Profiles(), 1) {
		fits := true
		for _, t := range e.Tensors() {
			if !t.Input {
				continue
			}
			g, err := e.ProfileShape(t.Name, p)
			if err != nil {
				return 0, err
			}
			fits = fits && within(inputs[t.Name].Shape, g)
		}
		if fits {
			return p, nil
		}
	}
	return 0, errors.New("no profile of the engine takes inputs of these shapes")
}

func within(shape tensor.Shape, g trt.Range) bool {
	if len(shape) != len(g.Min) {
		return false
	}
	for i, d := range shape {
		if d < g.Min[i] || d > g.Max[i] {
			return false
		}
	}
	return true
}

// bind gives every tensor its shape and memory, the inputs first.
func (r *Run) bind(d gpu.Device, e trt.Engine, inputs map[string]tensor.Tensor) error {
	for _, input := range []bool{true, false} {
		for _, t := range e.Tensors() {
			if t.Input != input {
				continue
			}
			if err := r.bindOne(d, t, inputs); err != nil {
				return fmt.Errorf("tensor %q: %w", t.Name, err)
			}
		}
	}
	return r.ctx.Ready()
}

func (r *Run) bindOne(d gpu.Device, t trt.Tensor, inputs map[string]tensor.Tensor) error {
	var data []byte
	if t.Input {
		x, ok := inputs[t.Name]
		if !ok || x.DType != dtypes[t.DType] {
			return fmt.Errorf("an input of type %s is needed", t.DType)
		}
		if err := r.ctx.SetInputShape(t.Name, x.Shape); err != nil {
			return err
		}
		t.Shape, data = x.Shape, x.Data
	} else {
		shape, err := r.ctx.Shape(t.Name)
		if err != nil {
			return err
		}
		t.Shape = shape
	}
	bytes, err := tensor.Shape(t.Shape).Bytes(dtypes[t.DType])
	if err != nil || dtypes[t.DType] == tensor.Undefined {
		return errors.Join(fmt.Errorf("%s%v has no size: outputs whose size depends on data are not measured", t.DType, t.Shape), err)
	}
	b, err := d.NewBuffer(int(bytes))
	if err != nil {
		return err
	}
	r.closers = append(r.closers, b.Close)
	copy(b.Host(), data)
	if t.Input {
		r.in = append(r.in, bound{t, b})
	} else {
		r.out = append(r.out, bound{t, b})
	}
	return r.ctx.Bind(t.Name, b.Device())
}

// capture records the inference after one that prepared it.
func (r *Run) capture(d gpu.Device) error {
	if _, err := r.Infer(); err != nil {
		return err
	}
	g, err := d.Capture(r.stream, func() error { return r.ctx.Enqueue(r.stream) })
	if err != nil {
		return fmt.Errorf("the inference cannot be captured: %w", err)
	}
	r.graph = g
	r.closers = append(r.closers, g.Close)
	return nil
}

// Infer copies the inputs, runs the engine and copies the outputs.
func (r *Run) Infer() (t gpu.Timing, err error) {
	start := r.now()
	step := func(f func() error) {
		if err == nil {
			err = f()
		}
	}
	record := func(i int) { step(func() error { return r.events[i].Record(r.stream) }) }
	record(0)
	for _, b := range r.in {
		step(func() error { return b.Upload(r.stream) })
	}
	record(1)
	step(func() error {
		before := r.now()
		defer func() { t.Enqueue = r.now().Sub(before) }()
		if r.graph != nil {
			return r.graph.Launch(r.stream)
		}
		return r.ctx.Enqueue(r.stream)
	})
	record(2)
	for _, b := range r.out {
		step(func() error { return b.Download(r.stream) })
	}
	record(3)
	step(r.stream.Synchronize)
	t.Host = r.now().Sub(start)
	for i, to := range []*time.Duration{&t.H2D, &t.Compute, &t.D2H} {
		step(func() (err error) {
			*to, err = r.events[i+1].Since(r.events[i])
			return err
		})
	}
	return t, err
}

// Outputs are what the last inference computed.
func (r *Run) Outputs() map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for _, b := range r.out {
		out[b.Name] = tensor.Tensor{DType: dtypes[b.DType], Shape: b.Shape, Data: b.Host()}
	}
	return out
}

// Close gives everything back, last first.
func (r *Run) Close() error {
	var err error
	for i := len(r.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, r.closers[i]())
	}
	r.closers = nil
	return err
}
