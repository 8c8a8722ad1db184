package roofline

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/klauspost/cpuid/v2"

	"optim/internal/host"
	"optim/internal/measure"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Probe measures the peaks of the CPU through ONNX Runtime, with the threads of o,
// in about a second. Peaks are meant, so each is the best of many runs. Other
// load on the machine lowers them all the same.
func Probe(ctx context.Context, rt *ort.Runtime, o ort.Options) (Peaks, error) {
	o = ort.Options{Threads: o.Threads, NoSpin: o.NoSpin, Entries: o.Entries, Stop: ctx.Done()}
	facts, err := host.Probe(ctx)
	if err != nil {
		return Peaks{}, fmt.Errorf("roofline: %w", err)
	}
	p := Peaks{Cache: max(0, int64(cpuid.CPU.Cache.L3))}
	if p.FP32, err = product(ctx, rt, o, tensor.Float32, floatProduct); err != nil {
		return Peaks{}, fmt.Errorf("roofline: float32: %w", err)
	}
	if p.INT8, err = product(ctx, rt, o, tensor.Uint8, integerProduct); err != nil {
		return Peaks{}, fmt.Errorf("roofline: int8: %w", err)
	}
	if p.Bandwidth, err = bandwidth(ctx, rt, o, matrixBytes(p.Cache, facts)); err != nil {
		return Peaks{}, fmt.Errorf("roofline: memory: %w", err)
	}
	return p, nil
}

// Bounds of the matrix whose reading is timed, in bytes. It is to be well beyond
// the cache, and a small part of the memory.
const (
	leastMatrix = 4 << 20
	usualMatrix = 64 << 20
	mostMatrix  = 256 << 20
	timesCache  = 6
	partOfRAM   = 4
)

// matrixBytes returns the size of the matrix for a machine.
func matrixBytes(cache int64, f host.Facts) int64 {
	size := min(max(timesCache*cache, usualMatrix), mostMatrix)
	return max(min(size, f.Room()/partOfRAM), leastMatrix)
}

// Budgets of time: for a product with one number of rows, for the matrix. A run
// longer than slowRun ends the search for more rows.
const (
	productBudget = 40 * time.Millisecond
	matrixBudget  = 200 * time.Millisecond
	slowRun       = 30 * time.Millisecond
)

// product returns the operations a second of a matrix product, with the number of
// rows that suits the machine best. x is of type d.
func product(ctx context.Context, rt *ort.Runtime, o ort.Options, d tensor.DType, graph func() ([]byte, error)) (float64, error) {
	b, err := graph()
	if err != nil {
		return 0, err
	}
	s, err := rt.OpenBytes(b, o)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	peak := 0.0
	for m := int64(64); m <= 2*side; m *= 2 {
		took, err := fastest(ctx, s, productBudget, map[string]tensor.Tensor{"x": filled(d, m, side)}, tensor.Shape{m, side})
		if err != nil {
			return 0, err
		}
		peak = max(peak, 2*float64(m)*side*side/took.Seconds())
		if took > slowRun {
			break
		}
	}
	return peak, nil
}

// bandwidth returns the bytes a second at which a vector meets a matrix of that
// size.
func bandwidth(ctx context.Context, rt *ort.Runtime, o ort.Options, size int64) (float64, error) {
	columns := size / (4 * side)
	b, err := vectorProduct(columns)
	if err != nil {
		return 0, err
	}
	s, err := rt.OpenBytes(b, o)
	if err != nil {
		return 0, err
	}
	defer debug.FreeOSMemory() // or the matrix stays resident for minutes
	defer s.Close()
	in := map[string]tensor.Tensor{"x": filled(tensor.Float32, 1, side), "w": filled(tensor.Float32, side, columns)}
	took, err := fastest(ctx, s, matrixBudget, in, tensor.Shape{1, columns})
	if err != nil {
		return 0, err
	}
	return float64(4*side*columns) / took.Seconds(), nil
}

// filled returns a matrix of small numbers. Pages that were never written would
// all be the same one, which stays in the cache.
func filled(d tensor.DType, rows, columns int64) tensor.Tensor {
	shape := tensor.Shape{rows, columns}
	if d == tensor.Uint8 {
		v := make([]uint8, rows*columns)
		for i := range v {
			v[i] = uint8(i % 251)
		}
		return tensor.Of(d, shape, v)
	}
	v := make([]float32, rows*columns)
	for i := range v {
		v[i] = float32(i&15) / 16
	}
	return tensor.Of(d, shape, v)
}

// fastest returns the shortest of the runs within a budget, at least three and the
// first not counted, over bound tensors. y is float32 of that shape.
func fastest(ctx context.Context, s *ort.Session, budget time.Duration, in map[string]tensor.Tensor, y tensor.Shape) (time.Duration, error) {
	out, err := tensor.New(tensor.Float32, y)
	if err != nil {
		return 0, err
	}
	b, err := s.Bind(in, map[string]tensor.Tensor{"y": out})
	if err != nil {
		return 0, err
	}
	defer b.Close()
	times, err := measure.Repeat(ctx, b.Run, measure.Options{Warmup: 1, MinRounds: 3, Budget: budget, MinSample: -1})
	if err != nil {
		return 0, err
	}
	return max(slices.Min(times), 1), nil
}
