package quant

import (
	"fmt"

	"optim/internal/onnx"
	"optim/internal/rounding"
	"optim/internal/tensor"
)

// blocked is a constant matrix as codes in blocks along its inputs: N rows of
// outputs, K columns of inputs. Scales are found before the file is written,
// codes while it is, so that they are never all in memory.
type blocked struct {
	source   *onnx.Tensor
	turned   bool // the source is stored as [N, K], not [K, N]
	n, k     int
	scheme   rounding.Scheme
	fitPanel func(w []float32, k int) (rounding.Grid, error)
	solution *Solution // that a calibrated method found; nil: none

	grid       rounding.Grid // of all rows, after fit
	data       *onnx.Tensor
	scale, zps *onnx.Tensor // zps nil: symmetric
	home       *scope
}

type blockedKey struct {
	source *onnx.Tensor
	turned bool
}

// blocks returns the number of blocks in a row.
func (b *blocked) blocks() int { return (b.k + b.scheme.Block - 1) / b.scheme.Block }

// panelSize is the number of values that are worked on at a time.
const panelSize = 1 << 16

// stripe is the number of rows that are gathered together from a weight stored
// as [K, N]: one cache line of each of its rows.
const stripe = 16

// panels gives f all rows, some at a time and side by side: w holds rows from
// first on, a multiple of least.
func (b *blocked) panels(least int, f func(first int, w []float32) error) error {
	t, err := b.source.Value()
	if err != nil {
		return err
	}
	defer b.source.Release()
	v, err := t.Float32s()
	if err != nil {
		return err
	}
	least = max(least, stripe)
	rows := max(panelSize/b.k/least*least, least)
	count := (b.n + rows - 1) / rows
	errs := make([]error, count)
	tensor.Parallel(count, 0, func(lo, hi int) {
		var own []float32
		if !b.turned {
			own = make([]float32, min(rows, b.n)*b.k)
		}
		for i := lo; i < hi; i++ {
			first, last := i*rows, min((i+1)*rows, b.n)
			if b.turned {
				errs[i] = f(first, v[first*b.k:last*b.k])
				continue
			}
			panel := own[:(last-first)*b.k]
			columns(panel, v, first, last, b.k, b.n)
			errs[i] = f(first, panel)
		}
	})
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("tensor %q: %w", b.source.Name, err)
		}
	}
	return nil
}

// columns copies columns first to last of the matrix v [k, n] to dst as rows.
func columns(dst, v []float32, first, last, k, n int) {
	for s := first; s < last; s += stripe {
		end := min(s+stripe, last)
		for j := range k {
			for r, x := range v[j*n+s : j*n+end] {
				dst[(s-first+r)*k+j] = x
			}
		}
	}
}

// fit finds scales and zero points.
func (b *blocked) fit() error {
	if b.solution != nil {
		b.grid = b.solution.Grid
		return nil
	}
	count := b.n * b.blocks()
	b.grid = rounding.Grid{Scheme: b.scheme, Rows: b.n, K: b.k, Scales: make([]float32, count), Zeros: make([]uint8, count)}
	return b.panels(stripe, func(first int, w []float32) error {
		g, err := b.fitPanel(w, b.k)
		if err != nil {
			return err
		}
		copy(b.grid.Scales[first*b.blocks():], g.Scales)
		copy(b.grid.Zeros[first*b.blocks():], g.Zeros)
		return nil
	})
}

// rows returns the grid of some rows.
func (b *blocked) rows(first, count int) rounding.Grid {
	g := b.grid
	g.Rows = count
	g.Scales = g.Scales[first*b.blocks() : (first+count)*b.blocks()]
	g.Zeros = g.Zeros[first*b.blocks() : (first+count)*b.blocks()]
	return g
}

// codes gives f the codes of all rows, one a byte, some rows at a time and
// side by side.
func (b *blocked) codes(f func(first int, g rounding.Grid, codes []byte) error) error {
	if b.solution != nil {
		all := make([]byte, b.n*b.k)
		if err := b.solution.Codes(all); err != nil {
			return err
		}
		return f(0, b.grid, all)
	}
	return b.panels(stripe, func(first int, w []float32) error {
		g := b.rows(first, len(w)/b.k)
		codes := make([]byte, len(w))
		g.Round(codes, w)
		return f(first, g, codes)
	})
}

// write packs the codes as MatMulNBits and GatherBlockQuantized read them.
func (b *blocked) write(dst []byte) error {
	return b.codes(func(first int, g rounding.Grid, codes []byte) error {
		packed, _, err := tensor.PackNBits(codes, g.Zeros, g.Rows, b.k, b.scheme.Storage(), b.scheme.Block)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", b.source.Name, err)
		}
		copy(dst[first*(len(dst)/b.n):], packed)
		return nil
	})
}

// writeZeros packs the zero points, each row by itself.
func (b *blocked) writeZeros(dst []byte) error {
	size := len(dst) / b.n
	for r := range b.n {
		tensor.PackBits(dst[r*size:(r+1)*size], b.grid.Zeros[r*b.blocks():(r+1)*b.blocks()], b.scheme.Storage())
	}
	return nil
}

// declare adds the three initializers, in shapes that the caller's operator
// wants.
func (b *blocked) declare(q *pass, codes tensor.Shape) {
	name, n := b.source.Name, int64(b.n)
	b.data = onnx.NewLazyTensor(q.namer.Fresh(name+"_blocks"), tensor.Uint8, codes, b.write)
	b.scale = onnx.NewLazyTensor(q.namer.Fresh(name+"_block_scales"), tensor.Float32, tensor.Shape{n, int64(b.blocks())}, func(dst []byte) error {
		copy(dst, tensor.AsBytes(b.grid.Scales))
		return nil
	})
	b.home.graph.Initializers = append(b.home.graph.Initializers, b.data, b.scale)
	if !b.scheme.Symmetric {
		packed := int64(b.blocks()*b.scheme.Storage()+7) / 8
		b.zps = onnx.NewLazyTensor(q.namer.Fresh(name+"_block_zero_points"), tensor.Uint8, tensor.Shape{n, packed}, b.writeZeros)
		b.home.graph.Initializers = append(b.home.graph.Initializers, b.zps)
	}
}

// bytes returns the stored size of codes, scales and zero points.
func (b *blocked) bytes() int64 {
	size := b.data.Size() + b.scale.Size()
	if b.zps != nil {
		size += b.zps.Size()
	}
	return size
}
